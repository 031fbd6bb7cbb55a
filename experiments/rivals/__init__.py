"""Other papers' answers to missing labels, written from their equations, to compare with; no part of the library.

``custom_imports=dict(imports=["asl_mmdet", "experiments.rivals"])`` registers the losses, and the modules
``experiments.rivals.detection`` and ``experiments.rivals.classification`` the heads that some of them need. The root of
this repository must be on the path: ``PYTHONPATH=. python tools/benchmark.py ...``.
"""

from experiments.rivals.multilabel import SPLC, Hill, LargeLoss
from experiments.rivals.quality import QualityTargets
from experiments.rivals.schedule import ScheduledAsymmetricLoss

__all__ = ["Hill", "LargeLoss", "QualityTargets", "SPLC", "ScheduledAsymmetricLoss"]
