"""The CSV files of the scripts in this folder."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows of equal keys."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def append_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Add rows to those that the file has; all have equal keys."""
    before: list[dict[str, Any]] = []
    if path.is_file():
        with path.open(newline="") as file:
            before = list(csv.DictReader(file))
    write_csv(path, [*before, *rows])


def allocator(kept: bool) -> str:
    """What allocates in this process: glibc that keeps its memory or as it comes, or jemalloc."""
    if "jemalloc" in os.environ.get("LD_PRELOAD", ""):
        return "jemalloc"
    return "kept" if kept else "fresh"
