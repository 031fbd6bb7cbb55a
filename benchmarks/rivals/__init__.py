"""Other papers' answers to missing labels, written from their equations, to compare with; no part of the library.

``custom_imports=dict(imports=["asl_mmdet", "benchmarks.rivals"])`` registers the losses, and the modules
``benchmarks.rivals.detection`` and ``benchmarks.rivals.classification`` the heads that some of them need. The root of
this repository must be on the path: ``PYTHONPATH=. python tools/benchmark.py ...``.
"""

from benchmarks.rivals.multilabel import SPLC, Hill, LargeLoss
from benchmarks.rivals.quality import QualityTargets
from benchmarks.rivals.schedule import ScheduledAsymmetricLoss

__all__ = ["Hill", "LargeLoss", "QualityTargets", "SPLC", "ScheduledAsymmetricLoss"]
