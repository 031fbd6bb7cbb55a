"""The labels of a data set as the audit needs them: by image, with ids and names."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.config import Config, ConfigDict

from asl_mmdet.audit.findings import Boxes
from asl_mmdet.coco.annotation_file import AnnotationFile, CocoSet, is_box, kind_of
from asl_mmdet.coco.boxes import Array, corners
from asl_mmdet.coco.format import JOIN, TO_UTF8, check_ids, check_lists, check_references
from asl_mmdet.coco.known_categories import known_categories
from asl_mmdet.config.coco_folder import if_unset
from asl_mmdet.config.task import MULTI_LABEL, task_of
from asl_mmdet.config.tree import annotation_path, find_datasets, shown_type
from asl_mmdet.errors import UserError

_KNOWN_CLASSES = "KnownClassesCoco"


@dataclass(frozen=True)
class Image:
    """One image and its annotations.

    Args:
        id: In the annotation file.
        file_name: In the annotation file.
        path: Where it is.
        annotations: Its entries of the annotation file.
        known: The labels of the classes that it was labelled for; None for all of them.
    """

    id: int
    file_name: str
    path: str
    annotations: tuple[dict[str, Any], ...]
    known: frozenset[int] | None = None


class Labels:
    """The training annotations of a config, or those of another loader.

    ``classes`` are the model's by label, ``names`` those that the file has, by id, and ``index`` their labels.

    Args:
        cfg: The config; its loader must have one data set in COCO format, in wrappers or not.
        loader: 'train_dataloader' or 'val_dataloader'.

    Raises:
        UserError: If it has another number of them or another kind, or if the file is not there, is not in COCO format
            or lacks what an audit needs. The message names the file and the key.
    """

    def __init__(self, cfg: Config, loader: str = "train_dataloader") -> None:
        self.is_tags = task_of(cfg) is MULTI_LABEL
        self.dataset = _only_dataset(cfg, loader)
        self.path = annotation_path(self.dataset)
        file = AnnotationFile(self.path)
        if file.error is not None:
            raise UserError(f"{self.path} cannot be read: {file.error}{if_unset(cfg)}")
        if file.foreign_encoding and not self.is_tags:  # tags are read by this project
            raise UserError(f"{self.path} is in {file.foreign_encoding}. {TO_UTF8.format(self.path)}")
        check_lists(self.path, file.content)
        self.content: dict[str, Any] = file.content
        try:
            check_ids(self.content, self.path, "categories", "images", "annotations", are_own=True)
            check_references(self.content, self.path)
        except UserError as error:
            raise UserError(f"{self.path}: {error}") from error
        coco = CocoSet(self.dataset, file, {})
        self.names = _used_in_order(coco, self.is_tags)
        self.classes = list(self.names.values())
        if coco.kind == _KNOWN_CLASSES and coco.classes:  # their labels go by name, and the file may lack some
            self.classes = coco.classes
        place = {name: i for i, name in enumerate(self.classes)}
        self.index = {category: place[name] for category, name in coco.used.items()}  # a name may have several ids
        self._of_unknown_class = {i for i, name in coco.names.items() if name == self.dataset.get("unknown_class")}
        self.images = self._images(coco)
        if not self.images:
            raise UserError(f"{self.path} has no image")

    def _images(self, coco: CocoSet) -> dict[int, Image]:
        by_image: dict[int, list[dict[str, Any]]] = {number: [] for number in coco.image_paths}
        for i, entry in enumerate(coco.annotations):
            if not self.is_tags and not is_box(box := entry.get("bbox")):
                raise UserError(f"{self.path}: annotations[{i}].bbox={box!r} must be [x, y, width, height]")
            if entry["image_id"] in by_image:
                by_image[entry["image_id"]].append(entry)
        if len(by_image) < len(coco.images):
            raise UserError(f"{self.path}: some of its images have no id of their own, or no file_name")
        records = {image["id"]: image for image in coco.images}
        found = {}
        for number, path in coco.image_paths.items():
            entries = tuple(by_image[number])
            known = self._known(records[number], entries, coco) if coco.kind == _KNOWN_CLASSES else None
            found[int(number)] = Image(int(number), records[number]["file_name"], path, entries, known)
        return found

    def _known(self, record: dict[str, Any], entries: tuple[dict[str, Any], ...], coco: CocoSet) -> frozenset[int]:
        """The labels of the classes that an image was labelled for, as the data set has them."""
        annotated = {entry["category_id"] for entry in entries if not entry.get("ignore")} - self._of_unknown_class
        try:
            known = known_categories(record, annotated, coco.names)
        except UserError as error:
            raise UserError(f"{self.path}: {error}") from error
        return frozenset(self.index[category] for category in known if category in self.index)

    def boxes_of(self, image: Image) -> tuple[Boxes, Array]:
        """The annotations of the trained classes, and the regions (K, 4) that nothing is known about.

        A box of the data set's ``unknown_class`` has the label -1.
        """
        given, ignored = [], []
        for entry in image.annotations:
            if entry.get("iscrowd") or entry.get("ignore"):
                ignored.append(entry["bbox"])
            elif entry["category_id"] in self.index or entry["category_id"] in self._of_unknown_class:
                given.append(entry)
        labels = np.array([self.index.get(entry["category_id"], -1) for entry in given], int)
        ids = np.array([entry["id"] for entry in given], object)
        return Boxes(corners([entry["bbox"] for entry in given]), labels, ids=ids), corners(ignored)

    def tags_of(self, image: Image) -> Array:
        """(C,): 1 where the image has a label, else 0."""
        tags = np.zeros(len(self.names), int)
        tags[[self.index[a["category_id"]] for a in image.annotations if a["category_id"] in self.index]] = 1
        return tags


def _only_dataset(cfg: Config, loader: str) -> ConfigDict:
    found = list(find_datasets(cfg.get(loader), loader))
    if len(found) != 1:
        keys = ", ".join(key for key, _ in found) or "none"
        raise UserError(
            f"{loader} has {len(found)} data sets ({keys}), and one is audited at a time: name only one, or join their "
            "files with tools/merge_datasets.py"
        )
    key, dataset = found[0]
    wanted = ("CocoMultiLabel",) if task_of(cfg) is MULTI_LABEL else ("CocoDataset", _KNOWN_CLASSES)
    if kind_of(dataset) not in wanted:
        raise UserError(
            f"{key}.type={shown_type(dataset.get('type'))}: only {' and '.join(wanted)} can be audited: write one that "
            "reads the same images in COCO's format"
        )
    return dataset


def _used_in_order(coco: CocoSet, is_tags: bool) -> dict[int, str]:
    """The names of the trained categories by id, in the order of the model's classes."""
    used = coco.used
    if not used:
        raise UserError(f"{coco.path} has none of the classes that metainfo.classes names: {coco.classes}")
    for name, ids in coco.repeated_names.items():
        raise UserError(
            f"{coco.path} has the category {name!r} with the ids {', '.join(map(str, ids))}, which shifts the labels "
            f"behind it. {JOIN.format(coco.path)}"
        )
    if is_tags:  # in the order of the config, else of the ids; ids of one name are one class
        order = coco.classes or []
        ranked = sorted(used.items(), key=lambda item: (order.index(item[1]) if order else 0, item[0]))
        first = {name: number for number, name in reversed(ranked)}
        return {number: name for number, name in ranked if first[name] == number}
    return {entry["id"]: used[entry["id"]] for entry in coco.categories if entry["id"] in used}  # as MMDetection
