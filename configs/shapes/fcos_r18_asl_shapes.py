_base_ = "fcos_r18_focal_shapes.py"

model = dict(bbox_head=dict(loss_cls=dict(_delete_=True, type="AsymmetricLoss", use_sigmoid=True)))
