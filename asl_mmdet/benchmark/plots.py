"""The plots of a comparison. A new one is a function of the rows by config and data variant, and an entry of PLOTS."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from asl_mmdet.benchmark.rows import Rows, losses_of

Groups = dict[tuple[str, str], Rows]
Colors = dict[str, Any]


def draw(rows: Rows, out: Path, names: tuple[str, ...] = ()) -> dict[str, Path]:
    """Draw those of :data:`PLOTS`, or some of them, that the rows have the numbers for, into a folder; by title."""
    groups = dict(rows.groups())
    losses = list(dict.fromkeys(loss for group in groups.values() for loss, _ in losses_of(group.runs)))
    number = len(losses)
    palette = colormaps["tab10"](np.arange(number)) if number <= 10 else colormaps["turbo"](np.linspace(0, 1, number))
    paths = {}
    for name, (title, plot) in PLOTS.items():
        figure = plot(groups, dict(zip(losses, palette, strict=True))) if not names or name in names else None
        if figure is not None:
            paths[title] = out / f"{name}.png"
            figure.savefig(paths[title], dpi=110)
    return paths


def _panels(shown: Groups, xlabel: str, ylabel: str, fill: Callable[[Any, Rows], None]) -> Figure | None:
    """A panel for each group, with one legend beside them; None without a group."""
    if not shown:
        return None
    columns = min(len(shown), 3)
    lines = -(-len(shown) // columns)
    size = (4.6 * max(columns, 2), 3.4 * lines)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False)
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    entries: dict[str, Any] = {}
    for axes, (title, rows) in zip(grid.flat, shown.items(), strict=False):
        fill(axes, rows)
        axes.set(title=", ".join(title), xlabel=xlabel, ylabel=ylabel.format(**rows.runs.iloc[0]))
        axes.grid(alpha=0.3)
        entries.update(dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True)))
    figure.set_figheight(max(figure.get_figheight(), 0.3 + 0.18 * len(entries)))
    figure.legend(entries.values(), entries, loc="outside right upper", fontsize="small")
    return figure


def _means(groups: Groups, colors: Colors, curve: str, xlabel: str, ylabel: str, **style: Any) -> Figure | None:
    """A curve of every loss, the mean over the seeds; its name may be that of a column of the runs, in braces."""

    def points(rows: Rows) -> Any:
        return rows.curves[rows.curves["curve"] == curve.format(**rows.runs.iloc[0])]

    def fill(axes: Any, rows: Rows) -> None:
        found = points(rows)
        for loss, _ in losses_of(rows.runs):
            mean = found[found["loss"] == loss].groupby("x")["y"].mean()
            if len(mean):
                axes.plot(mean.index, mean, color=colors[loss], label=loss, **style)

    return _panels({title: rows for title, rows in groups.items() if len(points(rows))}, xlabel, ylabel, fill)


def plot_curves(groups: Groups, colors: Colors) -> Figure | None:
    """The main metric after every epoch."""
    figure = _means(groups, colors, "{main_metric}", "epoch", "{main_metric}", marker=".")
    for axes in figure.axes if figure else ():
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def plot_precision_recall(groups: Groups, colors: Colors) -> Figure | None:
    """Precision at each recall, mean over classes; for detectors."""
    return _means(groups, colors, "precision", "recall", "precision")


def plot_classes(groups: Groups, colors: Colors) -> Figure | None:
    """What every loss adds to the AP of a class, against the number of its training annotations."""

    def fill(axes: Any, rows: Rows) -> None:
        baseline = rows.runs["baseline"].iloc[0]
        classes = rows.classes.pivot(index=["class", "number"], columns=["loss", "seed"], values="value")
        for loss, _ in losses_of(rows.runs):
            if loss != baseline and loss in classes:
                gains = (classes[loss] - classes[baseline]).mean(axis="columns")  # of the seeds that both have
                axes.plot(gains.index.get_level_values("number"), gains, ".", color=colors[loss], label=loss)
        axes.axhline(0, color="grey", linewidth=0.8)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())

    shown = {key: rows for key, rows in groups.items() if (rows.classes["loss"] == rows.runs["baseline"].iloc[0]).any()}
    return _panels(shown, "training annotations of the class", "AP less that of {baseline}", fill)


def plot_speed(groups: Groups, colors: Colors) -> Figure | None:
    """The main metric against the time of an iteration."""

    def fill(axes: Any, rows: Rows) -> None:
        for loss, runs in losses_of(rows.runs):
            axes.plot(1000 * runs["seconds_per_iteration"], runs["main"], "o", color=colors[loss], label=loss)
        axes.set_xlim(0, None)

    shown = {key: rows for key, rows in groups.items() if rows.runs["seconds_per_iteration"].notna().any()}
    return _panels(shown, "ms an iteration", "{main_metric}", fill)


PLOTS: dict[str, tuple[str, Callable[[Groups, Colors], Figure | None]]] = {
    "curves": ("During training", plot_curves),
    "classes": ("Gain of a class against its frequency", plot_classes),
    "precision_recall": ("Precision and recall at IoU 0.5", plot_precision_recall),
    "speed": ("Speed", plot_speed),
}
