"""Mend a COCO-format annotation file."""

from asl_mmdet_cli import run

if __name__ == "__main__":
    run("fix_annotations")
