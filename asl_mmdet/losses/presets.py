"""Parameters that were measured, by name. ``docs/how_to/choose_parameters.md`` shows how they were chosen, and on what.

Example:
    >>> [name for name in PRESETS if name.startswith('detection_missing')]
    ['detection_missing_labels', 'detection_missing_rate', 'detection_missing_rate_auto']
    >>> PRESETS['multi_label_missing_labels']['clip']  # a wide margin
    0.2
"""

from typing import Any

# Detectors: focal loss's alpha, the positives at full weight and a mild focus on hard negatives. FocalLoss with gamma
# 0.5 has three quarters of its gain over gamma 2 (ATSS, shapes, two seeds).
_DETECTION: dict[str, Any] = dict(
    type="AsymmetricLoss", use_sigmoid=True, gamma_pos=0.0, gamma_neg=1.0, clip=0.0, alpha=0.25
)
# Detectors that start from a pretrained backbone and see a few thousand images (configs/small): alpha and weight are
# those of a focal loss that was searched on chess pieces.
_SMALL: dict[str, Any] = {**_DETECTION, "alpha": 0.5, "loss_weight": 2.0}
# Multi-label classification with mmpretrain's heads: the paper's, as its authors train.
_MULTI_LABEL: dict[str, Any] = dict(
    type="mmdet.AsymmetricLoss",
    use_sigmoid=True,
    gamma_pos=0.0,
    gamma_neg=4.0,
    clip=0.05,
    alpha=None,
    detach_focusing=True,
)

PRESETS: dict[str, dict[str, Any]] = {
    "detection": _DETECTION,
    # Background above p = 0.3 is taken for an object without a label. Three quarters of the gain come from that, with
    # focal loss's gammas as well (ATSS, shapes with half of the boxes missing, three seeds).
    "detection_missing_labels": {**_DETECTION, "ignore_above": 0.3},
    # The threshold follows the share of objects without a label, 50 % here, instead.
    "detection_missing_rate": {**_DETECTION, "type": "MissingRateLoss", "missing_rate": 0.5},
    # That share is estimated in the training, on the validation images, which must lack labels likewise.
    "detection_missing_rate_auto": {**_DETECTION, "type": "MissingRateLoss", "missing_rate": "auto"},
    "detection_small": _SMALL,
    "detection_small_missing_labels": {**_SMALL, "ignore_above": 0.3},
    "detection_small_missing_rate": {**_SMALL, "type": "MissingRateLoss", "missing_rate": 0.5},
    "detection_small_missing_rate_auto": {**_SMALL, "type": "MissingRateLoss", "missing_rate": "auto"},
    "multi_label": _MULTI_LABEL,
    # A wide margin: a negative needs p > 0.2 to cost anything.
    "multi_label_missing_labels": {**_MULTI_LABEL, "clip": 0.2},
}
