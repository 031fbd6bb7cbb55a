"""Image-level labels from the files in which COCO and NUS-WIDE are published."""

import ast
import contextlib
import csv
import io
import os
from collections import Counter
from pathlib import Path
from typing import Any

from mmengine.logging import MMLogger
from mmpretrain.datasets import MultiLabelDataset
from mmpretrain.registry import DATASETS
from pycocotools.coco import COCO

from asl_mmdet.coco.format import is_id, read_json
from asl_mmdet.errors import UserError


@DATASETS.register_module()
class CocoMultiLabel(MultiLabelDataset):
    """The labels of the objects in an image, from any detection set in COCO format.

    The classes are the categories of ``ann_file`` in the order of their ids, or those that ``metainfo`` names, in its
    order. Images without a label are left out, as is usual on MS-COCO (82,081 images of train2014 and 40,137 of
    val2014 remain); ``filter_cfg=dict(filter_empty_gt=False)`` keeps them. Everything that is not annotated is a
    negative.

    Args:
        ann_file: An ``instances_*.json``.
        with_crowd: Count a class of which there is only a crowd region as present, as the paper's code does.
        **kwargs: As mmpretrain's ``MultiLabelDataset``: data_root, data_prefix, metainfo, pipeline, test_mode, ...

    Raises:
        FileNotFoundError: If there is no ``ann_file``.
        UserError: If it is not in COCO format, or lacks a class that ``metainfo`` names.
    """

    def __init__(self, ann_file: str, with_crowd: bool = True, **kwargs: Any) -> None:
        self.with_crowd = with_crowd
        super().__init__(ann_file, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read the annotations: ``img_id``, ``img_path`` and ``gt_label``, the sorted class indices, of every image."""
        coco = _read_coco(self.ann_file)
        categories = {category["id"]: category["name"] for category in coco.dataset["categories"]}
        classes = _resolve_classes(self, [categories[i] for i in sorted(categories)])
        index = {i: classes.index(name) for i, name in categories.items() if name in classes}
        data_list = []
        for image_id, image in coco.imgs.items():
            objects = coco.imgToAnns.get(image_id, [])  # a defaultdict: [] would add the image to it
            labels = {o["category_id"] for o in objects if self.with_crowd or not o.get("iscrowd", 0)}
            data_list.append(
                dict(
                    img_id=image_id,
                    img_path=os.path.join(self.img_prefix, image["file_name"]),
                    gt_label=sorted(index[i] for i in labels if i in index),
                )
            )
        lost = sum(o["category_id"] not in categories or o["image_id"] not in coco.imgs for o in coco.anns.values())
        if lost:
            _warn(f"{self.ann_file}: {lost} annotations are of an image or a category that the file does not list")
        return data_list

    def filter_data(self) -> list[dict[str, Any]]:
        """Leave out the images without a label, unless ``filter_cfg`` says otherwise."""
        return _without_empty(self)


@DATASETS.register_module()
class NUSWide(MultiLabelDataset):
    """NUS-WIDE in the split that ASL and its successors use: a CSV file ``filepath,label,split_name``.

    ``label`` is a printed list of names. The classes are all the names of the file, of every split, sorted (81), or
    those that ``metainfo`` names. Everything that is not annotated is a negative.

    Args:
        ann_file: The CSV file.
        split: 'train' or 'val', as in the column ``split_name``.
        **kwargs: As mmpretrain's ``MultiLabelDataset``: data_root, data_prefix, metainfo, pipeline, test_mode, ...

    Raises:
        FileNotFoundError: If there is no ``ann_file``.
        UserError: If it has not these columns, has no row of the split, or has more unreadable rows than others.
    """

    COLUMNS = ("filepath", "label", "split_name")

    def __init__(self, ann_file: str, split: str, **kwargs: Any) -> None:
        self.split = split
        super().__init__(ann_file, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read the rows of the split: ``img_path`` and ``gt_label``, the sorted class indices.

        A row that cannot be read is reported with its line.
        """
        check_exists(self.ann_file, "https://github.com/Alibaba-MIIL/ASL/blob/main/MODEL_ZOO.md ('split')")
        rows: list[tuple[str, list[str]]] = []
        names: Counter[str] = Counter()
        splits: Counter[str] = Counter()
        bad: list[str] = []
        with open(self.ann_file, newline="", encoding="utf-8-sig", errors="replace") as file:
            reader = csv.DictReader(file)
            try:
                found = reader.fieldnames or []
            except csv.Error as error:  # Python 3.10 on a zero byte
                raise UserError(f"the first line of {self.ann_file} cannot be read: {error}") from error
            if missing := [name for name in self.COLUMNS if name not in found]:
                raise UserError(
                    f"{self.ann_file} has no column {', '.join(missing)}: its first line should be "
                    f"{','.join(self.COLUMNS)}"
                )
            while True:
                try:
                    row = next(reader, None)
                    if row is None:
                        break
                    labels = _name_list(row)
                except (ValueError, csv.Error) as error:
                    bad.append(f"line {reader.line_num}: {error}")
                    continue
                names.update(labels)
                splits[row["split_name"]] += 1
                if row["split_name"] == self.split:
                    rows.append((row["filepath"], labels))
        if bad:
            shown = "\n".join(f"    {line}" for line in bad[:5] + ["..."] * (len(bad) > 5))
            message = f"{self.ann_file}: {len(bad)} rows cannot be read and are left out:\n{shown}"
            if len(bad) > sum(splits.values()):
                raise UserError(message)
            _warn(message)
        if not rows:
            raise UserError(f"{self.ann_file} has no row of split={self.split!r}; it has {dict(splits)}")
        classes = _resolve_classes(self, sorted(names))
        index = {name: i for i, name in enumerate(classes)}
        return [
            dict(
                img_path=os.path.join(self.img_prefix, path.replace("\\", "/")),
                gt_label=sorted({index[name] for name in labels if name in index}),
            )
            for path, labels in rows
        ]

    def filter_data(self) -> list[dict[str, Any]]:
        """Leave out the images without a label, unless ``filter_cfg`` says otherwise."""
        return _without_empty(self)


def _name_list(row: dict[str, Any]) -> list[str]:
    """The column ``label`` of a row as a list of names; UserError with the reason if it is none."""
    if None in row or None in row.values():
        raise UserError(f"it has not {len(NUSWide.COLUMNS)} columns")
    text = row["label"]
    try:
        labels = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        labels = None
    if not isinstance(labels, list) or not all(isinstance(name, str) for name in labels):
        raise UserError(f"the label {text[:60]!r} is not a list of names such as ['animal', 'sky']")
    return labels


def _read_coco(path: str) -> COCO:
    check_exists(path, "https://cocodataset.org/#download")
    try:
        content = read_json(path)
    except UserError as error:
        raise UserError(f"{path} is not valid JSON, or is truncated: {error}") from error
    try:
        coco = COCO()
        coco.dataset = content
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
            coco.createIndex()
        for key, fields in (
            ("annotations", dict(image_id=is_id, category_id=is_id)),
            ("images", dict(id=is_id, file_name=_is_text)),
            ("categories", dict(id=is_id, name=_is_text)),
        ):
            for entry in content[key]:
                if wrong := [name for name, is_right in fields.items() if not is_right(entry[name])]:
                    raise TypeError(f"{wrong[0]}={entry[wrong[0]]!r} in {key}")
    except (KeyError, TypeError, AssertionError, AttributeError) as error:
        raise UserError(
            f"{path} is not in COCO format ({type(error).__name__}: {error}): it needs the lists images (id, "
            "file_name), annotations (image_id, category_id) and categories (id, name)"
        ) from error
    return coco


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def check_exists(path: str, source: str) -> None:
    """FileNotFoundError that says where the file is published, if it is not here."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path}; it can be had from {source}")


def _resolve_classes(dataset: MultiLabelDataset, found: list[str]) -> list[str]:
    """The classes that ``metainfo`` names, or those found in the file, which then become the data set's."""
    classes = dataset.CLASSES
    if classes is None:
        dataset._metainfo["classes"] = tuple(found)
        return found
    if unknown := [name for name in classes if name not in found]:
        raise UserError(
            f"metainfo.classes names {unknown}, which {dataset.ann_file} has not; it has "
            f"{found if len(found) <= 100 else [*found[:100], '...']}"
        )
    return list(classes)


def _without_empty(dataset: MultiLabelDataset) -> list[dict[str, Any]]:
    if not (dataset.filter_cfg or {}).get("filter_empty_gt", True):
        return dataset.data_list
    kept = [info for info in dataset.data_list if info["gt_label"]]
    if not kept:
        raise UserError(f"no image of {dataset.ann_file} has a label of the {len(dataset.CLASSES)} classes")
    if number := len(dataset.data_list) - len(kept):
        MMLogger.get_current_instance().info(f"{dataset.ann_file}: {number} images without a label are left out")
    return kept


def _warn(message: str) -> None:
    MMLogger.get_current_instance().warning(message)
