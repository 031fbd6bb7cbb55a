"""The CSV files of the scripts in this folder."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any


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
    """What allocates here: jemalloc, glibc that keeps its memory, by ``keep_memory`` or a variable, or as it comes."""
    if "jemalloc" in os.environ.get("LD_PRELOAD", ""):
        return "jemalloc"
    return "kept" if kept or "MALLOC_TRIM_THRESHOLD_" in os.environ else "fresh"
