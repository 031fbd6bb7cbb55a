"""For a folder of a few hundred images, in minutes on a CPU: data, schedule, pretrained backbone and a light neck.

The folder is in COCO format: annotations/train.json, annotations/val.json and images/. COCO_FOLDER names it; classes
and number of images are read from its annotations/train.json. Every folder is trained on for about as long,
TRAIN_IMAGES images in all: a small one for more epochs. docs/how_to/own_folder.md says how the values were chosen.
"""

_base_ = "mmdet::_base_/default_runtime.py"  # before the imports: MMEngine 0.10 tells by it what kind of config this is

import json
import os

custom_imports = dict(imports=["asl_mmdet"], allow_failed_imports=False)

data_root = "{{$COCO_FOLDER:data/coco_folder}}/"
classes, num_images = ("one", "another"), 300  # where there is no such folder, which tools/train.py says
if os.path.isfile(data_root + "annotations/train.json"):
    with open(data_root + "annotations/train.json", "rb") as file:  # JSON tells its encoding by its bytes
        coco = json.load(file)
    classes, num_images = tuple(category["name"] for category in coco["categories"]), len(coco["images"])
    del coco, file
num_classes = len(classes)
max_epochs = max(1, round(int("{{$TRAIN_IMAGES:5000}}") / num_images))

size = (320, 320)
test_size = (384, 384)  # whole images: objects are then as large as training shows them (arXiv 1906.06423)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="RandomResize", scale=size, ratio_range=(0.8, 1.5), keep_ratio=True),
    dict(type="RandomCrop", crop_size=size, allow_negative_crop=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=test_size, keep_ratio=True),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="PackDetInputs", meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")),
]
folder = dict(type="CocoDataset", data_root=data_root, data_prefix=dict(img="images/"), metainfo=dict(classes=classes))
# Workers are recreated every epoch, from the run's seed: a resumed run sees what it would have seen.
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=False,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        ann_file="annotations/train.json",
        filter_cfg=dict(filter_empty_gt=False),
        pipeline=train_pipeline,
        **folder,
    ),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=False,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(ann_file="annotations/val.json", test_mode=True, pipeline=test_pipeline, **folder),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="CocoMetric", ann_file=data_root + "annotations/val.json", metric="bbox")
test_evaluator = val_evaluator

train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=max_epochs, val_interval=max(1, max_epochs // 3))
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=100),
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
auto_scale_lr = dict(enable=False, base_batch_size=4)
randomness = dict(seed=0)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(max_keep_ckpts=2))

model = dict(
    data_preprocessor=dict(
        type="DetDataPreprocessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type="asl_mmdet.mobilenet.FastMobileNetV2",  # MobileNetV2 with less work on a CPU
        out_indices=(2, 4, 6),
        frozen_stages=4,  # of 7
        norm_eval=True,
        init_cfg=dict(type="Pretrained", checkpoint="packaged://mobilenet_v2"),
    ),
    neck=dict(type="FPN", in_channels=[32, 96, 320], out_channels=64, num_outs=4, add_extra_convs="on_output"),
)
