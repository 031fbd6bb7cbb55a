"""The tables of the Results pages, from the committed CSV and JSON files, by pandas."""

import io
import json
from pathlib import Path

import pandas as pd

from asl_mmdet.benchmark.report import Table, note, tables_of
from asl_mmdet.benchmark.results import Result

ROOT = Path(__file__).parents[1]
SHORT = 5  # columns of a table of losses that are shown at once


def plan(name: str) -> str:
    """The tables of a benchmark of ``benchmarks/results``: the differences, then every loss.

    Args:
        name: The folder.
    """
    runs = [
        Result.of(row)
        for row in json.loads((ROOT / "benchmarks/results" / name / "results.json").read_text(encoding="utf-8"))
    ]
    first, *others = tables_of(runs)
    parts = [f"*{note(runs)}.*", _markdown(first)]
    for one in others:
        short = Table(one.title, one.header[:SHORT], [row[:SHORT] for row in one.rows], one.best)
        whole = _markdown(one).replace("\n", "\n    ")
        parts += [f"**{one.title}**", _markdown(short), f'??? note "All columns of {one.title}"\n\n    {whole}']
    return "\n\n".join(parts)


def csv(path: str, *columns: str) -> str:
    """A CSV file as a table. What is the same in all rows, and comments at its top, stand above it.

    Args:
        path: The file, in the repository.
        columns: The columns to show; all by default.
    """
    comment, frame = _read(path)
    frame = frame.dropna(axis="columns", how="all")
    same = {key: frame[key].iloc[0] for key in frame if len(frame) > 1 and frame[key].nunique(dropna=False) == 1}
    shown = [key for key in (columns or frame.columns) if key not in same]
    above = [*([comment] if comment else []), *([", ".join(f"{key}: {same[key]}" for key in same)] if same else [])]
    return "\n\n".join([*(f"*{_escaped(line)}*" for line in above), _frame(frame[shown])])


def loss(path: str) -> str:
    """The table of ``benchmarks/bench_loss.py``: CPU milliseconds of forward and backward, page faults, memory.

    Args:
        path: The CSV file, in the repository.
    """
    _, frame = _read(path)
    where = ", ".join(f"{key} {', '.join(map(str, frame[key].unique()))}" for key in ("device", "torch", "date"))
    parts = [f"*{where}*"]
    for parameters, group in frame.groupby("parameters", sort=False):
        for value, title in (
            ("forward_backward_cpu_ms", "CPU milliseconds"),
            ("page_faults", "page faults"),
            ("peak_extra_memory", "memory / logits"),
        ):
            cases = ["size", "logits", "allocator"]
            wide = group.pivot(index="loss", columns=cases, values=value)
            wide = wide.reindex(index=group["loss"].unique(), columns=group[cases].drop_duplicates())
            wide.columns = [", ".join(case) for case in wide.columns]
            parts += [f"**{parameters}: {title}**", _frame(wide.reset_index())]
    return "\n\n".join(parts)


def _read(path: str) -> tuple[str, pd.DataFrame]:
    """The comment lines at the top of a CSV file, joined, and the rest."""
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines(keepends=True)
    comments = [line for line in lines if line.startswith("#")]
    frame = pd.read_csv(io.StringIO("".join(line for line in lines if not line.startswith("#"))), dtype=object)
    return " ".join(line.lstrip("# ").strip() for line in comments), frame


def _frame(frame: pd.DataFrame) -> str:
    rows = [["" if value != value else _escaped(str(value)) for value in row] for row in frame.itertuples(index=False)]
    return _markdown(Table("", [str(key).replace("_", " ") for key in frame], rows))


def _markdown(table: Table) -> str:
    rows = [table.header, ["---"] * len(table.header), *table.rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _escaped(text: str) -> str:
    return text.replace("*", r"\*").replace("_", r"\_").replace("|", r"\|")
