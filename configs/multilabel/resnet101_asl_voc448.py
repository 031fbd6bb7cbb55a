"""A ResNet-101 with ASL (arXiv 2009.14119) on PASCAL VOC 2007, 448 x 448.

Paper      mAP 94.4
Here       not measured
Data       data/VOCdevkit/VOC2007/{JPEGImages,Annotations,ImageSets}
Train      bash tools/dist_train.sh configs/multilabel/resnet101_asl_voc448.py 8    (8 GPUs x 16 images)
"""

_base_ = "../_base_/multilabel_voc.py"

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
