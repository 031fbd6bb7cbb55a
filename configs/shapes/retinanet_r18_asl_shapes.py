_base_ = "retinanet_r18_focal_shapes.py"

model = dict(
    bbox_head=dict(
        loss_cls=dict(
            _delete_=True, type="AsymmetricLoss", use_sigmoid=True, gamma_pos=0.0, gamma_neg=1.0, clip=0.0, alpha=0.25
        )
    )
)
