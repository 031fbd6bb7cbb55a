"""The result of a run as a row, what it was measured with, and two results compared."""

import os
import platform
import subprocess
import sys
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from asl_mmdet import __version__, stack

ROOT = Path(__file__).parents[2]
PACKAGES = (
    *("torch", "torchvision", "numpy", "pycocotools", "faster-coco-eval"),
    *(name for names in stack.DISTRIBUTIONS.values() for name in names),
)


@dataclass(frozen=True)
class Result:
    """What a finished run gave, as in its ``result.json``.

    Args:
        config: The cell's config; ``loss``, ``data`` and ``seed`` are the rest of it.
        baseline: The loss that the others are compared with.
        main_metric: The metric that a run is judged by.
        metrics: All metrics of the last checkpoint, in percent.
        per_class: The AP of every class.
        frequency: How often every class is in the training data.
        curve: The main metric by epoch.
        training: What was logged by iteration: the loss, its parameters, the probability gap.
        seconds_per_iteration: The median; ``seconds_per_validation_batch``, too.
        peak_host_mb: The largest resident memory of a training process; ``peak_device_mb`` is what PyTorch had
            allocated on a GPU.
        peak_memory_mb: In results of 0.1, the peak of the host's memory of the process that was launched.
        asl_mmdet: The version of this package.
        precision_at_recall: For detectors, at IoU 0.5 and 101 recalls.
        detections: For detectors, how many boxes there were of at least ``score_thr``.
        device: What it ran on; ``python`` and ``versions`` are what it ran with, ``commit`` is that of a checkout.
    """

    config: str
    loss: str
    data: str
    seed: int
    baseline: str
    main_metric: str
    metrics: dict[str, float]
    per_class: dict[str, float]
    frequency: dict[str, int]
    curve: dict[str, float]
    training: dict[str, dict[str, float]]
    seconds_per_iteration: float
    seconds_per_validation_batch: float
    device: str
    date: str
    commit: str = ""
    python: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    asl_mmdet: str | None = None
    peak_host_mb: float | None = None
    peak_device_mb: float | None = None
    peak_memory_mb: float | None = None
    precision_at_recall: list[float] | None = None
    detections: int | None = None
    score_thr: float | None = None

    @classmethod
    def of(cls, row: dict[str, Any]) -> "Result":
        """The result in a ``result.json``; keys that are not known here are left out."""
        known = {one.name for one in fields(cls)}
        return cls(**{key: value for key, value in row.items() if key in known})

    @property
    def main(self) -> float:
        """The value of the main metric."""
        return self.metrics[self.main_metric]


def environment() -> dict[str, Any]:
    """Device, versions, and the commit where the package is imported from a checkout of this project."""
    versions = {name: number for name in PACKAGES if (number := stack.installed_version(name))}
    device = (
        torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else f"{platform.machine()} CPU, {os.cpu_count()} cores"
    )
    return dict(
        device=device,
        python=sys.version.split()[0],
        versions=versions,
        asl_mmdet=__version__,
        commit=_commit(),
        date=datetime.now().date().isoformat(),
    )


def _commit() -> str:
    """The commit of the checkout; empty for an installed package, whose folder may lie in another project's."""
    project = ROOT / "pyproject.toml"
    if not project.is_file() or 'name = "asl-mmdet"' not in project.read_text(encoding="utf-8"):
        return ""
    command = ["git", "rev-parse", "--show-toplevel", "HEAD"]
    git = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    top, _, commit = os.fsdecode(git.stdout).strip().partition("\n")
    return commit if git.returncode == 0 and Path(top).samefile(ROOT) else ""


def compare(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[str]:
    """What changed between two contents of a ``results.json``, cell by cell, and what only one of them has."""
    before, after = ({(r.config, r.data, r.loss, r.seed): r for r in map(Result.of, results)} for results in (old, new))
    lines = []
    for key in sorted(before.keys() | after.keys()):
        name = "-".join(str(part) for part in key)
        if key not in before or key not in after:
            lines.append(f"{name}: only in the {'second' if key in after else 'first'}")
            continue
        a, b = before[key], after[key]
        seconds = b.seconds_per_iteration / a.seconds_per_iteration
        lines.append(
            f"{name}: {a.main_metric} {a.main:.2f} -> {b.main:.2f} ({b.main - a.main:+.2f}), time x {seconds:.2f}"
        )
    return lines
