"""What a search found: a table, a CSV file, and a config with the best loss."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from pprint import pformat
from typing import Any

from terminaltables import AsciiTable

from asl_mmdet.tuning.search import TrialResult
from asl_mmdet.tuning.space import OWN


def table_of(tried: Sequence[TrialResult], metric: str) -> str:
    """All that was tried, the best first, with the difference to the config's own loss."""
    own = next((one.value for one in tried if one.name == OWN), float("nan"))
    rows = [["loss", metric, "to the config's own", "minutes"]]
    for one in tried:
        difference = f"{one.value - own:+.2f}" if one.value == one.value and own == own else ""
        value = f"{one.value:.2f}" if one.value == one.value else "failed"
        rows.append([one.name, value, "" if one.name == OWN else difference, f"{one.minutes:.1f}"])
    return str(AsciiTable(rows).table)


def write_csv(tried: Sequence[TrialResult], metric: str, path: Path) -> None:
    """A row for every trial, the best first; parameters that a family does not have are empty."""
    names = list(dict.fromkeys(name for one in tried for name in one.params if name != "family"))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", "family", metric, "minutes", *names])
        for one in tried:
            family = one.params.get("family", OWN)
            value = f"{one.value:.3f}" if one.value == one.value else ""
            writer.writerow([one.name, family, value, f"{one.minutes:.2f}", *(one.params.get(n, "") for n in names)])


def write_best(path: Path, config: Path, key: str, block: dict[str, Any] | None, imports: list[str], note: str) -> None:
    """A config that is the one that was tuned, but for its loss.

    Args:
        path: The file to write.
        config: The config that was tuned.
        key: Of its loss, such as ``model.bbox_head.loss_cls``.
        block: The loss; None keeps the config's own.
        imports: The ``custom_imports`` that it needs.
        note: What is said of it in the file's first line.
    """
    base = os.path.relpath(config.resolve(), path.parent.resolve())
    lines = [f'"""{note}"""', "", f"_base_ = {base!r}"]
    if block is not None:
        lines.append(f"custom_imports = dict(imports={imports!r}, allow_failed_imports=False)")
        node: Any = {"_delete_": True, **block}
        first, *parents = key.split(".")
        for name in reversed(parents):
            node = {name: node}
        lines.append(f"{first} = {pformat(node, width=110, sort_dicts=False)}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
