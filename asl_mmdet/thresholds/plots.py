"""Precision against recall, and what scores say against what is right."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray

from asl_mmdet.thresholds.matching import MatchedPredictions

Array = NDArray[Any]
_BINS = 10


def plot_precision_recall(scored: MatchedPredictions, thresholds: Array, path: Path) -> None:
    """One curve a class with objects, with a point at its threshold.

    Args:
        scored: The scores that the thresholds are of, and what is right.
        thresholds: (C,).
        path: The picture to write.
    """
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    shown = np.flatnonzero(scored.truths())
    colors = colormaps["turbo"](np.linspace(0, 1, max(len(shown), 2)))
    for color, label in zip(colors, shown, strict=False):
        part = scored.of_class(int(label))
        order = np.argsort(-part.score, kind="stable")
        right, number = np.cumsum(part.is_tp[order]), np.arange(1, len(order) + 1)
        recall, precision = right / len(part.truth_label), right / number
        axes.plot(recall, precision, color=color, linewidth=0.9)
        kept = int((part.score >= thresholds[label]).sum())
        if kept:
            axes.plot(recall[kept - 1], precision[kept - 1], "o", color=color, markersize=4)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.set_title(f"{len(shown)} classes; points: their thresholds")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=100)


def plot_reliability(is_tp: Array, scores: dict[str, Array], path: Path) -> None:
    """The share of right scores in ten bins against the mean score there, and how many scores each bin has.

    Args:
        is_tp: (N,) bool.
        scores: Scores (N,) by the name to show, such as 'before' and 'after'.
        path: The picture to write.
    """
    figure = Figure(figsize=(5, 5.2), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    top.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle="--")
    for name, score in scores.items():
        index = np.minimum((score * _BINS).astype(int), _BINS - 1)
        number = np.bincount(index, minlength=_BINS)
        used = number > 0
        share, mean = (np.bincount(index, v, _BINS)[used] / number[used] for v in (is_tp, score))
        top.plot(mean, share, marker="o", label=name)
        bottom.stairs(number, np.linspace(0, 1, _BINS + 1), label=name)
    top.set(ylabel="share that is right", xlim=(0, 1), ylim=(0, 1))
    bottom.set(xlabel="score", ylabel="number", yscale="log")
    top.legend()
    for axes in (top, bottom):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=100)
