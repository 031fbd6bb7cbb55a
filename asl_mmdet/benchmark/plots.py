"""The plots of a comparison. A new one is a function, and an entry of :data:`PLOTS`."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from asl_mmdet.benchmark.results import Result

Groups = dict[tuple[str, str], list[Result]]
Colors = dict[str, Any]


def by_group(results: Sequence[Result]) -> Groups:
    """Runs by config and data variant."""
    groups: Groups = defaultdict(list)
    for result in results:
        groups[result.config, result.data].append(result)
    return dict(groups)


def by_loss(runs: Sequence[Result]) -> dict[str, dict[int, Result]]:
    """Runs by loss and seed, the baseline first."""
    found: dict[str, dict[int, Result]] = defaultdict(dict)
    for run in sorted(runs, key=lambda run: run.loss != run.baseline):
        found[run.loss][run.seed] = run
    return dict(found)


def colors_of(results: Sequence[Result]) -> Colors:
    """A colour for every loss, the same in all plots."""
    losses = list(dict.fromkeys(loss for runs in by_group(results).values() for loss in by_loss(runs)))
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


def plot_curves(groups: Groups, colors: Colors) -> Figure:
    """The main metric after every epoch, mean over the seeds."""
    figure, panels = _panels(len(groups))
    for axes, (title, runs) in zip(panels, groups.items(), strict=True):
        for loss, seeds in by_loss(runs).items():
            epochs = sorted({int(epoch) for run in seeds.values() for epoch in run.curve})
            means = [statistics.mean(r.curve[str(e)] for r in seeds.values() if str(e) in r.curve) for e in epochs]
            axes.plot(epochs, means, marker=".", color=colors[loss], label=loss)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _label(axes, title, "epoch", runs[0].main_metric)
    return _add_legend(figure)


def plot_classes(groups: Groups, colors: Colors) -> Figure | None:
    """What every loss adds to the AP of a class, against the number of its training annotations."""
    shown = {title: runs for title, runs in groups.items() if runs[0].baseline in by_loss(runs)}
    if not shown:
        return None
    figure, panels = _panels(len(shown))
    for axes, (title, runs) in zip(panels, shown.items(), strict=True):
        losses = by_loss(runs)
        base = losses.pop(runs[0].baseline)
        for loss, seeds in losses.items():
            frequency = runs[0].frequency
            shared = [seed for seed in seeds if seed in base]
            if not shared:
                continue
            gains = [
                statistics.mean(seeds[s].per_class[name] - base[s].per_class[name] for s in shared)
                for name in frequency
            ]
            axes.plot(list(frequency.values()), gains, ".", color=colors[loss], label=loss)
        axes.axhline(0, color="grey", linewidth=0.8)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        _label(axes, title, "training annotations of the class", f"AP less that of {runs[0].baseline}")
    return _add_legend(figure)


def plot_precision_recall(groups: Groups, colors: Colors) -> Figure | None:
    """Precision at each recall, mean over classes and seeds; for detectors."""
    shown = {title: runs for title, runs in groups.items() if runs[0].precision_at_recall is not None}
    if not shown:
        return None
    figure, panels = _panels(len(shown))
    for axes, (title, runs) in zip(panels, shown.items(), strict=True):
        for loss, seeds in by_loss(runs).items():
            curve = np.mean([run.precision_at_recall or [] for run in seeds.values()], axis=0)
            axes.plot(np.linspace(0, 1, len(curve)), curve, color=colors[loss], label=loss)
        _label(axes, title, "recall", "precision")
    return _add_legend(figure)


def plot_speed(groups: Groups, colors: Colors) -> Figure:
    """The main metric against the time of an iteration."""
    figure, panels = _panels(len(groups))
    for axes, (title, runs) in zip(panels, groups.items(), strict=True):
        for loss, seeds in by_loss(runs).items():
            milliseconds = [1000 * run.seconds_per_iteration for run in seeds.values()]
            values = [run.main for run in seeds.values()]
            axes.plot(milliseconds, values, "o", color=colors[loss], label=loss)
        axes.set_xlim(0, None)
        _label(axes, title, "ms an iteration", runs[0].main_metric)
    return _add_legend(figure)


def plot_probabilities(groups: Groups, colors: Colors) -> Figure:
    """The probability gap along training, and gamma- where it adapts; the first seed."""
    figure, panels = _panels(len(groups))
    for axes, (title, runs) in zip(panels, groups.items(), strict=True):
        for loss, seeds in by_loss(runs).items():
            training = seeds[min(seeds)].training
            for name, style, values in (("gap", "-", training["prob_gap"]), ("gamma-", "--", training["gamma_neg"])):
                if values:
                    steps = [int(step) for step in values]
                    axes.plot(steps, list(values.values()), style, color=colors[loss], label=f"{loss}: {name}")
        _label(axes, title, "iteration", "probability gap")
    return _add_legend(figure)


PLOTS: dict[str, Callable[[Groups, Colors], Figure | None]] = {
    "During training": plot_curves,
    "Gain of a class against its frequency": plot_classes,
    "Precision and recall at IoU 0.5": plot_precision_recall,
    "Speed": plot_speed,
    "Probabilities": plot_probabilities,
}
