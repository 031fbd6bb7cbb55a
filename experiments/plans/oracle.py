"""The ceiling of missing_share.py: focal loss, where what the dropped boxes own costs nothing (experiments/oracle.py).

Feeds docs/results/missing_labels.md.

    PYTHONPATH=. MISSING=50 COCO_FOLDER=data/chess TRAIN_IMAGES=2500 python tools/benchmark.py \
        experiments/plans/oracle.py --out work_dirs/benchmark/chess_missing50

The options, files and focal losses are those of missing_share.py, and so is the folder of the runs.
"""

_base_ = ["missing_share.py"]

_name = "oracle_gamma2" if "{{$HEAD:atss}}" == "shapes" else "oracle"
losses = {"_delete_": True, _name: {{_base_._focal}}}
baseline = _name
options = {
    "train_dataloader.dataset.type": "OracleCoco",
    "custom_hooks": [dict(type="IgnoredBoxesHook")],
    "custom_imports.imports": ["asl_mmdet", "experiments.oracle"],
}
