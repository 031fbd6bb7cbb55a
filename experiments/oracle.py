"""The oracle of missing boxes: what is taken for background only because its box was dropped costs nothing.

It is a reference for losses that leave background out: they guess what it is told. What is beyond it needs the boxes
themselves. The targets are those that the head computes from all boxes. Where a dropped box owns an anchor or a point,
its label weight is 0 and it has no box loss; all others keep their targets. So the normaliser counts the positives of
the boxes that are left.

:class:`asl_mmdet.hooks.IgnoredBoxesHook` does that for ignored boxes, and the data set gives the dropped boxes as such.
"""

from collections import defaultdict
from typing import Any

from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS


def dropped_by_image(content: dict[str, Any], ann_file: str) -> dict[int, list[dict[str, Any]]]:
    """The annotations that ``tools/drop_boxes.py`` took away, as its file keeps them.

    Raises:
        ValueError: If the file does not say.
    """
    if "dropped" not in content:
        raise ValueError(
            f"{ann_file} does not say what was dropped: the oracle needs a file that tools/drop_boxes.py wrote"
        )
    found = defaultdict(list)
    for annotation in content["dropped"]["annotations"]:
        found[annotation["image_id"]].append(annotation)
    return found


@DATASETS.register_module()
class OracleCoco(CocoDataset):
    """A ``CocoDataset`` that reads a file of ``tools/drop_boxes.py`` and gives the dropped boxes as ignored ones."""

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any]:
        """What MMDetection makes of an image's record, and the boxes that were dropped from it."""
        image_id = raw_data_info["raw_img_info"]["img_id"]
        dropped = [{**annotation, "iscrowd": 1} for annotation in self._dropped().get(image_id, [])]
        return super().parse_data_info({**raw_data_info, "raw_ann_info": [*raw_data_info["raw_ann_info"], *dropped]})

    def _dropped(self) -> dict[int, list[dict[str, Any]]]:
        if not hasattr(self, "_by_image"):
            self._by_image = dropped_by_image(self.coco.dataset, self.ann_file)
        return self._by_image
