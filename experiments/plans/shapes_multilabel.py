"""The paper's Table 2 on the shapes data, complete and with 30 % of the training boxes missing.

Feeds docs/results/multi_label.md and configs/shapes/metafile.yml.

BCE, focal loss, only focusing, only a margin, and both (the presets). Images and seeds are others than those of the
tuning. The set without boxes is made by

    python experiments/missing_shapes.py data/shapes_report_tags_missing30 --rate 0.3 --seed 1 --num-train 4000 \
        --num-val 1000
"""

_asl = dict(type="mmdet.AsymmetricLoss", use_sigmoid=True, gamma_pos=0.0, alpha=None, detach_focusing=True)
_val = {f"{split}_dataloader.dataset.data_root": "data/shapes_report_tags/" for split in ("val", "test")}

configs = dict(classifier="configs/shapes/classifier_r18_focal_shapes.py")
losses = dict(
    focal=None,
    bce=dict(type="CrossEntropyLoss", use_sigmoid=True),
    multi_label_focusing=dict(**_asl, gamma_neg=4.0, clip=0.0),
    multi_label_margin=dict(**_asl, gamma_neg=0.0, clip=0.05),
    multi_label="multi_label",
    multi_label_missing_labels="multi_label_missing_labels",
)
baseline = "focal"
data = {
    "complete": {**_val, "train_dataloader.dataset.data_root": "data/shapes_report_tags/"},
    "missing30": {**_val, "train_dataloader.dataset.data_root": "data/shapes_report_tags_missing30/"},
}
seeds = (10, 11, 12)
options = {"train_cfg.val_interval": 4}
shapes = {"data/shapes_report_tags": dict(num_train=4000, num_val=1000, seed=1)}
minutes = 3
