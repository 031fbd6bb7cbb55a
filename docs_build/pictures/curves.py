"""Curves: what background costs, F1 against the threshold, and the trials of a search."""

import pandas as pd
import torch
from matplotlib.figure import Figure

from asl_mmdet.losses import asymmetric_loss
from docs_build.results import BENCHMARKS, rows
from docs_build.values import SETS

COLORS = ("#0a62c4", "#c5221f", "#15803d", "#9333ea")
P = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
# A sketch of how the threshold of MissingRateLoss moves; where it starts is the loss's own lower bound.
MOVING = {"early in the training": 0.15, "later": 0.3, "at the end": 0.45}


def background(gamma: float, ignore_above: float = 1.0, alpha: float = 0.25) -> torch.Tensor:
    """The loss of background with the probability P."""
    none = torch.ones(len(P), dtype=torch.long)  # the class index of background, where there is one class
    return asymmetric_loss(
        P.logit()[:, None],
        none,
        gamma_pos=0.0,
        gamma_neg=gamma,
        clip=0.0,
        alpha=alpha,
        ignore_above=ignore_above,
        reduction="none",
    )[:, 0]


def ignored() -> tuple[Figure, list[str]]:
    """The loss of background: without and with a threshold, and with one that follows the scores."""
    figure = Figure(figsize=(6.0, 6.2), layout="constrained")
    fixed, following = figure.subplots(2, 1, sharex=True)
    curves = {"focal loss, gamma 2": (2.0, 1.0), "ASL, 0 / 1": (1.0, 1.0), "ASL, ignore_above=0.3": (1.0, 0.3)}
    for color, (label, values) in zip(COLORS, curves.items(), strict=False):
        fixed.plot(P, background(*values), color=color, lw=3 if values[1] < 1 else 1.8, label=label)
    lines = ["loss of background against its probability p: " + ", ".join(curves)]
    for color, (label, end) in zip(("#93c5fd", "#3b82f6", "#1e3a8a"), MOVING.items(), strict=True):
        following.plot(P, background(1.0, end), color=color, lw=2.2, label=label)
    lines.append(f"MissingRateLoss: the threshold moves, {', '.join(MOVING)}")
    fixed.set_title("A threshold that stays", loc="left", fontsize=11, weight="bold")
    following.set_title("MissingRateLoss: a threshold that follows the scores", loc="left", fontsize=11, weight="bold")
    following.set_xlabel("probability p of an object")
    for axes, top in ((fixed, 1.5), (following, 0.3)):
        axes.set(xlim=(0, 1), ylim=(0, top), ylabel="loss of background")
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, fontsize=10.5)
    return figure, lines


def threshold() -> tuple[Figure, list[str]]:
    """Macro F1 against the score threshold."""
    figure = Figure(figsize=(6.0, 3.6), layout="constrained")
    axes = figure.subplots()
    curves = rows().curves
    lines = []
    for color, (_, points) in zip(COLORS, curves[curves["curve"] == "macro F1"].groupby("experiment"), strict=False):
        first = points.iloc[0]
        run = rows().where(**{key: first[key] for key in ("experiment", "data", "loss")}).runs.iloc[0]
        best = points.loc[points["y"].idxmax()]
        at_half = points.loc[(points["x"] - 0.5).abs().idxmin(), "y"]
        label = f"{SETS[run['set']]}, {'half of the boxes' if run['missing'] else 'all boxes'}"
        axes.plot(points["x"], points["y"], color=color, label=label)
        axes.plot(best["x"], best["y"], "o", color=color)
        lines.append(f"{label}: best F1 {best['y']:.1f} at {best['x']:.2f}, {at_half:.1f} at 0.5")
    axes.axvline(0.5, color="black", lw=1, ls=":")
    axes.set(xlim=(0, 1), ylim=(0, 100), xlabel="score threshold", ylabel="macro F1 in percent")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    return figure, lines


def search() -> tuple[Figure, list[str]]:
    """The trials of a search, focal loss and ASL, the best first."""
    trials = pd.read_csv(BENCHMARKS / "search.csv")
    figure = Figure(figsize=(6.0, 3.0), layout="constrained")
    axes = figure.subplots()
    lines = []
    names = {"focal": "focal loss", "asl": "ASL"}
    for color, (family, label) in zip(COLORS, names.items(), strict=False):
        values = trials.loc[trials["family"] == family, "AP"].sort_values(ascending=False)
        axes.plot(range(1, len(values) + 1), values, "o-", color=color, label=label)
        lines.append(f"{label}: " + ", ".join(f"{one:.1f}" for one in values))
    own = trials.loc[trials["family"] == "own", "AP"].iloc[0]
    axes.axhline(own, color="black", lw=1, ls=":", label="the config's own loss")
    axes.set(xlabel="trial, the best first", ylabel="AP on the held-out fifth", xticks=range(1, 6))
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    return figure, [*lines, f"the config's own loss: {own:.1f}"]
