"""ATSS where 0, 30 and 50 % of the training boxes are missing; images and seeds are others than those of the tuning.

Feeds docs/results/missing_labels.md, and its second rounds docs/results/audit.md.

``detection_missing_rate`` takes 50 % for missing in all three. The sets without boxes are made by

    python experiments/missing_shapes.py data/shapes_report_missing30 --rate 0.3 --seed 1 --num-val 600
    python experiments/missing_shapes.py data/shapes_report_missing50 --rate 0.5 --seed 1 --num-val 600
"""

_val = {f"{split}_dataloader.dataset.data_root": "data/shapes_report/" for split in ("val", "test")}

configs = dict(atss="configs/shapes/atss_r18_focal_shapes.py")
losses = dict(
    focal=None,
    detection="detection",
    detection_missing_labels="detection_missing_labels",
    detection_missing_rate="detection_missing_rate",
    detection_margin=dict(preset="detection", clip=0.05),
)
baseline = "focal"
data = {
    "complete": {**_val, "train_dataloader.dataset.data_root": "data/shapes_report/"},
    "missing30": {**_val, "train_dataloader.dataset.data_root": "data/shapes_report_missing30/"},
    "missing50": {**_val, "train_dataloader.dataset.data_root": "data/shapes_report_missing50/"},
}
seeds = (10, 11, 12)
options = {"train_cfg.val_interval": 2}
shapes = {"data/shapes_report": dict(num_val=600, seed=1)}
minutes = 4
