"""The second round within the training: what the detector finds in the training images is ignored from then on.

    MISSING=50 COCO_FOLDER=data/chess TRAIN_IMAGES=2500 python tools/benchmark.py experiments/plans/found_boxes.py \
        --out work_dirs/benchmark/chess_missing50

The focal loss of missing_share.py and the preset of auto.py with asl_mmdet.hooks.FoundBoxesHook. It estimates the share
as that preset does, on validation images that lack boxes. FOUND chooses one of the two. The other options are those of
missing_share.py.
"""

_base_ = ["missing_share.py"]
_missing = int("{{$MISSING:50}}")
_family = "detection" if "{{$HEAD:atss}}" == "shapes" else "detection_small"
_found = "{{$FOUND:focal_found,auto_found}}"

_with = dict(focal_found={{_base_._focal}}, focal_found_half_more={{_base_._focal}}, auto_found=f"{_family}_missing_rate_auto")
losses = {"_delete_": True, **{name: _with[name] for name in _found.split(",")}}
baseline = _found.split(",")[0]
_val = f"annotations/val_missing{_missing}.json" if _missing else "annotations/val.json"
_more = dict(times=1.5) if "half_more" in _found else {}
options = {
    "val_dataloader.dataset.ann_file": _val,
    "custom_hooks": [dict(type="FoundBoxesHook", **_more)],
}
