"""The paper's Table 2 and 3 on the shapes data: BCE, focal loss, focusing, margin, both, and adaptive targets."""

_asl = dict(type="mmdet.AsymmetricLoss", use_sigmoid=True, gamma_pos=0.0, alpha=None, detach_focusing=True)
_adaptive = {**_asl, "type": "mmdet.AdaptiveAsymmetricLoss", "gamma_neg": 2.0, "clip": 0.05}

configs = dict(tagger="configs/shapes/tagger_r18_focal_shapes.py")
losses = dict(
    focal=None,
    bce=dict(type="CrossEntropyLoss", use_sigmoid=True),
    focusing4=dict(**_asl, gamma_neg=4.0, clip=0.0),
    margin05=dict(**_asl, gamma_neg=0.0, clip=0.05),
    asl1=dict(**_asl, gamma_neg=1.0, clip=0.05),
    asl2=dict(**_asl, gamma_neg=2.0, clip=0.05),
    asl4=dict(**_asl, gamma_neg=4.0, clip=0.05),
    adaptive0=dict(**_adaptive, target_gap=0.0),
    adaptive1=dict(**_adaptive, target_gap=0.1),
    adaptive2=dict(**_adaptive, target_gap=0.2),
    adaptive3=dict(**_adaptive, target_gap=0.3),
)
baseline = "focal"
seeds = (0, 1, 2)
shapes = {"data/shapes_tags": dict(num_train=4000, num_val=1000)}
minutes = 4
