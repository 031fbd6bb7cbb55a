"""What a margin is worth when boxes are missing: ATSS with 0, 30 and 50 % of the training boxes gone."""

_asl = dict(type="AsymmetricLoss", use_sigmoid=True, gamma_pos=0.0, alpha=0.25)

configs = dict(atss="configs/shapes/atss_r18_focal_shapes.py")
losses = dict(
    focal=None,
    asl01=dict(**_asl, gamma_neg=1.0, clip=0.0),
    asl02=dict(**_asl, gamma_neg=2.0, clip=0.0),
    asl01m=dict(**_asl, gamma_neg=1.0, clip=0.005),
    asl02m=dict(**_asl, gamma_neg=2.0, clip=0.005),
)
baseline = "focal"
data = {
    "complete": {},
    "missing30": {"train_dataloader.dataset.data_root": "data/shapes_missing30/"},
    "missing50": {"train_dataloader.dataset.data_root": "data/shapes_missing50/"},
}
seeds = (0, 1, 2)
shapes = {
    "data/shapes": dict(),
    "data/shapes_missing30": dict(missing_rate=0.3),
    "data/shapes_missing50": dict(missing_rate=0.5),
}
minutes = 3
