"""A small FCOS with focal loss on the shapes data, 6 epochs.

Expect     box AP 43.0, 38.0 (seeds 0 and 1; shapes_presets in benchmarks/runs.csv)
Data       python tools/make_shapes.py --out data/shapes
Train      python tools/train.py configs/shapes/fcos_r18_focal_shapes.py
"""

_base_ = "../_base_/shapes_detection.py"

model = dict(
    type="FCOS",
    bbox_head=dict(
        type="FCOSHead",
        num_classes=24,
        in_channels=64,
        stacked_convs=2,
        feat_channels=64,
        norm_cfg=dict(type="GN", num_groups=16, requires_grad=True),
        strides=[4, 8, 16, 32],
        regress_ranges=((-1, 16), (16, 32), (32, 64), (64, 1e8)),
        norm_on_bbox=True,
        centerness_on_reg=True,
        center_sampling=True,
        loss_cls=dict(type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type="GIoULoss", loss_weight=1.0),
        loss_centerness=dict(type="CrossEntropyLoss", use_sigmoid=True, loss_weight=1.0),
    ),
    test_cfg=dict(
        nms_pre=1000, min_bbox_size=0, score_thr=0.05, nms=dict(type="nms", iou_threshold=0.6), max_per_img=100
    ),
)
