"""Train and compare losses by a plan: every combination of config, loss, data and seed is a run in its own process.

``plan`` says what to run, ``execute`` runs it, ``metrics`` and ``environment`` read what a run gave and was made with.
``rows`` holds runs as tables, ``paired`` compares them, ``plots`` and ``report`` show them. These four need pandas and
jinja2, the extra ``benchmark``; they are not imported here.
"""

from asl_mmdet.benchmark.environment import PACKAGES, ROOT, environment
from asl_mmdet.benchmark.execute import differing, run_plan
from asl_mmdet.benchmark.metrics import (
    COCO_STATS,
    collect,
    detection_metrics,
    multilabel_metrics,
    thirds,
)
from asl_mmdet.benchmark.plan import Plan, Run
from asl_mmdet.runs.jobs import TOOLS, refusal

__all__ = [
    "COCO_STATS",
    "PACKAGES",
    "Plan",
    "ROOT",
    "Run",
    "TOOLS",
    "collect",
    "detection_metrics",
    "differing",
    "environment",
    "multilabel_metrics",
    "refusal",
    "run_plan",
    "thirds",
]
