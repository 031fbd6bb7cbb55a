"""A TResNet-M with ASL (arXiv 2009.14119) on MS-COCO 2014, 224 x 224.

Paper      mAP 81.8 (authors' model zoo, from ImageNet-21K weights)
Here       not measured
Data       data/coco/{train2014,val2014,annotations}
Train      bash tools/dist_train.sh configs/multilabel/tresnet_m_asl_coco224.py 8    (8 GPUs x 16 images)
"""

_base_ = "../_base_/multilabel_coco.py"

image_size = 224
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
model = dict(
    backbone=dict(type="TIMMBackbone", model_name="tresnet_m.miil_in21k", pretrained=True), head=dict(in_channels=2048)
)
