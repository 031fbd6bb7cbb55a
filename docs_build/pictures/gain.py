"""'Does it help?': every difference that was measured, with its interval, as one chart."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import blended_transform_factory

from asl_mmdet.benchmark.paired import interval
from docs_build.values import runs_of, value_of

GAIN, LOSS, OPEN = "#0a62c4", "#c5221f", "#6b7280"  # the interval is above 0, below it, or holds it
ROOM = 1.35  # rows that the heading of a group takes


@dataclass(frozen=True)
class Bar:
    """A line of the chart: a data set, and the runs as in ``docs_build.values``.

    Args:
        set: The name that is shown.
        runs: What is compared with its baseline.
        focal: Focal loss with a smaller gamma, compared with the same, if that was trained too.
    """

    set: str
    runs: str
    focal: str = ""


SHAPES, CHESS, CELLS, FISH, RUNWAY = "shapes (drawn)", "chess pieces", "blood cells", "aquarium", "runway"
GROUPS: dict[str, tuple[Bar, ...]] = {
    "Every object has a box: ASL": (
        Bar(
            SHAPES,
            "shapes_detection config=atss data=complete loss=detection",
            "shapes_attribution data=complete loss=focal_gamma05",
        ),
        Bar(CHESS, "chess_complete_384 loss=detection_small", "chess_complete_384 loss=focal_tuned_gamma05"),
        Bar(CELLS, "bccd_complete_384 loss=detection_small", "bccd_complete_384 loss=focal_tuned_gamma05"),
        Bar(FISH, "aquarium_complete_384 loss=detection_small", "aquarium_complete_384 loss=focal_tuned_gamma05"),
    ),
    "Half of the boxes are missing: FoundBoxesHook": (
        Bar(SHAPES, "shapes_missing50 loss=focal_gamma2_found to=loss=focal"),
        Bar(CHESS, "chess_missing50 data=missing50 loss=focal_found_half_more to=loss=focal_tuned"),
        Bar(CELLS, "bccd_missing50 data=missing50 loss=focal_found_half_more to=loss=focal_tuned"),
        Bar(FISH, "aquarium_missing50 data=missing50 loss=focal_found_half_more to=loss=focal_tuned"),
    ),
    "Half of the boxes are missing: MissingRateLoss": (
        Bar(
            SHAPES,
            "shapes_missing50 loss=detection_missing_rate_auto to=loss=focal",
            "shapes_attribution data=missing50 loss=focal_gamma1",
        ),
        Bar(
            CHESS,
            "chess_missing50 data=missing50 loss=detection_small_missing_rate_auto to=loss=focal_tuned",
            "chess_tuned50_384 data=missing50 loss=focal_tuned_gamma05",
        ),
        Bar(
            CELLS,
            "bccd_missing50 data=missing50 loss=detection_small_missing_rate_auto to=loss=focal_tuned",
            "bccd_tuned50_384 data=missing50 loss=focal_tuned_gamma05",
        ),
        Bar(
            FISH,
            "aquarium_missing50 data=missing50 loss=detection_small_missing_rate_auto to=loss=focal_tuned",
            "aquarium_tuned50_384 data=missing50 loss=focal_tuned_gamma05",
        ),
    ),
    "No box is missing: MissingRateLoss": (
        Bar(CHESS, "chess_missing0 loss=detection_small_missing_rate_auto to=loss=focal_tuned"),
        Bar(CELLS, "bccd_missing0 loss=detection_small_missing_rate_auto to=loss=focal_tuned"),
        Bar(FISH, "aquarium_missing0 loss=detection_small_missing_rate_auto to=loss=focal_tuned"),
    ),
    "Trained again with the boxes that the audit added": (
        Bar(SHAPES, "shapes_rounds data=missing50_round2_15 loss=detection_missing_labels to=data=missing50"),
        Bar(CHESS, "chess_rounds_384 data=missing50_round2 to=data=missing50"),
        Bar(CELLS, "bccd_rounds_384 data=missing50_round2 to=data=missing50"),
    ),
    "Merged data sets: KnownClassesHook": (
        Bar(SHAPES, "shapes_known_classes data=known_long to=data=unknown_long"),
        Bar(CHESS, "chess_known_classes data=known to=data=unknown"),
        Bar(CELLS, "bccd_known_classes data=known to=data=unknown"),
    ),
    "Multi-label classification (mAP): ASL": (
        Bar(SHAPES, "shapes_multilabel data=complete loss=multi_label"),
        Bar(RUNWAY, "fod_multilabel data=complete loss=multi_label"),
        Bar(f"{RUNWAY}, half missing", "fod_multilabel data=missing50 loss=multi_label_missing_labels"),
        Bar("chess, 1 label left", "chess_multilabel_one_label data=extreme loss=multi_label_missing_labels"),
    ),
}


def draw() -> tuple[Figure, list[str]]:
    """The chart, and a line of words for each of its lines."""
    rows = sum(len(bars) + ROOM for bars in GROUPS.values())
    figure = Figure(figsize=(5.9, 0.235 * rows + 1.4), layout="constrained")
    axes = figure.subplots()
    from_left = blended_transform_factory(figure.transFigure, axes.transData)
    lines, ticks, at = [], {}, 0.0
    for title, bars in GROUPS.items():
        at -= ROOM
        heading = axes.text(0.01, at + 0.95, title, transform=from_left, weight="bold", va="center")
        heading.set_in_layout(False)
        lines.append(title)
        for one in bars:
            lines.append(f"{one.set}: {_line(axes, at, one)}")
            ticks[at] = one.set
            at -= 1
    axes.set_yticks([*ticks], [*ticks.values()], fontsize=10.5)
    axes.tick_params(axis="y", length=0)
    axes.set(xlim=(-6, 12.4), ylim=(at + 0.4, 0), xticks=range(-4, 13, 4))
    axes.set_xlabel("points of AP gained, against focal loss\nor against the same without it")
    axes.axvline(0, color="black", linewidth=1, zorder=0)
    axes.grid(axis="x", alpha=0.25)
    axes.spines["left"].set_visible(False)
    _legend(figure)
    return figure, lines


def _line(axes: Axes, at: float, bar: Bar) -> str:
    """Draw a line of the chart; returns its numbers."""
    center, half, text = _measured(bar.runs)
    color = OPEN if np.isnan(half) or abs(center) <= half else GAIN if center > 0 else LOSS
    axes.plot([center - half, center + half], [at, at], color=color, lw=3, solid_capstyle="butt")
    axes.plot(center, at, "D" if np.isnan(half) else "o", color=color, ms=7)
    axes.text(1.02, at, text.split()[0], transform=axes.get_yaxis_transform(), va="center", color=color)
    if bar.focal:
        center, _, small = _measured(bar.focal)
        axes.plot(center, at, "o", color="white", mec="black", ms=5.5, mew=1.2, zorder=4)
        text += f"; focal loss with a smaller gamma {small}"
    return text


def _measured(runs: str) -> tuple[float, float, str]:
    """The mean difference, half the width of its interval, and both as a page has them."""
    (found,) = runs_of(runs.split())
    values = found.runs[f"{found.metric}+"].dropna().tolist()
    center, half = interval(values)
    return center, half if len(values) > 2 else np.nan, value_of(f"difference {runs}").replace("*", "")


def _legend(figure: Figure) -> None:
    dots = [
        Line2D([], [], color=color, lw=3, marker="o", ms=7, label=label)
        for color, label in ((GAIN, "it gains"), (LOSS, "it loses"), (OPEN, "within noise"))
    ]
    single = Line2D([], [], color="none", marker="D", mfc=OPEN, mec=OPEN, ms=7, label="fewer than three runs")
    ring = Line2D([], [], color="none", marker="o", mfc="white", mec="black", ms=5.5, label="focal loss, smaller gamma")
    figure.legend(handles=[*dots, single, ring], ncols=2, loc="outside upper center", frameon=False, fontsize=10.5)
