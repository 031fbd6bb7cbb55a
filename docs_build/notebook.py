"""A notebook as a page: executed when the site is built, unless nothing that it uses has changed since."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from mkdocs.exceptions import PluginError
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).parents[1]
EXECUTED = ROOT / "build" / "docs"
USED = ("asl_mmdet/**/*.py", "asl_mmdet_cli/*.py", "configs/**/*.py", "tools/*.py")
SECONDS = 1800  # that one cell may take
ANSI = re.compile(r"\x1b\[[0-9;]*m")
# What libraries print at their import and pycocotools when it reads a file, line by line.
NOISE = re.compile(
    r"^(Could not import OneDL.*|loading annotations.*|Done \(t=.*|creating index.*|index created!)$\n?", re.M
)
TABLE = re.compile(r"<style.*?</style>|(?<=<table)[^>]*|(?<=<tr)[^>]*", re.S)  # pandas' own looks


def page_of(name: str) -> str:
    """The Markdown of a notebook in ``docs``: its text, its code and what the code printed and drew."""
    parts = []
    for cell in executed(ROOT / "docs" / name).cells:
        source = cell.source.strip()
        if cell.cell_type == "markdown":
            parts.append(re.sub(r"\A# .*\n", "", source))  # the page has its own title
        elif source:
            # A progress bar writes past %%capture.
            outputs = [] if source.startswith("%%capture") else cell.outputs
            parts += [f"```python\n{source}\n```", *(one for output in outputs for one in _shown(output))]
    return "\n\n".join(parts)


def executed(path: Path) -> nbformat.NotebookNode:
    """The notebook with its outputs; those of an earlier build where it and the code that it uses are the same.

    Raises:
        PluginError: If a cell fails, with the cell and its error.
    """
    digest = hashlib.sha256(path.read_bytes())
    for pattern in USED:
        for file in sorted(ROOT.glob(pattern)):
            digest.update(file.read_bytes())
    kept = EXECUTED / f"{path.stem}-{digest.hexdigest()[:16]}.ipynb"
    if kept.is_file():
        return nbformat.read(kept, as_version=4)
    content = nbformat.read(path, as_version=4)
    try:
        NotebookClient(content, timeout=SECONDS, resources={"metadata": {"path": str(ROOT)}}).execute()
    except CellExecutionError as error:
        raise PluginError(f"{path}: {ANSI.sub('', str(error))}") from error
    EXECUTED.mkdir(parents=True, exist_ok=True)
    nbformat.write(content, kept)
    return content


def _shown(output: Any) -> Iterator[str]:
    """The Markdown of one output."""
    data = output.get("data", {})
    if "image/png" in data:
        yield f"![output](data:image/png;base64,{''.join(data['image/png'].split())})"
    elif "text/html" in data and "text/plain" in data:
        yield TABLE.sub("", data["text/html"]).replace("\n", " ")
    else:
        text = NOISE.sub("", ANSI.sub("", output.get("text") or data.get("text/plain") or "")).strip("\n")
        if text:
            yield f'```text title="output"\n{text}\n```'
