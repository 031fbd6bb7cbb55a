"""Diagrams: the workflow for half-labelled data, which loss to take, and classes that an image was not labelled for."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

COMMAND, PERSON, QUESTION, NEUTRAL = "#dbeafe", "#fde68a", "#f3f4f6", "#e5e7eb"
BLUE, GREEN, GREY = "#1d4ed8", "#15803d", "#6b7280"


def workflow() -> tuple[Figure, list[str]]:
    """Train, audit, review, train again, thresholds."""
    steps = (
        ("1  Train", "the loss leaves out\nlikely objects", COMMAND),
        ("2  Audit", "finds objects\nwithout a box", COMMAND),
        ("3  Review", "you accept\nor reject", PERSON),
        ("4  Train again", "with what\nyou accepted", COMMAND),
        ("5  Thresholds", "one for\nevery class", COMMAND),
        ("6  Predict", "boxes for\nnew images", COMMAND),
    )
    figure, axes = _empty(6.0, 2.75)
    places = [(1, 1), (3, 1), (5, 1), (5, 0), (3, 0), (1, 0)]
    for (title, text, color), (x, y) in zip(steps, places, strict=True):
        _box(axes, x, 1.5 * y, 1.7, 1.05, f"{title}\n", color, weight="bold", shift=0.12)
        axes.text(x, 1.5 * y - 0.13, text, ha="center", va="center", fontsize=10.5)
    for x in (1, 3):
        _arrow(axes, (x + 0.87, 1.5), (x + 1.13, 1.5))
    _arrow(axes, (5, 0.95), (5, 0.55))
    for x in (5, 3):
        _arrow(axes, (x - 0.87, 0), (x - 1.13, 0))
    axes.set(xlim=(0.1, 5.9), ylim=(-0.58, 2.08))
    return figure, [f"{title}: {text}".replace("\n", " ") for title, text, _ in steps]


def which_loss() -> tuple[Figure, list[str]]:
    """Questions down the left, answers on the right."""
    questions = (
        ("Labels for whole images,\nwithout boxes?", "AsymmetricLoss\npreset multi_label"),
        ("Merged data sets with\ndifferent classes?", "KnownClassesHook\nwith any of the losses below"),
        ("Do many objects\nlack a box?", "MissingRateLoss\nthen audit and review"),
        ("You do not know?", "Audit the validation images:\nit estimates the share"),
    )
    figure, axes = _empty(6.0, 5.6)
    lines = []
    for i, (question, answer) in enumerate(questions):
        y = -1.5 * i
        _box(axes, 0, y, 2.6, 0.95, question, QUESTION)
        _box(axes, 3.55, y, 2.9, 0.95, answer, COMMAND)
        _arrow(axes, (1.32, y), (2.08, y), "yes")
        _arrow(axes, (0, y - 0.5), (0, y - 1.0), "no")
        lines.append(f"{question} yes: {answer}".replace("\n", " "))
    last = "Every object has a box:\nfocal loss, gamma 0.5 or 1, or AsymmetricLoss, 0 / 1"
    _box(axes, 1.85, -1.5 * len(questions), 6.3, 0.95, last, NEUTRAL)
    axes.set(xlim=(-1.4, 5.1), ylim=(-6.55, 0.55))
    return figure, [*lines, last.replace("\n", " ")]


def known_classes() -> tuple[Figure, list[str]]:
    """Two sets of different classes in one training."""
    classes = ("person", "dog", "car")
    rows = (("images of set A", (True, True, False)), ("images of set B", (False, False, True)))
    figure, axes = _empty(6.0, 2.3)
    for x, name in enumerate(classes):
        axes.text(1.75 * x, 0.85, name, ha="center", va="center", weight="bold")
    for y, (name, labelled) in enumerate(rows):
        axes.text(-1.05, -y * 1.15, name.replace(" of", "\nof"), ha="right", va="center")
        for x, known in enumerate(labelled):
            text, color = ("labelled", COMMAND) if known else ("unknown:\nno loss", NEUTRAL)
            _box(axes, 1.75 * x, -y * 1.15, 1.6, 0.95, text, color)
    axes.set(xlim=(-2.4, 4.4), ylim=(-1.7, 1.1))
    return figure, [
        f"{name}: "
        + ", ".join(f"{one} {'labelled' if known else 'unknown'}" for one, known in zip(classes, labelled, strict=True))
        for name, labelled in rows
    ]


def _empty(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    return figure, axes


def _box(
    axes: Axes,
    x: float,
    y: float,
    width: float,
    height: float,
    text: str,
    color: str,
    weight: str = "normal",
    shift: float = 0,
) -> None:
    """A box with text, around a point."""
    place = (x - width / 2 + 0.08, y - height / 2 + 0.08)
    shape = FancyBboxPatch(
        place, width - 0.16, height - 0.16, boxstyle="round,pad=0.08,rounding_size=0.12", fc=color, ec=GREY, lw=1
    )
    axes.add_patch(shape)
    axes.text(x, y + shift, text, ha="center", va="center", weight=weight)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], text: str = "") -> None:
    axes.annotate("", end, start, arrowprops=dict(arrowstyle="-|>", color="black", lw=1.3, shrinkA=0, shrinkB=0))
    if text:
        is_level = start[1] == end[1]
        x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
        axes.text(
            x + (0 if is_level else 0.12),
            y + (0.17 if is_level else 0),
            text,
            ha="center" if is_level else "left",
            va="center",
        )
