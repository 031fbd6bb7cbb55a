"""ML-Decoder (arXiv 2111.12933) on a TResNet-L (V2) with ASL on MS-COCO 2014, 448 x 448.

Paper      mAP 90.0 from ImageNet-21K weights
Here       not measured
Data       data/coco/{train2014,val2014,annotations}
Train      bash tools/dist_train.sh configs/multilabel/mldecoder_tresnet_l_asl_coco448.py 8    (8 GPUs x 16 images)
"""

_base_ = "tresnet_l_asl_coco448.py"

model = dict(
    backbone=dict(model_name="tresnet_v2_l.miil_in21k"),
    neck=None,
    head=dict(
        _delete_=True,
        type="MLDecoderClsHead",
        num_classes=80,
        in_channels=2048,
        loss={{_base_.model.head.loss}},
    ),
)
