"""A TResNet-L (V2, from ImageNet-21K weights) with ASL (arXiv 2009.14119) on MS-COCO 2014, 640 x 640.

Paper      mAP 89.8
Here       not measured
Data       data/coco/{train2014,val2014,annotations}
Train      bash tools/dist_train.sh configs/multilabel/tresnet_l_asl_coco640.py 8    (8 GPUs x 16 images)
"""

_base_ = "tresnet_l_asl_coco448.py"

image_size = 640
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(image_size, image_size)),
    dict(type="Cutout", shape=image_size // 2, prob=1.0),
    dict(type="RandAugment", policies="timm_increasing", num_policies=2, magnitude_level=9),
    dict(type="PackInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(image_size, image_size)),
    dict(type="PackInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
model = dict(backbone=dict(model_name="tresnet_v2_l.miil_in21k"), head=dict(in_channels=2048))
