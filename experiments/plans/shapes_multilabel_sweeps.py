"""The paper's Figures 5 to 7 and Table 3 on the shapes data: sweeps over gamma, the margin and the adaptive target.

Feeds docs/results/multi_label.md and adaptive.md.

The tuning set and one seed: to choose parameters by, not to report.
"""

_asl = dict(type="mmdet.AsymmetricLoss", use_sigmoid=True, alpha=None, detach_focusing=True)
_symmetric = dict(**_asl, gamma_pos=2.0, gamma_neg=2.0, clip=0.0)
_adaptive = {**_asl, "type": "mmdet.AdaptiveAsymmetricLoss", "gamma_pos": 0.0, "gamma_neg": 2.0, "clip": 0.05}

configs = dict(classifier="configs/shapes/classifier_r18_focal_shapes.py")
losses = dict(
    focal=None,
    **{f"symmetric_gamma{g}": dict(_symmetric, gamma_pos=float(g), gamma_neg=float(g)) for g in (0, 1, 2, 4)},
    symmetric_alpha025=dict(_symmetric, alpha=0.25),
    symmetric_alpha05=dict(_symmetric, alpha=0.5),
    symmetric_alpha075=dict(_symmetric, alpha=0.75),
    multi_label="multi_label",
    **{f"multi_label_gamma_neg{g}": dict(preset="multi_label", gamma_neg=float(g)) for g in (1, 2, 6)},
    **{f"multi_label_gamma_pos{g}": dict(preset="multi_label", gamma_pos=float(g)) for g in (1, 2)},
    multi_label_focusing=dict(preset="multi_label", clip=0.0),
    multi_label_clip01=dict(preset="multi_label", clip=0.1),
    multi_label_missing_labels="multi_label_missing_labels",
    multi_label_clip03=dict(preset="multi_label", clip=0.3),
    multi_label_margin02=dict(preset="multi_label", gamma_neg=0.0, clip=0.2),
    symmetric_margin=dict(_symmetric, clip=0.05),
    adaptive_target0=dict(_adaptive, target_gap=0.0),
    adaptive_target01=dict(_adaptive, target_gap=0.1),
    adaptive_target02=dict(_adaptive, target_gap=0.2),
    adaptive_target03=dict(_adaptive, target_gap=0.3),
)
baseline = "focal"
seeds = (0,)
options = {"train_cfg.val_interval": 4}
data = {"complete": {}}
shapes = {"data/shapes_tags": dict(num_train=4000, num_val=1000)}
minutes = 3
