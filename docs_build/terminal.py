"""What the commands of the pages print: they are run on made data when the site is built, and shown as a terminal.

    <!-- build: terminal import_folder "The import names what it read and what it left out" -->

The words are the name of one of TERMINALS, and the description for those who cannot see it.
"""

import base64
import functools
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mkdocs.exceptions import PluginError
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from asl_mmdet.coco.shapes import make_shapes

ROOT = Path(__file__).parents[1]
LINKED = ("benchmarks", "configs", "experiments", "tools")
WIDTH = 64  # characters in a line: letters of 9 pixels on a screen of 390
FORMAT = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.S)  # no request to another site


@dataclass(frozen=True)
class Terminal:
    """A command, run in a folder that has this project's tools and configs.

    Args:
        commands: As the page has them; only the last may end with an error.
        prepare: Puts the files that it reads into the folder.
        shown: A regular expression for the lines to show, where not all are.
        code: The exit code.
    """

    commands: tuple[str, ...]
    prepare: Callable[[Path], object]
    shown: str = ""
    code: int = 0


def picture(name: str, alt: str) -> str:
    """The Markdown of a terminal.

    Args:
        name: One of :data:`TERMINALS`.
        alt: What it shows, in words.

    Raises:
        PluginError: If there is none of this name, or if the command fails.
    """
    if name not in TERMINALS:
        raise PluginError(f"there is no terminal {name}; there are {', '.join(TERMINALS)}")
    svg = base64.b64encode(draw(printed(TERMINALS[name])).encode()).decode()
    return f"![{alt}](data:image/svg+xml;base64,{svg}){{ width=640 }}"


@functools.cache
def printed(terminal: Terminal) -> tuple[tuple[str, str], ...]:
    """The commands, and what each prints."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        for one in LINKED:
            (folder / one).symlink_to(ROOT / one)
        terminal.prepare(folder)
        done = [run(command, folder) for command in terminal.commands]
    codes = [one.returncode for one in done]
    if codes != [0] * (len(done) - 1) + [terminal.code]:
        raise PluginError(f"{terminal.commands} ended with {codes}:\n{done[-1].stdout}")
    outputs = [chosen(one.stdout.replace(f"{folder}/", ""), terminal.shown) for one in done]
    return tuple(zip(terminal.commands, outputs, strict=True))


def run(command: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """A command in a folder, with this Python."""
    words = shlex.split(command)
    env = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": str(WIDTH), "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        [sys.executable if words[0] == "python" else words[0], *words[1:]],
        cwd=folder,
        env=env,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def chosen(text: str, shown: str) -> str:
    """The lines that a regular expression finds."""
    return "\n".join(line for line in text.rstrip().splitlines() if re.search(shown, line))


def draw(outputs: tuple[tuple[str, str], ...]) -> str:
    """A terminal as SVG."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, highlight=False)
    for command, text in outputs:
        console.print(Text(f"$ {command}", style="bold #7ee787"))
        console.print(Text.from_ansi(text))
    console.print()  # the last line is cut off at its foot
    return console.export_svg(title="", code_format=FORMAT)


def shapes(folder: Path) -> Path:
    """The small data set of shapes."""
    return make_shapes(folder / "data" / "shapes", num_train=40, num_val=8)


def exported_from_yolo(folder: Path) -> None:
    """Shapes as a YOLO folder without a validation split; a line cannot be read, and a label has no image."""
    made, out = make_shapes(folder / "made", num_train=60, num_val=1, num_classes=4), folder / "downloads" / "pieces"
    coco = json.loads((made / "annotations" / "train.json").read_text(encoding="utf-8"))
    (out / "labels").mkdir(parents=True)
    (made / "train").rename(out / "images")
    names = ", ".join(one["name"] for one in coco["categories"])
    (out / "data.yaml").write_text(f"path: .\ntrain: images\nnames: [{names}]\n", encoding="utf-8")
    for image in coco["images"]:
        size = np.array([image["width"], image["height"]] * 2)
        boxes = [one for one in coco["annotations"] if one["image_id"] == image["id"]]
        places = [np.array([x + w / 2, y + h / 2, w, h]) / size for x, y, w, h in (one["bbox"] for one in boxes)]
        lines = [
            f"{one['category_id'] - 1} {' '.join(map(str, place))}" for one, place in zip(boxes, places, strict=True)
        ]
        (out / "labels" / image["file_name"]).with_suffix(".txt").write_text("\n".join(lines), encoding="utf-8")
    (out / "labels" / "000002.txt").write_text("0 0.5 0.5 0.2\n", encoding="utf-8")
    (out / "images" / "000001.jpg").unlink()


def spoilt(folder: Path) -> None:
    """Shapes whose files have some of the usual defects, and a config with another one."""
    annotations = shapes(folder) / "annotations"
    train, val = (json.loads((annotations / f"{split}.json").read_text(encoding="utf-8")) for split in ("train", "val"))
    train["annotations"][0]["bbox"][2] = 0
    train["images"][3]["file_name"] = train["images"][3]["file_name"].upper()
    val["categories"].reverse()
    for split, coco in (("train", train), ("val", val)):
        (annotations / f"{split}.json").write_text(json.dumps(coco), encoding="utf-8")


def untrained(folder: Path) -> None:
    """A checkpoint of the shapes detector with random weights."""
    import torch
    from mmdet.apis import init_detector

    model = init_detector(str(folder / SHAPES), device="cpu")
    torch.save(dict(meta={}, state_dict=model.state_dict()), folder / "epoch_6.pth")


def nothing(folder: Path) -> None:
    """No file."""


SHAPES = "configs/shapes/atss_r18_asl_shapes.py"
TERMINALS = {
    "import_folder": Terminal(("python tools/import_dataset.py downloads/pieces --out data/mine",), exported_from_yolo),
    "check_data": Terminal((f"python tools/check_dataset.py {SHAPES}",), spoilt, code=1),
    "check_gpu": Terminal(
        (
            "python benchmarks/gpu.py --device cpu --quick --steps correctness",
            "cut -d'|' -f2-4,6-8 work_dirs/gpu/report.md",
        ),
        nothing,
        r"done in|^work_dirs|loss_error|0/[14], .*\| index",
    ),
    "mmdet_tools": Terminal(
        (f"python -m asl_mmdet.run get_flops.py {SHAPES}",), shapes, "^==|^Compute|^Input|^Flops|^Params"
    ),
    "export_onnx": Terminal((f"python tools/export_onnx.py {SHAPES} epoch_6.pth --out out/atss.onnx",), untrained),
}
