"""Open Images image-level labels for mmpretrain."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from mmengine.fileio import join_path
from mmpretrain.datasets import MultiLabelDataset
from mmpretrain.registry import DATASETS
from numpy.typing import NDArray

from asl_mmdet.errors import UserError


@DATASETS.register_module()
class OpenImages(MultiLabelDataset):
    """Image-level labels in the CSV form of Open Images V6 (9 million images, 9,605 trainable classes).

    The columns are ``ImageID,Source,LabelName,Confidence``. A confidence of at least ``min_confidence`` is a positive
    label and 0 a verified negative one; rows between them and rows of classes that are not listed are left out and
    counted. If a label of an image is both, positive wins. Every image of the files is there once, in the order of the
    ids, also without a positive label. Rows that cannot be read are skipped and reported in one warning.

    The data info of an image has ``img_path``, ``gt_label`` (the sorted positive classes) and, with
    ``unannotated="ignore"``, ``gt_score``: (C,) float32, 1 positive, 0 verified negative, -1 not annotated, which is
    what mmpretrain's ``AveragePrecision`` leaves out.

    Args:
        ann_file: A CSV or several, such as the verified and the machine-generated labels; packed ones end in .gz.
        class_file: A MID (``/m/0abc``) a line, or ``LabelName,DisplayName`` with or without that header; the order of
            the lines is that of the classes.
        unannotated: What the labels without a row are: "negative" or "ignore".
        min_confidence: The lowest confidence of a positive label, in (0, 1].
        **kwargs: As mmpretrain's ``MultiLabelDataset``: data_root, data_prefix (the folder of the images,
            ``<ImageID>.jpg``), pipeline, indices, lazy_init, ... ``filter_cfg=dict(filter_empty_gt=True)`` drops the
            images without a positive label. The ``classes`` are the display names or, without, the MIDs.

    Raises:
        ImportError: If pyarrow is missing.
        FileNotFoundError: If a file is missing.
        UserError: If an option is out of range, a file has not the expected form, or more than half of its rows
            cannot be read.
    """

    def __init__(
        self,
        ann_file: str | Sequence[str],
        class_file: str,
        unannotated: str = "negative",
        min_confidence: float = 1.0,
        **kwargs: Any,
    ) -> None:
        if unannotated not in ("negative", "ignore"):
            raise UserError(f'unannotated={unannotated!r} must be "negative" or "ignore"')
        if not 0 < min_confidence <= 1:
            raise UserError(f"min_confidence={min_confidence} is out of range: it must be in (0, 1]")
        from asl_mmdet.multilabel.open_images_csv import read_classes  # by pyarrow, which only this data set needs

        self.unannotated, self.min_confidence = unannotated, min_confidence
        root, lazy_init = kwargs.get("data_root") or "", kwargs.pop("lazy_init", False)
        self.mids, names = read_classes(os.path.join(root, os.path.expanduser(class_file)))
        super().__init__("", serialize_data=False, lazy_init=True, **{"classes": names, **kwargs})
        if len(self.CLASSES) != len(self.mids):
            raise UserError(f"{class_file} lists {len(self.mids)} classes, but {len(self.CLASSES)} names are given")
        files = [ann_file] if isinstance(ann_file, str) else ann_file  # the base class takes a single file only
        self.ann_file = [os.path.join(root, os.path.expanduser(file)) for file in files]
        if not lazy_init:
            self.full_init()

    def load_data_list(self) -> "ImageLabels":
        """Read the annotation files."""
        from asl_mmdet.multilabel.open_images_csv import read_labels

        ids, offsets, codes = read_labels(self.ann_file, self.mids, self.min_confidence)
        num_scores = len(self.mids) if self.unannotated == "ignore" else 0
        return ImageLabels(ids, offsets[:-1], offsets[1:], codes, self.img_prefix, num_scores)

    def filter_data(self) -> "ImageLabels":
        """All images, or those with a positive label."""
        labels = self.data_list
        if not (self.filter_cfg or {}).get("filter_empty_gt"):
            return labels
        annotated = np.flatnonzero(labels.ends > labels.starts)  # their codes follow each other without a gap
        if len(annotated):
            annotated = annotated[np.logical_or.reduceat(labels.codes & 1 == 0, labels.starts[annotated])]
        return labels[annotated]

    def get_cat_ids(self, idx: int) -> list[int]:
        """The positive classes of an image."""
        self.full_init()
        return self.data_list.positives(idx)

    def _get_unserialized_subset(self, indices: int | Sequence[int]) -> "ImageLabels":
        if isinstance(indices, int):
            return super()._get_unserialized_subset(indices)
        return self.data_list[np.asarray(indices, np.int64)]


@dataclass(frozen=True, eq=False)
class ImageLabels(Sequence[Any]):
    """Compressed sparse rows that make the data info of an image when it is asked for.

    ``codes[starts[i]:ends[i]]``, sorted, are twice the class of every label of image i, plus 1 if it is negative.
    Subsets and copies share the codes.
    """

    ids: NDArray[np.uint64]
    starts: NDArray[Any]
    ends: NDArray[Any]
    codes: NDArray[Any]
    img_prefix: str
    num_scores: int  # the length of gt_score; 0: none

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: Any) -> Any:
        """The data info of an image, or the part that a slice or an array selects."""
        if isinstance(index, slice | np.ndarray):
            return replace(self, ids=self.ids[index], starts=self.starts[index], ends=self.ends[index])
        path = join_path(self.img_prefix, f"{int(self.ids[index]):016x}.jpg")
        info = {"img_path": path, "gt_label": self.positives(index)}
        if self.num_scores:
            codes = self.codes[self.starts[index] : self.ends[index]]
            info["gt_score"] = np.full(self.num_scores, -1, np.float32)
            info["gt_score"][codes >> 1] = 1 - (codes & 1)
        return info

    def __deepcopy__(self, memo: dict[int, Any]) -> "ImageLabels":
        return self

    def positives(self, index: int) -> list[int]:
        """The positive classes of an image."""
        codes = self.codes[self.starts[index] : self.ends[index]]
        return (codes[codes & 1 == 0] >> 1).tolist()
