"""Runs of missing_share.py and oracle.py as tidy rows: python experiments/rows.py RUNS... --out missing_share.csv.

RUNS are the folders of the benchmark's ``--out``, named SET_missingNN. One row a run: set, share missing, protocol,
config, loss, its parameters, seed, metrics in percent, minutes of training, machine, versions, commit.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd
from mmengine.config import Config

METRICS = ("AP", "AP50", "AP75", "AR100", "rare", "common", "frequent", "macro F1", "ECE")


def row_of(folder: Path) -> dict[str, Any]:
    """The row of one finished run."""
    result = json.loads((folder / "result.json").read_text())
    cfg = Config.fromfile(folder / "config.py")
    name, _, missing = folder.parent.name.rpartition("_missing")
    loss = dict(cfg.model.bbox_head.loss_cls)
    versions = " ".join(f"{name} {number}" for name, number in result["versions"].items())
    return dict(
        set=name,
        missing=int(missing) / 100,
        protocol="uniform",
        config=result["config"],
        loss=result["loss"],
        parameters=json.dumps(loss, sort_keys=True),
        train_images=cfg.train_cfg.max_epochs * _images(cfg),
        seed=result["seed"],
        **{metric.replace(" ", "_"): round(result["metrics"][metric], 2) for metric in METRICS},
        minutes=round(_iterations(result) * result["seconds_per_iteration"] / 60, 1),
        machine=result["device"],
        versions=versions,
        commit=result["commit"][:10],
        date=result["date"],
    )


def _images(cfg: Config) -> int:
    dataset = cfg.train_dataloader.dataset
    return len(json.loads((Path(dataset.data_root) / dataset.ann_file).read_text())["images"])


def _iterations(result: dict[str, Any]) -> int:
    return max(int(step) for step in result["training"]["loss"])


def main() -> None:
    """Write the rows of all finished runs, in a fixed order."""
    command = argparse.ArgumentParser(description=__doc__)
    command.add_argument("runs", nargs="+", type=Path)
    command.add_argument("--out", type=Path, required=True)
    args = command.parse_args()
    rows = [row_of(path.parent) for folder in args.runs for path in folder.glob("*/result.json")]
    frame = pd.DataFrame(rows).sort_values(["set", "missing", "config", "loss", "seed"])
    frame.to_csv(args.out, index=False)
    print(frame.drop(columns=["parameters", "versions", "machine", "protocol"]).to_string(index=False))


if __name__ == "__main__":
    main()
