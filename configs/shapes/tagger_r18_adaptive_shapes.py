"""The old name of classifier_r18_adaptive_shapes.py, for one release."""

_base_ = "classifier_r18_adaptive_shapes.py"

import warnings

warnings.warn(
    "configs/shapes/tagger_* are called classifier_* now; 0.3 has the new names alone", FutureWarning, stacklevel=1
)
