"""A ResNet-101 with adaptive ASL (arXiv 2009.14119, Section 2.7) on MS-COCO 2014, 448 x 448.

Here       not measured
Data       data/coco/{train2014,val2014,annotations}
Train      bash tools/dist_train.sh configs/multilabel/resnet101_adaptive_coco448.py 8    (8 GPUs x 16 images)
"""

_base_ = "resnet101_asl_coco448.py"

model = dict(
    head=dict(loss=dict(type="mmdet.AdaptiveAsymmetricLoss", gamma_neg=2.0, target_gap=0.1, step_size=0.1)),
)
custom_hooks = [
    dict(type="EMAHook", momentum=3e-4, update_buffers=True, evaluate_on_ema=True, evaluate_on_origin=True),
    dict(type="ProbabilityGapHook"),
]
