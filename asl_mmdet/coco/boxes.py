"""Pairwise IoU and IoF of boxes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask

Array = NDArray[Any]


def overlaps(boxes: Array, others: Array, is_region: Array | bool = False) -> Array:
    """IoU of boxes (N, 4) and (M, 4) as corners, (N, M), by pycocotools.

    A box without area overlaps nothing.

    Args:
        boxes: (N, 4), as x1, y1, x2, y2.
        others: (M, 4), likewise.
        is_region: Which of the M are regions, (M,) bool or one for all: what counts there is the share of a box that
            lies inside.

    Example:
        >>> overlaps(np.array([[0, 0, 2, 2]]), np.array([[1, 0, 3, 2], [5, 5, 6, 6]])).round(2).tolist()
        [[0.33, 0.0]]
    """
    regions = np.broadcast_to(is_region, len(others)).astype(np.uint8).tolist()
    found = mask.iou(_xywh(boxes), _xywh(others), regions)
    return np.asarray(found, np.float64).reshape(len(boxes), len(others))


def corners(boxes: Any) -> Array:
    """COCO's boxes (N, 4), as x, y, width, height, as corners (N, 4); an empty list gives (0, 4).

    Example:
        >>> corners([[1, 2, 3, 4]]).tolist()
        [[1.0, 2.0, 4.0, 6.0]]
    """
    xywh = np.asarray(boxes, np.float64).reshape(-1, 4)
    return np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1)


def _xywh(corners: Array) -> Array:
    corners = np.asarray(corners, np.float64)
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1)
