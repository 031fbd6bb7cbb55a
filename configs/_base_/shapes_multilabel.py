"""Data, schedule and the small model of the shapes classifiers: which of 24 classes are in an image of 128 x 128."""

_base_ = "mmpretrain::_base_/default_runtime.py"

custom_imports = dict(imports=["asl_mmdet", "asl_mmdet.multilabel"], allow_failed_imports=False)

data_root = "data/shapes_tags/"
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(128, 128)),
    dict(type="RandomFlip", prob=0.5, direction="horizontal"),
    dict(type="PackInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(128, 128)),
    dict(type="PackInputs"),
]
# Workers are recreated every epoch, from the run's seed: a resumed run sees what it would have seen.
train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    persistent_workers=False,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type="CocoMultiLabel",
        data_root=data_root,
        ann_file="annotations/train.json",
        data_prefix="train/",
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=2,
    persistent_workers=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="CocoMultiLabel",
        data_root=data_root,
        ann_file="annotations/val.json",
        data_prefix="val/",
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="MultiLabelTable")
test_evaluator = val_evaluator

train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=8, val_interval=1)
val_cfg = dict()
test_cfg = dict()
param_scheduler = [
    dict(type="OneCycleLR", eta_max=2e-3, total_steps=8, pct_start=0.2, by_epoch=True, convert_to_iter_based=True),
]
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=2e-3, weight_decay=0.01),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
randomness = dict(seed=0)
default_hooks = dict(logger=dict(interval=25))

model = dict(
    type="ImageClassifier",
    data_preprocessor=dict(num_classes=24, mean=[0, 0, 0], std=[255, 255, 255], to_rgb=True, to_onehot=True),
    backbone=dict(type="ResNet", depth=18, base_channels=32, stem_channels=32, out_indices=(3,), style="pytorch"),
    neck=dict(type="GlobalAveragePooling"),
    head=dict(type="MultiLabelLinearClsHead", num_classes=24, in_channels=256),
)
