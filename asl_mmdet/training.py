"""The names that this module had in 0.1; they are in :mod:`asl_mmdet.hooks` and :mod:`asl_mmdet.optim`."""

from asl_mmdet.hooks import EvaluateOnResumeHook, NonFiniteLossHook
from asl_mmdet.optim import BFloat16OptimWrapper

__all__ = ["BFloat16OptimWrapper", "EvaluateOnResumeHook", "NonFiniteLossHook"]
