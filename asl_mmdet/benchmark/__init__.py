"""Train and compare losses by a plan: every combination of config, loss, data and seed is a cell in its own process.

``plan`` says what to run, ``execute`` runs it, ``metrics`` reads what a run gave, ``results`` holds it as rows, and
``plots`` and ``report`` show it. The last two need pandas and jinja2, the extra ``benchmark``; they are not imported
here.
"""

from asl_mmdet.benchmark.execute import TOOLS, differing, refusal, run
from asl_mmdet.benchmark.metrics import (
    COCO_STATS,
    collect,
    detection_metrics,
    multilabel_metrics,
    tagging_metrics,
    thirds,
)
from asl_mmdet.benchmark.plan import Cell, Plan
from asl_mmdet.benchmark.results import PACKAGES, ROOT, Result, compare, environment

__all__ = [
    "COCO_STATS",
    "Cell",
    "PACKAGES",
    "Plan",
    "ROOT",
    "Result",
    "TOOLS",
    "collect",
    "compare",
    "detection_metrics",
    "differing",
    "environment",
    "multilabel_metrics",
    "refusal",
    "run",
    "tagging_metrics",
    "thirds",
]
