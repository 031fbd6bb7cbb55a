"""The recipe of the ASL paper for multi-label classification, as its code trains on MS-COCO.

Adam with 1e-4 at its peak, one cycle sized for 80 epochs and stopped at 40, no weight decay on biases and norms,
batches of 128 (8 GPUs x 16 images; on fewer, raise train_dataloader.batch_size or optim_wrapper.accumulative_counts),
images squashed to a square with pixels in [0, 1], Cutout and RandAugment, mixed precision (the loss computes in
float32).

Each evaluation prints the table twice, for the average of the weights (mAP, which chooses the best checkpoint) and for
the weights themselves (mAP_origin); the paper reports the better one.
"""

_base_ = "mmpretrain::_base_/default_runtime.py"

custom_imports = dict(imports=["asl_mmdet", "asl_mmdet.multilabel"], allow_failed_imports=False)

image_size = 448
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
    dict(type="PackInputs", meta_keys=("sample_idx", "img_path", "ori_shape", "img_shape", "gt_label_difficult")),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=8,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=8,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(test_mode=True, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="MultiLabelTable", thr=0.8)
test_evaluator = val_evaluator

train_cfg = dict(by_epoch=True, max_epochs=40, val_interval=1)
val_cfg = dict()
test_cfg = dict()
param_scheduler = [
    dict(type="OneCycleLR", eta_max=1e-4, total_steps=80, pct_start=0.2, by_epoch=True, convert_to_iter_based=True),
]
optim_wrapper = dict(
    type="AmpOptimWrapper",
    optimizer=dict(type="Adam", lr=1e-4, weight_decay=1e-4),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
custom_hooks = [
    dict(type="EMAHook", momentum=3e-4, update_buffers=True, evaluate_on_ema=True, evaluate_on_origin=True),
]
default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=2, save_best="multi-label/mAP"))

model = dict(
    type="ImageClassifier",
    data_preprocessor=dict(mean=[0, 0, 0], std=[255, 255, 255], to_rgb=True, to_onehot=True),
    neck=dict(type="GlobalAveragePooling"),
    head=dict(
        type="MultiLabelLinearClsHead",
        loss=dict(
            type="mmdet.AsymmetricLoss",
            use_sigmoid=True,
            gamma_pos=0.0,
            gamma_neg=4.0,
            clip=0.05,
            alpha=None,
            detach_focusing=True,
        ),
    ),
)
