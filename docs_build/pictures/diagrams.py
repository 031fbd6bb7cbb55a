"""Diagrams: ways to work, which loss to take, what is learned from which label, and what takes the loss."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

COMMAND, PERSON, QUESTION, NEUTRAL, LEARNED = "#dbeafe", "#fde68a", "#f3f4f6", "#e5e7eb", "#dcfce7"
BLUE, RED, GREY = "#1d4ed8", "#c5221f", "#6b7280"


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
        ("Unsure whether boxes\nare missing?", "Audit the validation images:\nit estimates the share"),
        ("Do many objects\nlack a box?", "FoundBoxesHook\nthen audit and review"),
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
    known, unknown = ("labelled", COMMAND), ("unknown:\nno loss", NEUTRAL)
    return _grid(
        ("person", "dog", "car"),
        {"images of set A": (known, known, unknown), "images of set B": (unknown, unknown, known)},
    )


def unknown_class() -> tuple[Figure, list[str]]:
    """What a box of a known class, one of the unknown class, and background teach."""
    yes, no, none, place = ("yes", LEARNED), ("no", COMMAND), ("no loss", NEUTRAL), ("learned", LEARNED)
    return _grid(
        ("is it a gull?", "is it a tern?", "where is it?"),
        {
            "box of a gull": (yes, no, place),
            "box of unknown": (none, none, place),
            "place of no box": (no, no, none),
        },
    )


def anchors() -> tuple[Figure, list[str]]:
    """What torchvision's RetinaNet makes of an anchor, by its overlap with the nearest object."""
    parts = (
        (0.0, 0.4, "background", "matched -1\nlabel: number of classes", COMMAND),
        (0.4, 0.5, "neither", "matched -2\nweight 0", NEUTRAL),
        (0.5, 1.0, "object", "matched: its index\nlabel: its class", LEARNED),
    )
    figure, axes = _empty(6.0, 1.9)
    for left, right, name, text, color in parts:
        axes.add_patch(Rectangle((left, 0), right - left, 0.45, fc=color, ec=GREY, lw=1))
        middle = (left + right) / 2
        axes.text(middle, 0.22 if name != "neither" else 0.62, name, ha="center", va="center", weight="bold")
        axes.text(middle, -0.42, text, ha="center", va="center", fontsize=10.5)
    for value in (0, 0.4, 0.5, 1):
        axes.text(value, -0.1, f"{value:g}", ha="center", va="center", fontsize=9.5, color=GREY)
    axes.text(0, 0.62, "IoU with the nearest object", ha="left", va="center", fontsize=10.5, color=GREY)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.7, 0.8))
    return figure, [f"IoU {a:g} to {b:g}: {name}, {text}".replace("\n", ", ") for a, b, name, text, _ in parts]


def machines() -> tuple[Figure, list[str]]:
    """Two machines of eight GPUs in one training, and the variables that each command has."""
    figure, axes = _empty(6.0, 2.5)
    lines = ["NNODES=2 on both machines"]
    for rank in (0, 1):
        x, name = 3.1 * rank, f"host{rank}"
        _box(axes, x, 0, 2.7, 1.9, "", COMMAND if rank == 0 else QUESTION)
        axes.text(x, 0.66, name, ha="center", va="center", weight="bold")
        axes.text(x, 0.3, f"NODE_RANK={rank}", ha="center", va="center", family="monospace", fontsize=10.5)
        for gpu in range(8):
            _box(axes, x + 0.58 * (gpu % 4 - 1.5), -0.18 - 0.42 * (gpu // 4), 0.54, 0.4, str(8 * rank + gpu), LEARNED)
        lines.append(f"{name}: NODE_RANK={rank}, GPUs {8 * rank} to {8 * rank + 7}")
    _arrow(axes, (1.72, 0.3), (1.38, 0.3))
    axes.text(1.55, -1.2, "NNODES=2   MASTER_ADDR=host0", ha="center", va="center", family="monospace", fontsize=10.5)
    axes.text(1.55, -1.5, "16 processes, one per GPU: a step sees 16 batches", ha="center", va="center", fontsize=10.5)
    axes.set(xlim=(-1.5, 4.6), ylim=(-1.7, 1.05))
    return figure, [*lines, "MASTER_ADDR=host0: 16 processes, one per GPU; a step sees 16 batches"]


def resume() -> tuple[Figure, list[str]]:
    """A run that is killed, and goes on from its newest valid checkpoint."""
    rows = (
        ("killed", range(1, 4), COMMAND, "killed in epoch 4, while epoch_3.pth was written"),
        ("--resume", range(3, 7), LEARNED, "goes on from epoch_2.pth: epoch_3.pth is cut off"),
        ("without a kill", range(1, 7), COMMAND, "the same weights and the same log"),
    )
    figure, axes = _empty(6.0, 2.7)
    for y, (name, epochs, color, text) in enumerate(rows):
        axes.text(0.35, -1.1 * y, name, ha="right", va="center", weight="bold", fontsize=10.5)
        for epoch in epochs:
            _box(axes, epoch, -1.1 * y, 0.96, 0.5, str(epoch), color)
        axes.text(0.55, -1.1 * y - 0.45, text, ha="left", va="center", fontsize=10.5)
    axes.plot(3.75, 0, "x", color=RED, ms=11, mew=3)
    axes.text(3.5, 0.45, "epoch", ha="center", va="center", fontsize=10.5, color=GREY)
    axes.set(xlim=(-1.35, 6.6), ylim=(-2.85, 0.65))
    return figure, [f"{name}, epochs {epochs[0]} to {epochs[-1]}: {text}" for name, epochs, _, text in rows]


AS_IT_IS, SUM, OWN_HEAD, NOT = "as it is", "with an\noption", "with a head\nof your own", "not"
# Whether a head of another package takes the loss, and whether that was run or its code only read.
PACKAGES: dict[str, tuple[tuple[str, str, bool], ...]] = {
    "MMRotate 1.2.1": (
        ("RetinaNet, FCOS, ATSS", AS_IT_IS, True),
        ("R3Det, S2ANet, H2RBox, KFIoU, RepPoints", AS_IT_IS, False),
        ("RTMDet", NOT, False),
    ),
    "MMYOLO 0.6.0": (
        ("YOLOv5, v7, YOLOX: loss_obj", AS_IT_IS, False),
        ('YOLOv8: reduction="none"', SUM, False),
        ('YOLOv6, PPYOLOE: reduction="sum"', SUM, False),
        ("RTMDet", NOT, False),
    ),
    "MMDetection3D 1.4.0": (
        ("FCOS3D, PGD", AS_IT_IS, False),
        ('PointRPN: reduction="sum"', SUM, False),
        ("PointPillars, SECOND", OWN_HEAD, True),
        ("FCAF3D, ImVoxelNet, CenterPoint", NOT, False),
    ),
    "MMAction2 1.2.0": (("recognition heads", AS_IT_IS, True), ("AVA's BBoxHead", NOT, False)),
    "MMSegmentation 1.2.2": (("all heads", NOT, False),),
}


def packages() -> tuple[Figure, list[str]]:
    """Which heads of other packages take the loss."""
    columns = (AS_IT_IS, SUM, OWN_HEAD, NOT)
    count = sum(len(heads) + 1 for heads in PACKAGES.values())
    figure, axes = _empty(6.0, 0.27 * count + 1.05)
    for x, name in enumerate(columns):
        axes.text(x, 1.1, name, ha="center", va="center", fontsize=9.5)
    lines, y = [], 0
    for package, heads in PACKAGES.items():
        axes.text(-4.55, -y, package, ha="left", va="center", weight="bold")
        for head, where, is_run in heads:
            y += 1
            axes.axhline(-y, color=NEUTRAL, lw=0.8, zorder=0)
            axes.text(-4.45, -y, head, ha="left", va="center", fontsize=9.5, bbox=dict(fc="white", ec="none", pad=1))
            color = RED if where == NOT else BLUE
            axes.plot(columns.index(where), -y, "o", ms=8, color=color, mfc=color if is_run else "white", mew=1.6)
            lines.append(f"{package}, {head}: {where}, {'run' if is_run else 'read'}".replace("\n", " "))
        y += 1
    axes.plot([-4.3, -1.6], [-y - 0.3] * 2, "o", ms=8, color=BLUE, ls="none")
    axes.plot(-1.6, -y - 0.3, "o", ms=8, color=BLUE, mfc="white", mew=1.6)
    axes.text(-4.1, -y - 0.3, "its head computed a loss", ha="left", va="center", fontsize=9.5)
    axes.text(-1.4, -y - 0.3, "its code was read", ha="left", va="center", fontsize=9.5)
    axes.set(xlim=(-4.65, 3.5), ylim=(-y - 0.9, 1.8))
    return figure, lines


def _grid(columns: tuple[str, ...], rows: dict[str, tuple[tuple[str, str], ...]]) -> tuple[Figure, list[str]]:
    """A table of boxes: text and color of each, below the names of the columns and right of that of the row."""
    figure, axes = _empty(6.0, 0.35 + 0.975 * len(rows))
    for x, name in enumerate(columns):
        axes.text(1.75 * x, 0.85, name, ha="center", va="center", weight="bold")
    lines = []
    for y, (name, cells) in enumerate(rows.items()):
        axes.text(-1.05, -y * 1.15, name.replace(" of", "\nof"), ha="right", va="center")
        for x, (text, color) in enumerate(cells):
            _box(axes, 1.75 * x, -y * 1.15, 1.6, 0.95, text, color)
        shown = (f"{column} {text}" for column, (text, _) in zip(columns, cells, strict=True))
        lines.append(f"{name}: {', '.join(shown)}".replace("\n", " "))
    axes.set(xlim=(-2.4, 4.4), ylim=(-1.15 * len(rows) + 0.6, 1.1))
    return figure, lines


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
