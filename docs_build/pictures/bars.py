"""Bars: the time and the memory of the loss, what small detectors reach, and the weights of classes."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from asl_mmdet.losses.class_weight import frequency_weights
from docs_build.results import BENCHMARKS, rows
from docs_build.values import SETS

LOSSES = {
    "ours, eager": "AsymmetricLoss",
    "ours, compile": "... compiled",
    "BCE with logits": "PyTorch's BCE",
    "mmdet FocalLoss": "MMDetection's\nfocal loss",
}
SMALL = {"chess": 217, "bccd": 205, "aquarium": 479}  # training images
BATCH = 4  # of configs/small
BLUE, PALE, GREEN = "#0a62c4", "#93c5fd", "#15803d"


def speed() -> tuple[Figure, list[str]]:
    """Milliseconds of forward and backward on an idle and on a busy machine, and the memory of both."""
    busy = pd.read_csv(BENCHMARKS / "bench_busy.csv")
    busy = busy[(busy["parameters"] == "1/2") & (busy["threads"] == 2)].set_index("loss")
    memory = pd.read_csv(BENCHMARKS / "bench_loss.csv")
    at = (memory["parameters"] == "1/2") & (memory["logits"] == "trained") & (memory["allocator"] == "warm")
    memory = memory[at & memory["size"].str.startswith("FCOS")].set_index("loss")["peak_extra_memory"]
    figure = Figure(figsize=(6.0, 5.4), layout="constrained")
    times, sizes = figure.subplots(2, 1, height_ratios=(2, 1.25))
    states = {"idle": BLUE, "2 busy": PALE}
    names = {"idle": "idle machine", "2 busy": "two busy processes beside it"}
    table = {state: busy.loc[busy["machine"] == state, "forward_backward_ms"].reindex(LOSSES) for state in states}
    for i, (state, color) in enumerate(states.items()):
        _bars(times, table[state], color, 0.4, 0.2 - 0.4 * i, "{:.0f}", names[state])
    _bars(sizes, memory.reindex(LOSSES), GREEN, 0.6, 0.0, "{:.1f}", "")
    times.set_title("milliseconds, forward and backward", loc="left", fontsize=11, weight="bold")
    sizes.set_title("memory, in sizes of the logits", loc="left", fontsize=11, weight="bold")
    times.legend(frameon=False, loc="upper right")
    lines = [
        f"{label}: {table['idle'][key]:.0f} ms idle, {table['2 busy'][key]:.0f} ms beside two busy processes, "
        f"memory {memory[key]:.1f}"
        for key, label in LOSSES.items()
    ]
    return figure, [line.replace("\n", " ") for line in lines]


def small() -> tuple[Figure, list[str]]:
    """AP of the detectors of configs/small on three sets, and the minutes that their training takes."""
    figure = Figure(figsize=(6.0, 3.2), layout="constrained")
    axes = figure.subplots()
    lines, names = [], []
    for i, (name, images) in enumerate(SMALL.items()):
        runs = rows().where(experiment=f"{name}_complete_384", loss="focal_tuned").runs
        minutes = (runs["seconds_per_iteration"] * runs["epochs"] * images / BATCH).mean() / 60
        names.append(f"{SETS[name]}\n{images} images\n{minutes:.0f} minutes")
        for metric, color, shift in (("AP50", PALE, -0.2), ("AP", BLUE, 0.2)):
            bars = axes.barh(i + shift, runs[metric].mean(), height=0.4, color=color, label=metric if i == 0 else None)
            axes.bar_label(bars, fmt="{:.0f}", padding=3)
        lines.append(f"{SETS[name]}, {images} images, {minutes:.0f} minutes: AP {runs['AP'].mean():.1f}")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set(xlim=(0, 100), xlabel="percent, on the validation images")
    axes.tick_params(axis="y", length=0)
    figure.legend(ncols=2, loc="outside upper right", frameon=False)
    return figure, lines


def class_weights() -> tuple[Figure, list[str]]:
    """The weights of the classes of the shapes, from the most frequent to the rarest."""
    classes = rows().classes
    classes = classes[(classes["experiment"] == "shapes_detection") & (classes["loss"] == "focal")]
    counts = classes.groupby("class")["number"].first().sort_values(ascending=False)
    figure = Figure(figsize=(6.0, 3.6), layout="constrained")
    number, weight = figure.subplots(2, 1, sharex=True)
    places = range(len(counts))
    number.bar(places, counts, color=PALE)
    number.set_ylabel("boxes")
    lines = [f"{len(counts)} classes with {counts.iloc[0]} to {counts.iloc[-1]} boxes"]
    for scheme, color in (("effective_number", BLUE), ("inverse_frequency", GREEN)):
        values = frequency_weights(counts.tolist(), scheme, normalize="labels")
        weight.plot(places, values, "o-", ms=4, color=color, label=scheme)
        lines.append(f"{scheme}: weights of {values[0]:.2f} to {values[-1]:.2f}")
    weight.set(xlabel="classes, the most frequent first", ylabel="weight", xticks=[], ylim=(0, None))
    weight.legend(frameon=False)
    return figure, lines


def _bars(axes: Axes, values: pd.Series, color: str, height: float, shift: float, form: str, label: str) -> None:
    places = [len(values) - 1 - i + shift for i in range(len(values))]
    found = axes.barh(places, values, height=height, color=color, label=label)
    axes.bar_label(found, [form.format(one) for one in values], padding=3)
    axes.set_yticks(range(len(values)), list(LOSSES.values())[::-1])
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.margins(x=0.12)
