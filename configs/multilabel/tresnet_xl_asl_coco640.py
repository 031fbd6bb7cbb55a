"""A TResNet-XL with ASL (arXiv 2009.14119) on MS-COCO 2014, 640 x 640.

Paper      mAP 88.4
Here       not measured
Data       data/coco/{train2014,val2014,annotations}
Train      bash tools/dist_train.sh configs/multilabel/tresnet_xl_asl_coco640.py 8    (8 GPUs x 16 images)
"""

_base_ = "tresnet_l_asl_coco640.py"

model = dict(backbone=dict(model_name="tresnet_xl.miil_in1k"), head=dict(in_channels=2656))
