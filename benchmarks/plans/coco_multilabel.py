"""A ResNet-101 classifier on MS-COCO 2014 with BCE, focal loss and ASL (paper: mAP 83.3, 83.8 and 85.0); for GPUs.

python tools/benchmark.py benchmarks/plans/coco_multilabel.py --launcher pytorch --gpus 8
"""

_asl = dict(type="mmdet.AsymmetricLoss", use_sigmoid=True, gamma_pos=0.0, alpha=None, detach_focusing=True)

configs = dict(resnet101="configs/multilabel/resnet101_asl_coco448.py")
losses = dict(
    bce=dict(type="CrossEntropyLoss", use_sigmoid=True),
    focal=dict(type="FocalLoss", gamma=2.0, alpha=0.5),
    multi_label="multi_label",
    adaptive_target01=dict(_asl, type="mmdet.AdaptiveAsymmetricLoss", gamma_neg=2.0, clip=0.05, target_gap=0.1),
)
baseline = "bce"
seeds = (0, 1, 2)
