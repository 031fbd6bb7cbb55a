"""R-50 1x detectors on COCO with focal loss (published: ATSS 39.4, FCOS 36.6, RetinaNet 36.5) and ASL; for GPUs.

The fourth is the ASL paper's own, FCOS with a TResNet-M (published: focal loss 44.0, ASL 44.4).

python tools/benchmark.py benchmarks/plans/coco_detection.py --launcher pytorch --gpus 8
"""

_asl = dict(type="AsymmetricLoss", use_sigmoid=True, gamma_pos=0.0, clip=0.0, alpha=0.25)

configs = dict(
    atss="configs/atss_r50_asl.py",
    fcos="configs/fcos_r50_asl.py",
    retinanet="configs/retinanet_r50_asl.py",
    fcos_tresnetm="configs/fcos_tresnetm_asl.py",
)
losses = dict(
    focal=dict(type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
    detection="detection",
    asl02=dict(**_asl, gamma_neg=2.0),
    asl12=dict(_asl, gamma_pos=1.0, gamma_neg=2.0),
)
baseline = "focal"
seeds = (0, 1, 2)
