"""The paper's Figures 5 to 7 and Table 3 on the shapes data: sweeps over gamma, the margin and the adaptive target.

The tuning set and one seed: to choose parameters by, not to report.
"""

_asl = dict(type="mmdet.AsymmetricLoss", use_sigmoid=True, gamma_pos=0.0, alpha=None, detach_focusing=True)
_adaptive = {**_asl, "type": "mmdet.AdaptiveAsymmetricLoss", "gamma_neg": 2.0, "clip": 0.05}

configs = dict(classifier="configs/shapes/classifier_r18_focal_shapes.py")
losses = dict(
    focal=None,
    **{f"gamma{g}": dict(_asl, gamma_pos=float(g), gamma_neg=float(g), clip=0.0) for g in (0, 1, 2, 4)},
    **{f"alpha{a}": dict(_asl, gamma_pos=2.0, gamma_neg=2.0, clip=0.0, alpha=a) for a in (0.25, 0.5, 0.75)},
    **{f"gamma_neg{g}": dict(_asl, gamma_neg=float(g), clip=0.05) for g in (1, 2, 4, 6)},
    **{f"gamma_pos{g}": dict(_asl, gamma_pos=float(g), gamma_neg=4.0, clip=0.05) for g in (1, 2)},
    **{f"clip{m}": dict(_asl, gamma_neg=4.0, clip=m) for m in (0.0, 0.1, 0.2, 0.3)},
    gamma0_margin=dict(_asl, gamma_neg=0.0, clip=0.2),
    gamma2_margin=dict(_asl, gamma_pos=2.0, gamma_neg=2.0, clip=0.05),
    **{f"target{t}": dict(**_adaptive, target_gap=t) for t in (0.0, 0.1, 0.2, 0.3)},
)
baseline = "focal"
seeds = (0,)
options = {"train_cfg.val_interval": 4}
shapes = {"data/shapes_tags": dict(num_train=4000, num_val=1000)}
minutes = 3
