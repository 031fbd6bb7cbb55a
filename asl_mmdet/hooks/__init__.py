"""Hooks for MMEngine's runner, a file each."""

from asl_mmdet.hooks.adaptive_asymmetry import AdaptiveAsymmetryHook
from asl_mmdet.hooks.class_weight import ClassWeightHook
from asl_mmdet.hooks.evaluate_on_resume import EvaluateOnResumeHook
from asl_mmdet.hooks.found_boxes import FoundBoxesHook
from asl_mmdet.hooks.ignored_boxes import IgnoredBoxesHook
from asl_mmdet.hooks.known_classes import KnownClassesHook
from asl_mmdet.hooks.missing_share import MissingShareHook
from asl_mmdet.hooks.nonfinite_loss import NonFiniteLossHook
from asl_mmdet.hooks.peak_memory import PeakMemoryHook
from asl_mmdet.hooks.probability_gap import ProbabilityGapHook
from asl_mmdet.hooks.resumed_settings import ResumedSettingsHook

__all__ = [
    "AdaptiveAsymmetryHook",
    "ClassWeightHook",
    "EvaluateOnResumeHook",
    "FoundBoxesHook",
    "IgnoredBoxesHook",
    "KnownClassesHook",
    "MissingShareHook",
    "NonFiniteLossHook",
    "PeakMemoryHook",
    "ProbabilityGapHook",
    "ResumedSettingsHook",
]
