"""The charts of the pages, drawn from the rows when the site is built, for a screen of 390 pixels and wider ones.

    <!-- build: chart "Gain of ..." differences "chess pieces: chess_tuned50_384 data=missing50 loss=late_ignore" -->

The words are the description for those who cannot see it, the name of one of CHARTS, and its arguments. Runs are chosen
as in :mod:`docs_build.values`.
"""

import base64
import io
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from asl_mmdet.benchmark.paired import interval
from docs_build import values

WIDTH = 4.9  # inches; at 10 points, text can be read on a screen of 390 pixels
STYLE: dict[Any, Any] = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
COLORS: Any = ["#1f5fa8", "#b35900", "#5b8a3c", "#777777", "#8a3c7f"]
LABELS = {
    "focal": "focal loss, gamma 2",
    "focal_gamma1": "focal loss, gamma 1",
    "focal_gamma05": "focal loss, gamma 0.5",
    "focal_ignore": "focal loss, ignore 0.3",
    "focal_gamma1_ignore": "focal, gamma 1, ignore 0.3",
    "focal_tuned": "focal loss, tuned",
    "focal_tuned_gamma05": "focal loss, gamma 0.5",
    "focal_tuned_ignore": "focal loss, ignore 0.3",
    "focal_alpha075": "focal loss, alpha 0.75",
    "focal_iou": "focal loss, IoU weight",
    "detection": "ASL 0 / 1",
    "detection_small": "ASL 0 / 1",
    "detection_margin": "ASL 0 / 1, margin",
    "detection_missing_labels": "ASL 0 / 1, ignore 0.3",
    "detection_small_missing_labels": "ASL 0 / 1, ignore 0.3",
    "detection_small_ignore05": "ASL 0 / 1, ignore 0.5",
    "detection_small_missing_rate": "MissingRateLoss",
    "detection_missing_rate": "MissingRateLoss",
    "detection_small_missing_rate_auto": "MissingRateLoss",
    "detection_missing_rate_auto": "MissingRateLoss",
    "focal_found_half_more": "focal loss, FoundBoxesHook",
    "focal_gamma2_found": "focal loss, FoundBoxesHook",
    "late_ignore": "ASL, ignore from epoch 4",
    "multi_label": "ASL 0 / 4, margin 0.05",
    "multi_label_missing_labels": "ASL 0 / 4, margin 0.2",
    "multi_label_focusing": "ASL 0 / 4, no margin",
    "multi_label_margin": "margin 0.05 only",
    "bce": "cross-entropy",
    "hill": "Hill",
    "splc": "SPLC",
    "ll_ct": "LL-Ct",
    "ll_r": "LL-R",
    "qfl": "quality focal loss",
    "vfl": "varifocal loss",
    "focal_inverse_frequency": "inverse frequency",
    "focal_tuned_inverse_frequency": "inverse frequency",
    "focal_tuned_effective_number": "effective number",
    "asl_tuned": "ASL, tuned",
    "known": "with the hook",
    "known_long": "with the hook",
    "missing50_round2": "boxes from 0.4",
    "missing50_round2_25": "boxes from 0.25",
    "missing50_round2_15": "boxes from 0.15",
    "missing50_round2_ignored": "ignored regions from 0.4",
}


def chart(alt: str, name: str, *arguments: str) -> str:
    """The Markdown of a chart.

    Args:
        alt: What it shows, in words.
        name: One of :data:`CHARTS`.
        arguments: As that function takes them.

    Raises:
        ValueError: If there is no such chart.
    """
    if name not in CHARTS:
        raise ValueError(f"there is no chart {name}; there are {', '.join(CHARTS)}")
    with plt.rc_context(STYLE):
        figure = CHARTS[name](*arguments)
        buffer = io.BytesIO()
        figure.savefig(buffer, dpi=200)
        plt.close(figure)
    return f"![{alt}](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}){{ width=560 }}"


def differences(label: str, *groups: str) -> Figure:
    """Means of differences on equal seeds with their 95 % intervals: what a loss adds to the one it is compared with.

    Losses with equal gammas are hollow. A cross is a mean of less than three seeds, whose interval says nothing.

    Args:
        label: What the differences are to, for the axis.
        groups: ``TITLE: WORDS``, with the words of :func:`docs_build.values.runs_of`.
    """
    shown = list(_lines(groups))
    figure, axes = plt.subplots(figsize=(WIDTH, 0.5 + 0.24 * len(shown)), layout="constrained")
    drawn: list[float] = []
    for y, (_, numbers, is_hollow) in enumerate(shown):
        if numbers is not None:
            mean, half = interval(numbers)
            color = "#b35900" if is_hollow else "#1f5fa8"
            is_short = len(numbers) < 3
            axes.plot(mean, y, "x" if is_short else "o", color=color, mfc="white" if is_hollow else color, zorder=3)
            drawn.append(mean)
            if not is_short:
                axes.plot([mean - half, mean + half], [y, y], color=color, linewidth=1.6)
                drawn += [mean - half, mean + half]
    axes.axvline(0, color="#444444", linewidth=0.9)
    axes.set(ylim=(len(shown) - 0.4, -0.6), yticks=range(len(shown)))
    figure.supxlabel(label, fontsize="medium")
    axes.set_xlim(min(drawn) - 0.4, max(drawn) + 0.4)
    axes.set_yticklabels([text for text, *_ in shown])
    for tick, (_, numbers, _) in zip(axes.get_yticklabels(), shown, strict=True):
        tick.set_fontweight("bold" if numbers is None else "normal")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.3)
    return figure


def _lines(groups: tuple[str, ...]) -> Iterator[tuple[str, list[float] | None, bool]]:
    """The text of every line, the differences of its runs (None for the title of a group), and whether it is hollow."""
    for group in groups:
        title, _, words = group.partition(": ")
        yield title, None, False
        for one in values.runs_of(shlex.split(words)):
            key, value = one.to
            for name, runs in one.runs[one.runs[key] != value].groupby(key, sort=False):
                numbers = runs[f"{one.metric}+"].dropna().tolist()
                yield LABELS.get(str(name), str(name)), numbers, _is_symmetric(str(runs["parameters"].iloc[0]))


def _is_symmetric(parameters: str) -> bool:
    """Whether a loss focuses positives and negatives alike and has no margin: focal loss and cross-entropy."""
    first, _, second = values.parameter(parameters, "gammas").partition(" / ")
    is_known = bool(first) or parameters.startswith("type=CrossEntropyLoss")
    return is_known and first == second and values.parameter(parameters, "clip") in ("", "0")


def lines(column: str, xlabel: str, ylabel: str, *groups: str) -> Figure:
    """A line for every group: the mean of the main metric against a column of the runs.

    Args:
        column: Such as 'pixels'.
        xlabel: The label of the axis.
        ylabel: The label of the axis.
        groups: As for :func:`differences`.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 3.4), layout="constrained")
    for group in groups:
        title, _, words = group.partition(": ")
        runs = pd.concat([one.runs for one in values.runs_of(shlex.split(words))])
        means = runs.groupby(column)["main"].mean()
        axes.plot(means.index, means, "o-", markersize=4, label=title)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower left", ncols=2)
    return figure


def bars(label: str, *groups: str) -> Figure:
    """Horizontal bars with their numbers, by group: ``TITLE: NAME=FILE WORDS`` for every bar, with a semicolon between.

    Args:
        label: Of the axis.
        groups: Such as ``idle: focal loss=bench_busy loss='mmdet FocalLoss' of=worst_ms; ...``.
    """
    shown: dict[str, dict[str, float]] = {}
    for group in groups:
        title, _, rest = group.partition(": ")
        for bar in rest.split("; "):
            name, _, words = bar.partition("=")
            of, *pairs = shlex.split(words)
            wanted = dict(one.partition("=")[::2] for one in pairs)
            shown.setdefault(name, {})[title] = values.numbers_of(of, wanted).mean()
    return _bars(pd.DataFrame(shown).T, label)


def _bars(table: pd.DataFrame, label: str) -> Figure:
    """A line of bars for every row of the table, a color for every column."""
    number = len(table.columns)
    figure, axes = plt.subplots(figsize=(WIDTH, 0.8 + 0.2 * (number + 0.6) * len(table)), layout="constrained")
    for place, (title, color) in enumerate(zip(table, COLORS, strict=False)):
        ys = [row * (number + 0.6) + place for row in range(len(table))]
        found = axes.barh(ys, table[title].fillna(0), color=color, label=str(title), height=0.9)
        largest = table.max(axis=None)
        form = "{:.0f}" if largest >= 100 else "{:.1f}"
        axes.bar_label(found, ["" if one != one else form.format(one) for one in table[title]], padding=2)
    axes.set(yticks=[row * (number + 0.6) + (number - 1) / 2 for row in range(len(table))])
    axes.set_yticklabels(table.index)
    axes.set_ylim(len(table) * (number + 0.6) - 0.6, -0.8)
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.12)
    figure.supxlabel(label, fontsize="medium")
    if number > 1:
        figure.legend(loc="outside upper left", ncols=number)
    return figure


def shares(title: str, *groups: str) -> Figure:
    """A metric against the share of boxes that are missing: a line for every group.

    A point is the mean over the seeds. Where there are three or more, a bar is its 95 % interval. The points of a share
    are beside each other, so that no bar hides another one. Half of the images with all of their boxes are a point at a
    half.

    Args:
        title: Such as the name of the set.
        groups: As for :func:`differences`; ``metric=`` is that of all.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 3.0), layout="constrained")
    for place, (group, color) in enumerate(zip(groups, COLORS, strict=False)):
        name, _, words = group.partition(": ")
        chosen = values.runs_of(shlex.split(words))
        runs = pd.concat([one.runs for one in chosen])
        missing = runs["missing"].where(runs["protocol"] != "half_images", 0.5)
        by_seed = runs[chosen[0].metric].groupby([missing, runs["seed"]]).mean().dropna()
        means = by_seed.groupby("missing").mean()
        aside = 1.2 * (place - (len(groups) - 1) / 2)
        axes.plot(100 * means.index + aside, means, "o-", markersize=4, color=color, label=name)
        for share, one in by_seed.groupby("missing"):
            if len(one) >= 3:
                axes.errorbar(100 * share + aside, *interval(one.tolist()), color=color, capsize=2, linewidth=1)
    metric = "AP" if chosen[0].metric == "main" else chosen[0].metric
    axes.set(title=title, xticks=[0, 30, 50, 70], xlabel="boxes missing, %", ylabel=metric)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper left", ncols=2)
    return figure


CHARTS: dict[str, Callable[..., Figure]] = {"differences": differences, "lines": lines, "shares": shares, "bars": bars}
