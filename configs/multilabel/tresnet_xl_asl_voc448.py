"""A TResNet-XL with ASL (arXiv 2009.14119) on PASCAL VOC 2007, 448 x 448.

Paper      mAP 96.0 (authors' model zoo)
Here       not measured
Data       data/VOCdevkit/VOC2007/{JPEGImages,Annotations,ImageSets}
Train      bash tools/dist_train.sh configs/multilabel/tresnet_xl_asl_voc448.py 8    (8 GPUs x 16 images)
"""

_base_ = "../_base_/multilabel_voc.py"

model = dict(
    backbone=dict(type="TIMMBackbone", model_name="tresnet_xl.miil_in1k", pretrained=True), head=dict(in_channels=2656)
)
