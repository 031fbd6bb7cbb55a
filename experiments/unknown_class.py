"""Boxes whose class was dropped: what ``tools/drop_boxes.py`` took away comes back as boxes of an unknown class.

So one file gives a training without these boxes and one with them, but without their classes.
"""

from functools import cached_property
from typing import Any

from mmdet.registry import DATASETS

from asl_mmdet.known_classes import KnownClassesCoco
from experiments.oracle import OracleCoco

_ID = -1  # of a category that no file has


@DATASETS.register_module()
class UnknownClassCoco(KnownClassesCoco):
    """A ``KnownClassesCoco`` that reads a file of ``tools/drop_boxes.py`` and gives the dropped boxes without class."""

    _dropped = OracleCoco._dropped

    @cached_property
    def _labels_by_category(self) -> dict[int, int]:
        return super()._labels_by_category | {_ID: len(self.metainfo["classes"])}

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any]:
        """What MMDetection makes of an image's record, and the boxes that were dropped from it."""
        image_id = raw_data_info["raw_img_info"]["img_id"]
        dropped = [{**annotation, "category_id": _ID} for annotation in self._dropped().get(image_id, [])]
        return super().parse_data_info({**raw_data_info, "raw_ann_info": [*raw_data_info["raw_ann_info"], *dropped]})
