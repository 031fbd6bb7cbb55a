"""The CSV files of the scripts in this folder."""

import csv
import datetime
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

MICRO = Path(__file__).with_name("micro.csv")
CONDITIONS = (
    *("case", "size", "classes", "frozen_stages", "stacked_convs", "memory_format", "allocator", "threads"),
    *("device", "versions", "date"),
)
Measurement = tuple[dict[str, Any], dict[str, Any]]  # conditions, and what was measured under them


def write_micro(path: Path, benchmark: str, measured: Sequence[Measurement], replace: bool = False) -> None:
    """Add a row for each quantity that was measured to a file such as ``micro.csv``.

    Args:
        path: The file.
        benchmark: The name of the script, without ``bench_``.
        measured: What was measured. Device, versions and date are those of now where a condition does not say.
        replace: Instead of the rows of the same benchmark in the file.
    """
    now = dict(
        device=f"{platform.machine()} CPU",
        versions=f"python {platform.python_version()}, torch {torch.__version__}",
        date=datetime.date.today().isoformat(),
    )
    rows = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if not (replace and row["benchmark"] == benchmark)]
    for conditions, values in measured:
        if unknown := conditions.keys() - {*CONDITIONS}:
            raise ValueError(f"{', '.join(unknown)}: the conditions of {path} are {', '.join(CONDITIONS)}")
        shared = dict(benchmark=benchmark) | now | conditions
        rows += [shared | dict(quantity=quantity, value=value) for quantity, value in values.items()]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["benchmark", *CONDITIONS, "quantity", "value"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows of equal keys."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def append_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Add rows of equal keys to a file; a new one gets its header."""
    is_new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerows(rows)


def allocator(kept: bool = False) -> str:
    """What allocates: jemalloc, or glibc, and whether glibc keeps its memory, by ``keep_memory`` or a variable."""
    if "jemalloc" in os.environ.get("LD_PRELOAD", ""):
        return "jemalloc"
    return "kept" if kept or "MALLOC_TRIM_THRESHOLD_" in os.environ else "fresh"
