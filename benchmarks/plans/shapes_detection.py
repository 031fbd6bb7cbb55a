"""Three heads with focal loss, BCE and ASL on the clean shapes data."""

configs = dict(
    atss="configs/shapes/atss_r18_focal_shapes.py",
    fcos="configs/shapes/fcos_r18_focal_shapes.py",
    retinanet="configs/shapes/retinanet_r18_focal_shapes.py",
)
losses = dict(
    focal=None,
    bce=dict(type="CrossEntropyLoss", use_sigmoid=True),
    asl01=dict(type="AsymmetricLoss", use_sigmoid=True, gamma_pos=0.0, gamma_neg=1.0, clip=0.0, alpha=0.25),
    asl02=dict(type="AsymmetricLoss", use_sigmoid=True, gamma_pos=0.0, gamma_neg=2.0, clip=0.0, alpha=0.25),
    asl12=dict(type="AsymmetricLoss", use_sigmoid=True, gamma_pos=1.0, gamma_neg=2.0, clip=0.0, alpha=0.25),
)
baseline = "focal"
seeds = (0, 1, 2)
shapes = {"data/shapes": dict()}
minutes = 3
