"""The names that this module had in 0.1; they are in :mod:`asl_mmdet.benchmark`. It goes with the next release."""

from asl_mmdet.benchmark.plots import (
    by_loss,
    plot_classes,
    plot_curves,
    plot_precision_recall,
    plot_probabilities,
    plot_speed,
)
from asl_mmdet.benchmark.report import paired_difference, write_report
from asl_mmdet.benchmark.results import Result, compare

__all__ = [
    "Result",
    "by_loss",
    "compare",
    "paired_difference",
    "plot_classes",
    "plot_curves",
    "plot_precision_recall",
    "plot_probabilities",
    "plot_speed",
    "write_report",
]
