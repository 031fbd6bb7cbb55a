"""The preset that is told nothing, beside missing_share.py: it estimates the share on the validation images.

Feeds no page yet: its runs are not finished.

    MISSING=50 COCO_FOLDER=data/chess TRAIN_IMAGES=2500 python tools/benchmark.py experiments/plans/auto.py \
        --out work_dirs/benchmark/chess_missing50

The validation images lack as many boxes as the training images, by another file of tools/drop_boxes.py
(annotations/val_missing50.json); the runs are judged on all boxes. The options are those of missing_share.py.
"""

_base_ = ["missing_share.py"]
_missing = int("{{$MISSING:50}}")
_family = "detection" if "{{$HEAD:atss}}" == "shapes" else "detection_small"

losses = dict(_delete_=True, auto=f"{_family}_missing_rate_auto")
baseline = "auto"
_val = f"annotations/val_missing{_missing}.json" if _missing else "annotations/val.json"
options = {"val_dataloader.dataset.ann_file": _val}
