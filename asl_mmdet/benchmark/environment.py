"""What a run was made with: data, loss, machine and versions."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from asl_mmdet import __version__
from asl_mmdet.coco.format import read_json
from asl_mmdet.compat import stack
from asl_mmdet.config.task import loss_node
from asl_mmdet.config.tree import find_datasets, type_name

ROOT = Path(__file__).parents[2]
PACKAGES = (
    *("torch", "torchvision", "numpy", "pycocotools", "faster-coco-eval"),
    *(name for names in stack.DISTRIBUTIONS.values() for name in names),
)


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


def conditions(cfg: Config) -> dict[str, Any]:
    """What a config says of a run.

    Returns:
        ``set``, the folder of the test data; ``missing``, the share of the training boxes that ``drop_boxes``
        says it dropped, and its ``protocol``; :func:`parameters` of the loss; ``pixels``, to which test images are
        scaled, None where they are not; ``epochs``.
    """
    train, test = ([node for _, node in find_datasets(cfg[f"{part}_dataloader"], part)] for part in ("train", "test"))
    files = [Path(node.get("data_root") or "") / str(node.get("ann_file") or "") for node in train]
    kept = dropped = 0
    protocols: dict[str, None] = {}
    for path in files:
        if path.suffix == ".json" and path.is_file():
            coco = read_json(path)
            record = coco.get("dropped") or {}
            protocols |= {record["protocol"]: None} if record else {}
            kept += sum(one.get("source") != "audit_labels" for one in coco.get("annotations", ()))
            dropped += len(record.get("annotations", ())) * (record.get("protocol") != "half_images")  # these are whole
    roots = dict.fromkeys(Path(node.get("data_root") or Path(str(node.get("ann_file"))).parent).name for node in test)
    steps = [step for node in test for step in node.get("pipeline") or () if "Resize" in type_name(step.get("type"))]
    scales = [step.get("scale") for step in steps]
    return dict(
        set=", ".join(roots),
        missing=round(dropped / (kept + dropped), 2) if kept + dropped else None,
        protocol=", ".join(protocols),
        parameters=parameters(loss_node(cfg)[1]),
        pixels=max((max(one) if isinstance(one, list | tuple) else one for one in scales if one), default=None),
        epochs=(cfg.get("train_cfg") or {}).get("max_epochs"),
    )


def parameters(loss: dict[str, Any]) -> str:
    """The keys of a config block in a line, its type first; without those that are None.

    Example:
        >>> parameters(dict(gamma=2.0, alpha=None, type="A", loss=dict(type="B")))
        'type=A gamma=2.0 loss.type=B'
    """
    found = sorted(_flat(loss, ""), key=lambda item: (item[0] != "type", item[0]))
    return " ".join(f"{key}={value}" for key, value in found if value is not None and not key.endswith("use_sigmoid"))


def _flat(block: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in block.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, type_name(value) if isinstance(value, type) else value
