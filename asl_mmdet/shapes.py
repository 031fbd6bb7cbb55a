"""The address that :mod:`asl_mmdet.coco.shapes` had before version 0.3."""

from asl_mmdet.coco.shapes import MAX_CLASSES, make_shapes

__all__ = ["MAX_CLASSES", "make_shapes"]
