"""Drop boxes of a COCO-format annotation file: python tools/drop_boxes.py train.json half.json --rate 0.5."""

from asl_mmdet.cli.drop_boxes import main

if __name__ == "__main__":
    main()
