"""The tables and plots of the Results pages, from the rows in ``benchmarks``, by pandas."""

import base64
import functools
import tempfile
from pathlib import Path

import pandas as pd

from asl_mmdet.benchmark.plots import draw
from asl_mmdet.benchmark.report import EXPLANATION, Table, note, tables_of
from asl_mmdet.benchmark.rows import Rows

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
RUNS = "benchmarks/runs.csv"
SHORT = 5  # columns of a table of losses that are shown at once


@functools.cache
def rows() -> Rows:
    """All rows."""
    return Rows.read(BENCHMARKS)


def experiment(name: str) -> str:
    """The tables of an experiment: the differences, then every loss, then all runs.

    Args:
        name: A value of the column ``experiment``.
    """
    chosen = rows().where(experiment=name)
    first, *groups, runs = tables_of(chosen)
    parts = [f"*{note(chosen.runs)}.*", str(first)]
    for one in groups:
        short = Table(one.title, one.header[:SHORT], [row[:SHORT] for row in one.rows], one.best)
        parts += [f"**{one.title}**", str(short), _folded(f"All columns of {one.title}", one)]
    return "\n\n".join([*parts, _folded("All runs", runs)])


def page_of(name: str) -> str:
    """A page of an experiment: the command that shows its rows, its tables and its plots."""
    command = f"```console\n$ python tools/benchmark.py --rows benchmarks --where experiment={name}\n```"
    return "\n\n".join([command, EXPLANATION, experiment(name), *_pictures(name)])


def micro(benchmark: str) -> str:
    """A micro-benchmark of ``micro.csv``, a row for every measurement.

    Args:
        benchmark: A value of the column ``benchmark``.
    """
    found = pd.read_csv(BENCHMARKS / "micro.csv", dtype=str)
    found = found[found["benchmark"] == benchmark].dropna(axis="columns", how="all").drop(columns="benchmark")
    conditions = [key for key in found if key not in ("quantity", "value")]
    found["measurement"] = (found["quantity"] == found["quantity"].iloc[0]).cumsum()
    same = [key for key in conditions if found["measurement"].max() > 1 and found[key].nunique(dropna=False) == 1]
    values = found.pivot(index="measurement", columns="quantity", values="value")[found["quantity"].unique()]
    left = found.groupby("measurement").first()[[key for key in conditions if key not in same]]
    return _with_note(", ".join(f"{key}: {found[key].iloc[0]}" for key in same), left.join(values))


def loss(path: str) -> str:
    """The table of ``benchmarks/bench_loss.py``: CPU milliseconds of forward and backward, page faults, memory.

    Args:
        path: The CSV file, in the repository.
    """
    frame = pd.read_csv(ROOT / path, dtype=object)
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
            parts += [f"**{parameters}: {title}**", _table(wide.reset_index())]
    return "\n\n".join(parts)


def states(path: str) -> str:
    """What ``benchmarks/bench_loss.py --add`` wrote: wall milliseconds beside other work, median and worst call.

    Args:
        path: The CSV file, in the repository.
    """
    frame = pd.read_csv(ROOT / path, dtype=object)
    where = ", ".join(f"{key} {', '.join(map(str, frame[key].unique()))}" for key in ("size", "torch", "date"))
    median, worst = frame["forward_backward_ms"].astype(float), frame["worst_ms"].astype(float)
    frame["cell"] = [f"{a:.0f} ({b:.0f})" for a, b in zip(median, worst, strict=True)]
    frame["beside it; threads"] = frame["machine"] + "; " + frame["threads"]
    parts = [f"*{where}*"]
    for parameters, group in frame.groupby("parameters", sort=False):
        wide = group.pivot(index="beside it; threads", columns="loss", values="cell")
        wide = wide.reindex(index=group["beside it; threads"].unique(), columns=group["loss"].unique())
        parts += [f"**{parameters}**", _table(wide.reset_index())]
    return "\n\n".join(parts)


def _pictures(name: str) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        found = draw(rows().where(experiment=name), Path(folder))
        return [
            f"![{title}](data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()})"
            for title, path in found.items()
        ]


def _folded(title: str, table: Table) -> str:
    return f'??? note "{title}"\n\n    ' + str(table).replace("\n", "\n    ")


def _with_note(note: str, frame: pd.DataFrame) -> str:
    return "\n\n".join([f"*{_escaped(note)}*"] * bool(note) + [_table(frame)])


def _table(frame: pd.DataFrame) -> str:
    cells = [["" if value != value else _escaped(str(value)) for value in row] for row in frame.itertuples(index=False)]
    return str(Table("", [str(key).replace("_", " ") for key in frame], cells))


def _escaped(text: str) -> str:
    return text.replace("*", r"\*").replace("_", r"\_").replace("|", r"\|")
