"""The small classifier on the images that parameters were chosen on: the paper's values, and what changes them.

Feeds docs/results/multi_label.md ("The tuning", "Missing labels") and adaptive.md, and the docstrings of
configs/shapes/classifier_*.

The losses are those of shapes_multilabel_sweeps.py and those below. The rows shapes_multilabel_tuning have a part of
it, by

    python tools/train.py configs/shapes/classifier_r18_LOSS_shapes.py --cfg-options OPTIONS \
        randomness.seed=SEED train_dataloader.num_workers=1

The set without boxes is made by

    python experiments/missing_shapes.py data/shapes_tags_missing --rate 0.4 --num-train 4000 --num-val 1000
"""

_base_ = ["shapes_multilabel_sweeps.py"]
_adaptive = dict(type="mmdet.AdaptiveAsymmetricLoss", use_sigmoid=True, gamma_pos=0.0, gamma_neg=4.0, alpha=None)
_adaptive = dict(**_adaptive, clip=0.05, detach_focusing=True)
_val = {f"{split}_dataloader.dataset.data_root": "data/shapes_tags/" for split in ("val", "test")}

losses = dict(
    bce=dict(type="CrossEntropyLoss", use_sigmoid=True),
    focal_alpha025=dict(type="FocalLoss", gamma=2.0, alpha=0.25),
    multi_label_not_detached=dict(preset="multi_label", detach_focusing=False),
    multi_label_gamma_neg2_focusing=dict(preset="multi_label", gamma_neg=2.0, clip=0.0),
    adaptive_target0_from4=dict(_adaptive, target_gap=0.0),
    adaptive_target02_from4=dict(_adaptive, target_gap=0.2),
)
data = {
    "complete": _val,
    "missing40": {**_val, "train_dataloader.dataset.data_root": "data/shapes_tags_missing/"},
}
seeds = (0, 1, 2)
options = {"_delete_": True}
