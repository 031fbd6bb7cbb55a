"""Import a YOLO, Pascal VOC or COCO folder."""

from asl_mmdet_cli import run

if __name__ == "__main__":
    run("import_dataset")
