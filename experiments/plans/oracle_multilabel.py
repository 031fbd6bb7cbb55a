"""The ceiling of folder_multilabel.py: the same losses, where dropped labels cost nothing (docs/concepts/oracle.md).

Feeds docs/results/multi_label.md.

    PYTHONPATH=. COCO_FOLDER=data/fod TRAIN_IMAGES=6000 python tools/benchmark.py \
        experiments/plans/oracle_multilabel.py --out work_dirs/benchmark/fod_multilabel

The annotation files, the options and the folder of the runs are those of folder_multilabel.py.
"""

from asl_mmdet.losses.presets import PRESETS

_base_ = ["folder_multilabel.py"]
_protocol = "{{$PROTOCOL:missing50}}"

losses = dict(
    _delete_=True,
    oracle_focal=dict(type="PartialLabelLoss", loss={{_base_.losses.focal}}),
    oracle_multi_label=dict(type="PartialLabelLoss", loss=PRESETS["multi_label"]),
)
baseline = "oracle_focal"
data = dict(_delete_=True, **{_protocol: {"train_dataloader.dataset.ann_file": f"annotations/train_{_protocol}.json"}})
options = {
    "train_dataloader.dataset.type": "OracleCocoMultiLabel",
    "custom_imports.imports": ["asl_mmdet", "asl_mmdet.multilabel", "experiments.oracle_multilabel"],
    "model.head.type": "MultiLabelLinearClsHead",
}
del PRESETS
