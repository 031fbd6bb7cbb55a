"""Boxes whose class nobody knows: focal loss on all boxes, where a share of them has lost its class.

Feeds docs/results/known_classes.md.

    PYTHONPATH=. MISSING=50 COCO_FOLDER=data/chess TRAIN_IMAGES=2500 python tools/benchmark.py \
        experiments/plans/unknown_class.py --out work_dirs/benchmark/chess_missing50

The options, files and focal losses are those of missing_share.py, and so is the folder of the runs. Its ``focal_tuned``
is the same loss without these boxes, and with MISSING=0 that with all boxes and classes.
"""

_base_ = ["missing_share.py"]

losses = dict(_delete_=True, unknown_class={{_base_._focal}})
baseline = "unknown_class"
options = {
    "train_dataloader.dataset.type": "UnknownClassCoco",
    "custom_hooks": [dict(type="KnownClassesHook")],
    "custom_imports.imports": ["asl_mmdet", "experiments.unknown_class"],
}
