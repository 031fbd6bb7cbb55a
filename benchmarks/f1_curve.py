"""Macro F1 of a detector by score threshold, as a curve of its run in ``curves.csv``.

    python benchmarks/f1_curve.py CONFIG PREDICTIONS.pkl --run chess_tuned50_384 atss missing50 focal_tuned 10

PREDICTIONS.pkl is what ``tools/test.py --out`` wrote for the validation images; the run is named as in ``runs.csv``.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from mmengine import Config, load

from asl_mmdet.benchmark.rows import NAME, Rows
from asl_mmdet.config.task import build_dataset
from asl_mmdet.thresholds.choose import counts, f_score
from asl_mmdet.thresholds.matching import match_detections

FOLDER = Path(__file__).parent
CURVE = "macro F1"


def main() -> None:
    """Match the predictions, and write the points."""
    command = argparse.ArgumentParser(description="Write macro F1 by score threshold into curves.csv.")
    command.add_argument("config", type=Path, metavar="CONFIG", help="config file of the run")
    command.add_argument("predictions", type=Path, metavar="PREDICTIONS.pkl", help="from tools/test.py --out")
    command.add_argument("--run", nargs=5, required=True, metavar=tuple(name.upper() for name in NAME), help="its name")
    args = command.parse_args()
    cfg = Config.fromfile(args.config)
    scored = match_detections(build_dataset(cfg, cfg.val_dataloader.dataset), load(args.predictions))
    name = dict(zip(NAME, [*args.run[:4], int(args.run[4])], strict=True))
    points = []
    for threshold in np.arange(0.06, 0.951, 0.02).round(2):
        right, kept, truths = counts(scored, float(threshold))
        f1 = f_score(right, kept, truths)[truths > 0].mean()
        points.append(name | dict(curve=CURVE, x=threshold, y=round(100 * f1, 2)))
    rows = Rows.read(FOLDER)
    same = (rows.curves[[*NAME, "curve"]] == [*name.values(), CURVE]).all(axis="columns")
    replace(rows, curves=pd.concat([rows.curves[~same], pd.DataFrame(points)])).write(FOLDER)


if __name__ == "__main__":
    main()
