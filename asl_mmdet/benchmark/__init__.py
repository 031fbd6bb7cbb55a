"""Train and compare losses by a plan: every combination of config, loss, data and seed is a run in its own process.

``plan`` says what to run, ``execute`` runs it, ``metrics`` and ``environment`` read what a run gave and was made with.
``rows`` holds runs as tables, ``paired`` compares them, ``plots`` and ``report`` show them. These four need pandas and
jinja2, the extra ``benchmark``; they are not imported here.
"""

from asl_mmdet.benchmark.environment import environment
from asl_mmdet.benchmark.execute import differing, run_plan
from asl_mmdet.benchmark.metrics import detection_metrics, multilabel_metrics, thirds
from asl_mmdet.benchmark.plan import Plan, Run

__all__ = ["Plan", "Run", "detection_metrics", "differing", "environment", "multilabel_metrics", "run_plan", "thirds"]
