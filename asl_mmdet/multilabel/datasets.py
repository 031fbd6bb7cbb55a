"""Image-level labels from the files in which COCO and NUS-WIDE are published."""

import ast
import csv
import os
from collections import Counter
from pathlib import Path
from typing import Any

from mmengine.logging import MMLogger
from mmpretrain.datasets import MultiLabelDataset
from mmpretrain.registry import DATASETS

from asl_mmdet.coco.format import check_ids, check_lists, check_references, read_json
from asl_mmdet.errors import UserError


class _LabelledImages(MultiLabelDataset):
    """What both data sets share: the choice of classes and of images."""

    def filter_data(self) -> list[dict[str, Any]]:
        """Leave out the images without a label, unless ``filter_cfg`` says otherwise."""
        if not (self.filter_cfg or {}).get("filter_empty_gt", True):
            return self.data_list
        kept = [info for info in self.data_list if info["gt_label"]]
        if not kept:
            raise UserError(f"no image of {self.ann_file} has a label of the {len(self.CLASSES)} classes")
        if number := len(self.data_list) - len(kept):
            MMLogger.get_current_instance().info(f"{self.ann_file}: {number} images without a label are left out")
        return kept

    def _resolve_classes(self, found: list[str]) -> list[str]:
        """The classes that ``metainfo`` names, or those found in the file, which then become the data set's."""
        if self.CLASSES is None:
            self._metainfo["classes"] = tuple(found)
            return found
        if unknown := [name for name in self.CLASSES if name not in found]:
            raise UserError(
                f"metainfo.classes names {unknown}, which {self.ann_file} has not; it has "
                f"{found if len(found) <= 100 else [*found[:100], '...']}"
            )
        return list(self.CLASSES)


@DATASETS.register_module()
class CocoMultiLabel(_LabelledImages):
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
        categories = {category["id"]: category["name"] for category in coco["categories"]}
        classes = self._resolve_classes([categories[i] for i in sorted(categories)])
        index = {i: classes.index(name) for i, name in categories.items() if name in classes}
        images = {image["id"]: image["file_name"] for image in coco["images"]}
        labels: dict[int, set[int]] = {image_id: set() for image_id in images}
        lost = 0
        for entry in coco["annotations"]:
            if entry["category_id"] not in categories or entry["image_id"] not in images:
                lost += 1
            elif entry["category_id"] in index and (self.with_crowd or not entry.get("iscrowd", 0)):
                labels[entry["image_id"]].add(index[entry["category_id"]])
        if lost:
            _warn(f"{self.ann_file}: {lost} annotations are of an image or a category that the file does not list")
        return [
            dict(img_id=i, img_path=os.path.join(self.img_prefix, name), gt_label=sorted(labels[i]))
            for i, name in images.items()
        ]


@DATASETS.register_module()
class NUSWide(_LabelledImages):
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
        classes = self._resolve_classes(sorted(names))
        index = {name: i for i, name in enumerate(classes)}
        return [
            dict(
                img_path=os.path.join(self.img_prefix, path.replace("\\", "/")),
                gt_label=sorted({index[name] for name in labels if name in index}),
            )
            for path, labels in rows
        ]


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


def _read_coco(path: str) -> dict[str, Any]:
    check_exists(path, "https://cocodataset.org/#download")
    content: dict[str, Any] = read_json(path)
    try:
        check_lists("it", content)
        check_ids(content, path, "images", "categories")
        check_references(content, path)
        for key, name in (("images", "file_name"), ("categories", "name")):
            for i, entry in enumerate(content[key]):
                if not isinstance(entry.get(name), str):
                    raise UserError(f"{key}[{i}].{name}={entry.get(name)!r}: write a text")
    except UserError as error:
        raise UserError(f"{path} is not in COCO format: {error}") from error
    return content


def check_exists(path: str, source: str) -> None:
    """FileNotFoundError that says where the file is published, if it is not here."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path}; it can be had from {source}")


def _warn(message: str) -> None:
    MMLogger.get_current_instance().warning(message)
