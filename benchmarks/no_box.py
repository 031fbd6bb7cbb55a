"""Where an image has no box at all."""

from typing import Any

from asl_mmdet.coco.boxes import Array, overlaps

NO_BOX = 0.2  # IoU: what overlaps every annotation by less lies where there is none


def best_iou(boxes: Any, annotations: Any) -> Array:
    """The largest IoU of each of N boxes with M annotations, all as corners: (N,); 0 without annotations."""
    return overlaps(boxes, annotations).max(1, initial=0)
