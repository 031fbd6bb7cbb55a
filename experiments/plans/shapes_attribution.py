"""What a gain over focal loss comes from: a smaller gamma, asymmetry or ignore_above; ATSS on the shapes data.

Feeds docs/results/gain.md, missing_labels.md and thresholds.md.

Focal loss with another gamma and with ignore_above stands beside ASL, since both are to be had without asymmetry. The
last three have the alpha and the weight that a search found on chess pieces (docs/results/search.md).
The set without boxes is made by

    python experiments/missing_shapes.py data/shapes_report_missing50 --rate 0.5 --seed 1 --num-val 600
"""

_val = {f"{split}_dataloader.dataset.data_root": "data/shapes_report/" for split in ("val", "test")}
_focal = dict(type="AsymmetricLoss", use_sigmoid=True, gamma_pos=2.0, gamma_neg=2.0, clip=0.0, alpha=0.25)
_focal1 = {**_focal, "gamma_pos": 1.0, "gamma_neg": 1.0}
_tuned = dict(alpha=0.5, loss_weight=2.0)

configs = dict(atss="configs/shapes/atss_r18_focal_shapes.py")
losses = dict(
    focal=None,
    focal_ignore={**_focal, "ignore_above": 0.3},
    focal_gamma1=dict(type="FocalLoss", use_sigmoid=True, gamma=1.0, alpha=0.25, loss_weight=1.0),
    focal_gamma1_ignore={**_focal1, "ignore_above": 0.3},
    focal_gamma05=dict(type="FocalLoss", use_sigmoid=True, gamma=0.5, alpha=0.25, loss_weight=1.0),
    detection="detection",
    detection_missing_labels="detection_missing_labels",
    focal_tuned=dict(type="FocalLoss", use_sigmoid=True, gamma=1.5, **_tuned),
    focal_tuned_ignore={**_focal, **_tuned, "gamma_pos": 1.5, "gamma_neg": 1.5, "ignore_above": 0.3},
    detection_small_missing_labels="detection_small_missing_labels",
)
baseline = "focal"
data = {
    "missing50": {**_val, "train_dataloader.dataset.data_root": "data/shapes_report_missing50/"},
    "complete": {**_val, "train_dataloader.dataset.data_root": "data/shapes_report/"},
}
seeds = (10, 11, 12)
options = {"train_cfg.val_interval": 2}
shapes = {"data/shapes_report": dict(num_val=600, seed=1)}
minutes = 4
