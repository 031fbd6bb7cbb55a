"""A COCO-format folder read as multi-label data, on a pretrained MobileNetV2: which classes are in an image.

The folder, COCO_FOLDER and TRAIN_IMAGES are those of small_detection.py. Images without any box are kept.
"""

_base_ = (
    "mmpretrain::_base_/default_runtime.py"  # before the imports: MMEngine 0.10 tells by it what kind of config it is
)

import json
import os

custom_imports = dict(imports=["asl_mmdet", "asl_mmdet.multilabel"], allow_failed_imports=False)

data_root = "{{$COCO_FOLDER:data/coco_folder}}/"
classes, num_images = ("one", "another"), 300  # where there is no such folder, which tools/train.py says
if os.path.isfile(data_root + "annotations/train.json"):
    with open(data_root + "annotations/train.json", "rb") as file:  # JSON tells its encoding by its bytes
        coco = json.load(file)
    classes, num_images = tuple(category["name"] for category in coco["categories"]), len(coco["images"])
    del coco, file
num_classes = len(classes)
max_epochs = max(1, round(int("{{$TRAIN_IMAGES:5000}}") / num_images))

size = (224, 224)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=size),
    dict(type="RandomFlip", prob=0.5, direction="horizontal"),
    dict(type="PackInputs"),
]
test_pipeline = [dict(type="LoadImageFromFile"), dict(type="Resize", scale=size), dict(type="PackInputs")]
folder = dict(
    type="CocoMultiLabel",
    data_root=data_root,
    data_prefix="images/",
    metainfo=dict(classes=classes),
    filter_cfg=dict(filter_empty_gt=False),
)
# Workers are recreated every epoch, from the run's seed: a resumed run sees what it would have seen.
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=False,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(ann_file="annotations/train.json", pipeline=train_pipeline, **folder),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(ann_file="annotations/val.json", test_mode=True, pipeline=test_pipeline, **folder),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="MultiLabelTable")
test_evaluator = val_evaluator

train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=max_epochs, val_interval=max(1, max_epochs // 3))
val_cfg = dict()
test_cfg = dict()
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(
        type="CosineAnnealingLR",
        by_epoch=True,
        begin=0,
        end=max_epochs,
        T_max=max_epochs,
        eta_min_ratio=0.01,
        convert_to_iter_based=True,
    ),
]
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.05),
    paramwise_cfg=dict(custom_keys={"backbone": dict(lr_mult=0.2)}, norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=10),
)
randomness = dict(seed=0)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(max_keep_ckpts=2))

model = dict(
    type="ImageClassifier",
    data_preprocessor=dict(
        num_classes=num_classes,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
        to_onehot=True,
    ),
    backbone=dict(
        type="asl_mmdet.mobilenet.FastMobileNetV2",  # MMDetection's, whose names the weights have
        out_indices=(7,),
        frozen_stages=4,
        norm_eval=True,
        init_cfg=dict(type="Pretrained", checkpoint="packaged://mobilenet_v2"),
    ),
    neck=dict(type="GlobalAveragePooling"),
    head=dict(type="MultiLabelLinearClsHead", num_classes=num_classes, in_channels=1280),
)
