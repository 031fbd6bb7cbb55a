"""Losses that take the IoU of a box for its label, and others, in one head: that of Generalized Focal Loss.

Feeds docs/results/gain.md.

    PYTHONPATH=. COCO_FOLDER=data/chess TRAIN_IMAGES=2500 \
        python tools/benchmark.py experiments/plans/folder_quality.py --out work_dirs/benchmark/chess_quality

Quality focal loss and varifocal loss are MMDetection's, as they come. ``vfl_flat`` is varifocal loss with
iou_weighted=False: with hard labels that is ASL 0 / 2 (docs/concepts/loss.md). ``*_hard`` do not look at the IoU, and
have the alpha and weight of folder_tuned.py; ``asl_soft`` is ASL with the labels of varifocal loss. The folder, its
sources and what it needs are those of folder_losses.py.
"""

_vfl = dict(type="VarifocalLoss", use_sigmoid=True, alpha=0.75, gamma=2.0, iou_weighted=True, loss_weight=1.0)
_focal = dict(type="FocalLoss", use_sigmoid=True, gamma=1.5, alpha=0.5, loss_weight=2.0)
_asl = dict(type="AsymmetricLoss", use_sigmoid=True, gamma_pos=0.0, gamma_neg=1.0, clip=0.0, alpha=0.5, loss_weight=2.0)
_soft = dict(type="QualityTargets", use_sigmoid=True, soft=True)
_hard = dict(type="QualityTargets", use_sigmoid=True, soft=False)

configs = dict(gfl="experiments/rivals/configs/gfl_mnv2.py")
losses = dict(
    focal_hard=dict(**_hard, loss=_focal),
    bce_hard=dict(**_hard, loss=dict(type="CrossEntropyLoss", use_sigmoid=True, loss_weight=1.0)),
    asl_hard=dict(**_hard, loss=_asl),
    asl_ignore_hard=dict(**_hard, loss=dict(**_asl, ignore_above=0.3)),
    qfl=dict(type="QualityFocalLoss", use_sigmoid=True, beta=2.0, loss_weight=1.0),
    vfl=dict(**_soft, loss=_vfl),
    vfl_flat=dict(**_soft, loss={**_vfl, "iou_weighted": False}),
    asl_soft=dict(**_soft, loss=_asl),
)
baseline = "focal_hard"
data = {
    "complete": {},
    "missing50": {"train_dataloader.dataset.ann_file": "annotations/train_missing50.json"},
}
seeds = (10, 11, 12)
options = {"custom_imports.imports": ["asl_mmdet", "experiments.rivals"]}
minutes = 17
