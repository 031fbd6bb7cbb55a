"""Drop boxes of a COCO-format annotation file."""

from asl_mmdet_cli import run

if __name__ == "__main__":
    run("drop_boxes")
