"""Bring a folder of images and annotations into the form that ``configs/small`` reads."""

from asl_mmdet.coco.importing.dataset import FORMATS, Imported, import_dataset

__all__ = ["FORMATS", "Imported", "import_dataset"]
