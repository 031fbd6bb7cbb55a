"""The weights of classes."""

from matplotlib.figure import Figure

from asl_mmdet.losses.class_weight import frequency_weights
from docs_build.results import rows

BLUE, PALE, GREEN = "#0a62c4", "#93c5fd", "#15803d"


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
