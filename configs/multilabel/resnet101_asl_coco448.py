"""A ResNet-101 with ASL (arXiv 2009.14119) on MS-COCO 2014, 448 x 448.

Paper      mAP 85.0 with ASL, 83.8 with focal loss, 83.3 with BCE
Users      82 to 83 are reported with these ImageNet-1K weights
Here       not measured
Data       data/coco/{train2014,val2014,annotations}
Train      bash tools/dist_train.sh configs/multilabel/resnet101_asl_coco448.py 8    (8 GPUs x 16 images)
"""

_base_ = "../_base_/multilabel_coco.py"

model = dict(
    backbone=dict(
        type="ResNet",
        depth=101,
        out_indices=(3,),
        style="pytorch",
        init_cfg=dict(
            type="Pretrained",
            checkpoint="https://mmassets.onedl.ai/mmclassification/v0/resnet/resnet101_8xb32_in1k_20210831-539c63f8.pth",
            prefix="backbone",
        ),
    ),
    head=dict(in_channels=2048),
)
