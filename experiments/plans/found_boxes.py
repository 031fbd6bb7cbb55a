"""The second round within the training: what the detector finds in the training images is ignored from then on.

    MISSING=50 COCO_FOLDER=data/chess TRAIN_IMAGES=2500 python tools/benchmark.py experiments/plans/found_boxes.py \
        --out work_dirs/benchmark/chess_missing50

Feeds docs/results/missing_labels.md.

The focal loss and the options of missing_share.py with asl_mmdet.hooks.FoundBoxesHook, which finds half as many boxes
again as are missing. It estimates the share on the validation images.
"""

_base_ = ["missing_share.py"]

_name = "focal_gamma2_found" if "{{$HEAD:atss}}" == "shapes" else "focal_found_half_more"
losses = {"_delete_": True, _name: {{_base_._focal}}}
baseline = _name
options = {"custom_hooks": [dict(type="FoundBoxesHook")]}
