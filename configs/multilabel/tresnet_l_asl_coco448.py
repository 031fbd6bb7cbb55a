"""A TResNet-L with ASL (arXiv 2009.14119) on MS-COCO 2014, 448 x 448.

Paper      mAP 86.6. From ImageNet-21K weights 88.4, with the V2 of the network: --cfg-options
           model.backbone.model_name=tresnet_v2_l.miil_in21k model.head.in_channels=2048
Here       not measured
Data       data/coco/{train2014,val2014,annotations}
Train      bash tools/dist_train.sh configs/multilabel/tresnet_l_asl_coco448.py 8    (8 GPUs x 16 images)
"""

_base_ = "../_base_/multilabel_coco.py"

model = dict(
    backbone=dict(type="TIMMBackbone", model_name="tresnet_l.miil_in1k", pretrained=True), head=dict(in_channels=2432)
)
