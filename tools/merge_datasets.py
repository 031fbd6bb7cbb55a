"""Merge COCO-format files with different classes."""

from asl_mmdet_cli import run

if __name__ == "__main__":
    run("merge_datasets")
