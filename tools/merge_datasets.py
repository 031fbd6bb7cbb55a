"""Merge COCO-format files with different classes: python tools/merge_datasets.py A.json B.json OUT.json."""

from asl_mmdet.cli.merge_datasets import main

if __name__ == "__main__":
    main()
