"""Parameters that were measured, by name: docs/parameters.md shows how they were chosen, and on what."""

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    # Detectors: focal loss's alpha, the positives at full weight and a mild focus on hard negatives.
    "detection": dict(type="AsymmetricLoss", use_sigmoid=True, gamma_pos=0.0, gamma_neg=1.0, clip=0.0, alpha=0.25),
    # Detectors whose training data lacks labels: background above p = 0.3 is taken for an object without one.
    "detection_missing_labels": dict(
        type="AsymmetricLoss",
        use_sigmoid=True,
        gamma_pos=0.0,
        gamma_neg=1.0,
        clip=0.0,
        alpha=0.25,
        ignore_above=0.3,
    ),
    # Multi-label classification with mmpretrain's heads: the paper's, as its authors train.
    "multi_label": dict(
        type="mmdet.AsymmetricLoss",
        use_sigmoid=True,
        gamma_pos=0.0,
        gamma_neg=4.0,
        clip=0.05,
        alpha=None,
        detach_focusing=True,
    ),
    # The same where training labels are missing: a wide margin.
    "multi_label_missing_labels": dict(
        type="mmdet.AsymmetricLoss",
        use_sigmoid=True,
        gamma_pos=0.0,
        gamma_neg=4.0,
        clip=0.2,
        alpha=None,
        detach_focusing=True,
    ),
}
