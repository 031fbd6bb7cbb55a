"""How well the share of missing labels is estimated, where it is known: rows for the finished runs of a benchmark.

    PYTHONPATH=. python experiments/estimate_label_share.py work_dirs/benchmark/fod_multilabel/*-focal-missing50-* \
        --out experiments/estimate_label_share.csv

Labels of the complete validation set are dropped at several rates, ``--draws`` times each, and the share is estimated
from the scores of a run, which depend on none of that: as ``tools/tune_thresholds.py`` does, and as Elkan and Noto
(KDD 2008, https://doi.org/10.1145/1401890.1401920) do, by the mean calibrated score of the labels that are left,
cross-fitted. Rows of other runs in the file stay.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from mmengine import load
from mmengine.config import Config

from asl_mmdet.audit.missing_share import missing_share, places_of_labels
from asl_mmdet.config.task import build_dataset
from asl_mmdet.thresholds.choose import Settings, cross_fit
from asl_mmdet.thresholds.matching import MatchedPredictions, match_labels
from experiments.estimate_share import columns_of, options_of, write

KEY = ["set", "trained_missing", "loss", "seed"]


def drop_labels(scored: MatchedPredictions, rate: float, seed: int) -> MatchedPredictions:
    """The same where a share of the labels, drawn at random, is missing."""
    is_tp = scored.is_tp & (np.random.default_rng(seed).random(len(scored.is_tp)) >= rate)
    return replace(scored, is_tp=is_tp, truth_image=scored.image[is_tp], truth_label=scored.label[is_tp])


def estimate(scored: MatchedPredictions) -> dict[str, Any]:
    """Both estimates of the share of missing labels."""
    share = missing_share(places_of_labels(scored))
    calibrated = cross_fit(scored, Settings(calibration="isotonic")).score
    return dict(**columns_of(share), elkan_noto=1 - calibrated[scored.is_tp].mean())


def rows_of(run: Path, rates: list[float], draws: int) -> Iterator[dict[str, Any]]:
    """The rows of one run."""
    result = json.loads((run / "result.json").read_text())
    about = dict(zip(KEY, (result[key] for key in ("set", "missing", "loss", "seed")), strict=True))
    cfg = Config.fromfile(run / "config.py")
    scored = match_labels(build_dataset(cfg, cfg.val_dataloader.dataset), load(run / "predictions.pkl"))
    for rate in rates:
        for draw in range(draws if rate else 1):
            left = drop_labels(scored, rate, draw)
            true = 1 - left.is_tp.sum() / scored.is_tp.sum()
            yield dict(**about, rate=rate, draw=draw, true=true, **estimate(left))


def main() -> None:
    """Write the rows, and print a line for each run and rate."""
    args = options_of(__doc__).parse_args()
    write([row for run in args.runs for row in rows_of(run, args.rates, args.draws)], KEY, ["rate"], args.out)


if __name__ == "__main__":
    main()
