"""The drawn pictures of README and the pages: charts of the rows in ``benchmarks``, curves and diagrams.

    python -m docs_build.pictures

writes ``docs/pictures/*.svg`` again. Each file says what it shows in its description; a test compares that with what
the rows give.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.figure import Figure

from docs_build.pictures import bars, curves, diagrams, gain

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
DESCRIPTION = ".//{http://purl.org/dc/elements/1.1/}description"
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "asl_mmdet",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
PICTURES: dict[str, Callable[[], tuple[Figure, list[str]]]] = {
    "gain": gain.draw,
    "workflow": diagrams.workflow,
    "which_loss": diagrams.which_loss,
    "known_classes": diagrams.known_classes,
    "unknown_class": diagrams.unknown_class,
    "anchors": diagrams.anchors,
    "machines": diagrams.machines,
    "packages": diagrams.packages,
    "resume": diagrams.resume,
    "ignored": curves.ignored,
    "threshold": curves.threshold,
    "class_weights": bars.class_weights,
    "search": curves.search,
    "small": bars.small,
    "speed": bars.speed,
}


def draw(name: str) -> tuple[Figure, str]:
    """A picture, and what it shows in words."""
    with mpl.rc_context(STYLE):
        figure, lines = PICTURES[name]()
    return figure, "\n".join(lines)


def write(name: str, folder: Path = FOLDER) -> Path:
    """Draw a picture into a file, the same to the last byte for the same rows and the same matplotlib."""
    path = folder / f"{name}.svg"
    figure, text = draw(name)
    with mpl.rc_context(STYLE):
        figure.savefig(path, metadata={"Description": text, "Date": None})
    return path


def description_of(path: Path) -> str:
    """What a picture says it shows."""
    found = ElementTree.parse(path).find(DESCRIPTION)
    return "" if found is None else found.text or ""
