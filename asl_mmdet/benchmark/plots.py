"""The plots of a comparison. A new one is a function of the rows by group, and an entry of :data:`PLOTS`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from asl_mmdet.benchmark.rows import Rows, losses_of

Groups = dict[tuple[str, str], Rows]  # by config and data variant
Colors = dict[str, Any]


def draw(rows: Rows, out: Path, names: tuple[str, ...] = ()) -> dict[str, Path]:
    """Draw what the rows have the numbers for, into files of a folder; by title.

    Args:
        rows: The rows.
        out: The folder.
        names: Some of :data:`PLOTS`; all by default.
    """
    groups, colors = dict(rows.groups()), colors_of(rows)
    paths = {}
    for name, (title, plot) in PLOTS.items():
        figure = plot(groups, colors) if not names or name in names else None
        if figure is not None:
            paths[title] = out / f"{name}.png"
            figure.savefig(paths[title], dpi=110)
            plt.close(figure)
    return paths


def colors_of(rows: Rows) -> Colors:
    """A colour for every loss, the same in all plots."""
    losses = list(dict.fromkeys(loss for _, group in rows.groups() for loss, _ in losses_of(group.runs)))
    number = len(losses)
    colors = (
        plt.get_cmap("tab10")(np.arange(number)) if number <= 10 else plt.get_cmap("turbo")(np.linspace(0, 1, number))
    )
    return dict(zip(losses, colors, strict=True))


def _panels(number: int, height: float = 3.4) -> tuple[Figure, list[Any]]:
    columns = min(number, 3)
    rows = -(-number // columns)
    size = (4.6 * max(columns, 2), height * rows)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for axes in grid.flat[number:]:
        axes.set_visible(False)
    return figure, list(grid.flat[:number])


def _label(axes: Any, title: tuple[str, str], xlabel: str, ylabel: str) -> None:
    axes.set(title=", ".join(title), xlabel=xlabel, ylabel=ylabel)
    axes.grid(alpha=0.3)


def _add_legend(figure: Figure) -> Figure:
    """One for all panels, beside them."""
    entries = {}
    for axes in figure.axes:
        entries.update(dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True)))
    figure.set_figheight(max(figure.get_figheight(), 0.3 + 0.18 * len(entries)))
    figure.legend(entries.values(), entries, loc="outside right upper", fontsize="small")
    return figure


def _curve(group: Rows, name: str, loss: str) -> pd.DataFrame:
    """The points of a curve of the runs of a loss."""
    curves = group.curves
    return curves[(curves["curve"] == name) & (curves["loss"] == loss)]


def _means(groups: Groups, colors: Colors, name: str | None, xlabel: str, ylabel: str, **line: Any) -> Figure | None:
    """A curve of every loss, the mean over the seeds; of the main metric by default."""
    shown = {title: rows for title, rows in groups.items() if (rows.curves["curve"] == (name or _main(rows))).any()}
    if not shown:
        return None
    figure, panels = _panels(len(shown))
    for axes, (title, rows) in zip(panels, shown.items(), strict=True):
        for loss, _ in losses_of(rows.runs):
            curve = _curve(rows, name or _main(rows), loss).groupby("x")["y"].mean()
            axes.plot(curve.index, curve, color=colors[loss], label=loss, **line)
        _label(axes, title, xlabel, ylabel or _main(rows))
    return _add_legend(figure)


def _main(rows: Rows) -> str:
    return str(rows.runs["main_metric"].iloc[0])


def plot_curves(groups: Groups, colors: Colors) -> Figure | None:
    """The main metric after every epoch, mean over the seeds."""
    figure = _means(groups, colors, None, "epoch", "", marker=".")
    for axes in figure.axes if figure else ():
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def plot_classes(groups: Groups, colors: Colors) -> Figure | None:
    """What every loss adds to the AP of a class, against the number of its training annotations."""
    shown = {}
    for title, rows in groups.items():
        classes = rows.classes.pivot(index=["class", "number"], columns=["loss", "seed"], values="value")
        if rows.runs["baseline"].iloc[0] in classes:
            shown[title] = classes.sort_index(level="number", ascending=False)
    if not shown:
        return None
    figure, panels = _panels(len(shown))
    for axes, (title, classes) in zip(panels, shown.items(), strict=True):
        baseline = groups[title].runs["baseline"].iloc[0]
        for loss, _ in losses_of(groups[title].runs):
            gains = (classes[loss] - classes[baseline]).dropna(axis="columns", how="all") if loss in classes else None
            if loss != baseline and gains is not None and gains.size:
                numbers = gains.index.get_level_values("number")
                axes.plot(numbers, gains.mean(axis="columns"), ".", color=colors[loss], label=loss)
        axes.axhline(0, color="grey", linewidth=0.8)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        _label(axes, title, "training annotations of the class", f"AP less that of {baseline}")
    return _add_legend(figure)


def plot_precision_recall(groups: Groups, colors: Colors) -> Figure | None:
    """Precision at each recall, mean over classes and seeds; for detectors."""
    return _means(groups, colors, "precision", "recall", "precision")


def plot_speed(groups: Groups, colors: Colors) -> Figure | None:
    """The main metric against the time of an iteration."""
    shown = {title: rows for title, rows in groups.items() if rows.runs["seconds_per_iteration"].notna().any()}
    if not shown:
        return None
    figure, panels = _panels(len(shown))
    for axes, (title, rows) in zip(panels, shown.items(), strict=True):
        for loss, runs in losses_of(rows.runs):
            axes.plot(1000 * runs["seconds_per_iteration"], runs["main"], "o", color=colors[loss], label=loss)
        axes.set_xlim(0, None)
        _label(axes, title, "ms an iteration", _main(rows))
    return _add_legend(figure)


def plot_probabilities(groups: Groups, colors: Colors) -> Figure | None:
    """The probability gap along training, and gamma- where it adapts; the first seed."""
    shown = {title: rows for title, rows in groups.items() if (rows.curves["curve"] == "prob_gap").any()}
    if not shown:
        return None
    figure, panels = _panels(len(shown))
    for axes, (title, rows) in zip(panels, shown.items(), strict=True):
        for loss, runs in losses_of(rows.runs):
            for name, style, curve in (("gap", "-", "prob_gap"), ("gamma-", "--", "gamma_neg")):
                points = _curve(rows, curve, loss)
                points = points[points["seed"] == runs["seed"].min()]
                if len(points):
                    axes.plot(points["x"], points["y"], style, color=colors[loss], label=f"{loss}: {name}")
        _label(axes, title, "iteration", "probability gap")
    return _add_legend(figure)


PLOTS: dict[str, tuple[str, Callable[[Groups, Colors], Figure | None]]] = {
    "curves": ("During training", plot_curves),
    "classes": ("Gain of a class against its frequency", plot_classes),
    "precision_recall": ("Precision and recall at IoU 0.5", plot_precision_recall),
    "speed": ("Speed", plot_speed),
    "probabilities": ("Probabilities", plot_probabilities),
}
