"""Scores that a person can use: thresholds for every class, chosen on a validation set, and calibration.

``tools/tune_thresholds.py`` makes a file of them; a model of the type ``WithThresholds`` uses it.
"""

from asl_mmdet.thresholds.file import ThresholdFile
from asl_mmdet.thresholds.model import with_thresholds

__all__ = ["ThresholdFile", "with_thresholds"]
