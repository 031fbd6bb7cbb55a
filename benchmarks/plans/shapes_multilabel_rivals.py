"""Hill, SPLC and LL-* on the shapes data, complete and with half of the boxes missing.

    PYTHONPATH=. python tools/benchmark.py benchmarks/plans/shapes_multilabel_rivals.py

The images, seeds and the other losses are those of shapes_multilabel.py.
"""

_val = {f"{split}_dataloader.dataset.data_root": "data/shapes_report_tags/" for split in ("val", "test")}
_size = dict(num_train=4000, num_val=1000, seed=1)
_ll = dict(type="LargeLoss", delta_rel=0.2)

configs = dict(classifier="configs/shapes/classifier_r18_focal_shapes.py")
losses = dict(
    focal=None,
    bce=dict(type="CrossEntropyLoss", use_sigmoid=True),
    multi_label="multi_label",
    missing_labels="multi_label_missing_labels",
    hill=dict(type="Hill"),
    splc=dict(type="SPLC"),
    ll_r=dict(**_ll, scheme="LL-R"),
    ll_ct=dict(**_ll, scheme="LL-Ct"),
    ll_cp=dict(**_ll, scheme="LL-Cp"),
)
baseline = "focal"
data = {
    "missing50": {**_val, "train_dataloader.dataset.data_root": "data/shapes_report_tags_missing50/"},
    "complete": {**_val, "train_dataloader.dataset.data_root": "data/shapes_report_tags/"},
}
seeds = (10, 11, 12)
options = {
    "train_cfg.val_interval": 4,
    "custom_imports.imports": [
        *("asl_mmdet", "asl_mmdet.multilabel", "benchmarks.rivals", "benchmarks.rivals.classification"),
    ],
    "model.head.type": "SampleAwareClsHead",
}
shapes = {"data/shapes_report_tags": _size, "data/shapes_report_tags_missing50": dict(_size, missing_rate=0.5)}
minutes = 3
