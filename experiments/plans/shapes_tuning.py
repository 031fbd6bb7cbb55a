"""The parameters of the detection presets, and adaptive asymmetry: chosen on these images and seeds, not reported.

Feeds docs/results/detection.md, missing_labels.md and adaptive.md ("The tuning", and "In a detector").

The rows shapes_presets (complete), shapes_missing_tuning (ATSS, missing boxes) and shapes_adaptive (ATSS) have a part
of it each, by

    python tools/train.py configs/shapes/HEAD_r18_LOSS_shapes.py --cfg-options OPTIONS train_dataloader.num_workers=1

The sets without boxes are made by

    python experiments/missing_shapes.py data/shapes_missing30 --rate 0.3
    python experiments/missing_shapes.py data/shapes_missing50 --rate 0.5
"""

_asl = dict(type="AsymmetricLoss", use_sigmoid=True, gamma_pos=0.0, clip=0.0, alpha=0.25)
_adaptive = {**_asl, "type": "AdaptiveAsymmetricLoss", "gamma_neg": 1.0, "min_score": 0.05}
_val = {f"{split}_dataloader.dataset.data_root": "data/shapes/" for split in ("val", "test")}

configs = {head: f"configs/shapes/{head}_r18_focal_shapes.py" for head in ("atss", "fcos", "retinanet")}
losses = dict(
    focal=None,
    asl00=dict(_asl, gamma_neg=0.0),
    asl02=dict(_asl, gamma_neg=2.0),
    asl02_detached=dict(_asl, gamma_neg=2.0, detach_focusing=True),
    asl12=dict(_asl, gamma_pos=1.0, gamma_neg=2.0),
    asl04_margin=dict(_asl, gamma_neg=4.0, clip=0.05, alpha=None),
    detection="detection",
    detection_alpha05=dict(preset="detection", alpha=0.5),
    detection_margin=dict(preset="detection", clip=0.05),
    detection_ignore04=dict(preset="detection", ignore_above=0.4),
    detection_missing_labels="detection_missing_labels",
    adaptive=dict(_adaptive, target_gap=-0.3, step_size=0.01),
    adaptive_fast=dict(_adaptive, target_gap=-0.3, step_size=0.1),
    adaptive_fast_lower=dict(_adaptive, target_gap=-0.5, step_size=0.1),
)
baseline = "focal"
data = {
    "complete": {**_val, "train_dataloader.dataset.data_root": "data/shapes/"},
    "missing30": {**_val, "train_dataloader.dataset.data_root": "data/shapes_missing30/"},
    "missing50": {**_val, "train_dataloader.dataset.data_root": "data/shapes_missing50/"},
}
seeds = (0, 1)
shapes = {"data/shapes": {}}
minutes = 4
