"""Reading what MMEngine logged."""

import json
from pathlib import Path

Rows = dict[int, dict[str, float]]


def read_log(path: Path) -> tuple[Rows, Rows]:
    """What MMEngine logged in JSON: the lines of training by iteration, and of evaluation by epoch.

    Args:
        path: A work directory, in which a resumed run takes the place of a cut one; or a ``scalars.json``.
    """
    train: Rows = {}
    val: Rows = {}
    for file in [path] if path.is_file() else sorted(path.glob("*/vis_data/scalars.json")):
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:  # cut off by a full disk or a kill
                continue
            if "loss" in row:
                train[row["step"]] = row
            elif "step" in row:
                val[row["step"]] = row
    return train, val
