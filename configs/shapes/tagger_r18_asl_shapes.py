_base_ = "../_base_/shapes_multilabel.py"

model = dict(
    head=dict(
        loss=dict(
            type="mmdet.AsymmetricLoss",
            use_sigmoid=True,
            gamma_pos=0.0,
            gamma_neg=4.0,
            clip=0.05,
            alpha=None,
            detach_focusing=True,
        )
    )
)
