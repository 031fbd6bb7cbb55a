"""The second round within the training: what the detector finds in the training images is ignored from then on.

    MISSING=50 COCO_FOLDER=data/chess TRAIN_IMAGES=2500 python tools/benchmark.py experiments/plans/found_boxes.py \
        --out work_dirs/benchmark/chess_missing50

Feeds no page yet: its runs are not finished.

The focal loss and the options of missing_share.py with asl_mmdet.hooks.FoundBoxesHook, which finds half as many boxes
again as are missing. It estimates the share on validation images that lack boxes; the runs are judged on all boxes.
"""

_base_ = ["missing_share.py"]
_missing = int("{{$MISSING:50}}")

losses = dict(_delete_=True, focal_found_half_more={{_base_._focal}})
baseline = "focal_found_half_more"
_val = f"annotations/val_missing{_missing}.json" if _missing else "annotations/val.json"
options = {"val_dataloader.dataset.ann_file": _val, "custom_hooks": [dict(type="FoundBoxesHook")]}
