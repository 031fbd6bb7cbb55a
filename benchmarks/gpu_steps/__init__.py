"""The steps of benchmarks/gpu.py: each gives rows, and asks for nothing that another has done."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Rows = Iterator[Row]


@dataclass(frozen=True)
class Settings:
    """What a step is told.

    Args:
        device: 'cuda' or 'cpu'.
        quick: Small inputs and few repetitions, to see whether everything runs; the numbers mean nothing.
        out: The folder of the results.
    """

    device: str
    quick: bool
    out: Path
