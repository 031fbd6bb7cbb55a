"""How well the share of missing boxes is estimated, where it is known: rows for the finished runs of a benchmark.

    python tools/test.py RUN/config.py RUN/run/epoch_12.pth --out RUN/low_val.pkl --dump-only \
        --cfg-options model.test_cfg.score_thr=0.001 model.test_cfg.max_per_img=300
    python experiments/estimate_share.py work_dirs/benchmark/chess_missing50/*-seed10 --data data/chess \
        --out experiments/estimate_share.csv

Boxes of the complete validation set are dropped at several rates, ``--draws`` times each, and the share is estimated
from the predictions of a run, which depend on none of that. ``low_train.pkl``, where it is there, is judged by the
annotations that the run was trained on: what a model says about images that it has learned. Rows of other runs in the
file stay.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mmengine import load
from mmengine.config import Config

from asl_mmdet.audit.findings import Boxes
from asl_mmdet.audit.missing_share import MissingShare, join, missing_share, places_of
from asl_mmdet.coco.boxes import corners
from asl_mmdet.coco.drop_boxes import drop_boxes

SHOWN = ["true", "share", "error", "off", "covered", "found", "doubtful", "places"]
LEAST_SCORE = 0.01  # as tools/tune_thresholds.py predicts


def estimate(predictions: dict[int, Boxes], coco: dict[str, Any]) -> dict[str, Any]:
    """The estimate of the share of missing boxes, by the annotations that are left, and the true share."""
    labels = {category["id"]: i for i, category in enumerate(coco["categories"])}
    given: dict[int, list[Any]] = {image["id"]: [] for image in coco["images"]}
    for annotation in coco["annotations"]:
        given[annotation["image_id"]].append((annotation["bbox"], labels[annotation["category_id"]]))
    places = []
    for image, found in predictions.items():
        boxes = corners([box for box, _ in given[image]])
        places.append(places_of(found, Boxes(boxes, np.array([k for _, k in given[image]], int)), len(labels)))
    share = missing_share(join(places))
    dropped = len(coco.get("dropped", {}).get("annotations", []))
    return dict(true=dropped / (dropped + len(coco["annotations"])), **columns_of(share))


def columns_of(share: MissingShare) -> dict[str, Any]:
    """The columns of an estimate."""
    return dict(
        share=share.share,
        low=share.low,
        high=share.high,
        places=share.places,
        from_score=share.from_score,
        found=share.found,
        doubtful=bool(share.doubt),
    )


def rows_of(run: Path, data: Path, rates: list[float], draws: int) -> Iterator[dict[str, Any]]:
    """The rows of one run."""
    name, _, missing = run.parent.name.rpartition("_missing")
    config, loss, _, seed = run.name.split("-")
    about = dict(set=name, trained_missing=int(missing) / 100, config=config, loss=loss, seed=int(seed[4:]))
    coco = json.loads((data / "annotations" / "val.json").read_text())
    predictions = _read(run / "low_val.pkl")
    for rate in rates:
        for draw in range(draws if rate else 1):
            result = estimate(predictions, drop_boxes(coco, rate=rate, seed=draw))
            yield dict(**about, images="validation", rate=rate, draw=draw, **result)
    if (run / "low_train.pkl").exists():
        path = Config.fromfile(run / "config.py").train_dataloader.dataset.ann_file
        trained = json.loads((data / path).read_text())
        yield dict(
            **about,
            images="training",
            rate=int(missing) / 100,
            draw=0,
            **estimate(_read(run / "low_train.pkl"), trained),
        )


def _read(path: Path) -> dict[int, Boxes]:
    found = {}
    for prediction in load(path):
        boxes, labels, scores = (
            np.asarray(prediction["pred_instances"][key]) for key in ("bboxes", "labels", "scores")
        )
        kept = scores >= LEAST_SCORE
        found[prediction["img_id"]] = Boxes(boxes[kept], labels[kept], scores[kept])
    return found


def options_of(explanation: str | None) -> argparse.ArgumentParser:
    """The options that say for which runs, how often, and where the rows go."""
    command = argparse.ArgumentParser(description=explanation, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("runs", nargs="+", type=Path)
    command.add_argument("--rates", nargs="+", type=float, default=[0, 0.3, 0.5, 0.7])
    command.add_argument("--draws", type=int, default=10)
    command.add_argument("--out", type=Path, required=True)
    return command


def write(found: list[dict[str, Any]], run: list[str], case: list[str], out: Path) -> None:
    """Put the rows in the place of those of the same runs, and print a line for each run and case.

    Args:
        found: The rows.
        run: The columns of a run.
        case: The columns of a case, without the draw.
        out: The CSV file; its other rows stay.
    """
    rows = pd.DataFrame(found).round(4)
    more = [name for name in rows if name not in [*run, *case, "draw", *SHOWN, "low", "high", "from_score"]]
    if out.exists():
        old = pd.read_csv(out)
        known = pd.MultiIndex.from_frame(rows[run].drop_duplicates())
        rows = pd.concat([old[~pd.MultiIndex.from_frame(old[run]).isin(known)], rows])
    rows.sort_values([*run, *case, "draw"]).to_csv(out, index=False)
    rows = rows.assign(error=rows.share - rows.true, covered=(rows.low <= rows.true) & (rows.true <= rows.high))
    rows["off"] = rows.error.abs() > 0.07
    print(rows.groupby([*run, *case])[[*SHOWN, *more]].mean().round(3).to_string())


def main() -> None:
    """Write the rows, and print a line for each run and rate."""
    command = options_of(__doc__)
    command.add_argument("--data", type=Path, required=True, help="folder of the complete data set")
    args = command.parse_args()
    found = [row for run in args.runs for row in rows_of(run, args.data, args.rates, args.draws)]
    write(found, ["set", "trained_missing", "config", "loss", "seed"], ["images", "rate"], args.out)


if __name__ == "__main__":
    main()
