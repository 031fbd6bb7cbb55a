"""AP where the validation set lacks boxes itself: with and without the detections that no annotation is near.

    COCO_FOLDER=data/bccd TRAIN_IMAGES=2500 python tools/benchmark.py experiments/plans/folder_tuned.py \
        --out work_dirs/benchmark/bccd_tuned50
    python benchmarks/unlabelled.py work_dirs/benchmark/bccd_tuned50/atss-*-missing50-seed10 --crops work_dirs/crops.png

A finished run of a benchmark has its predictions beside it. A detection with an IoU below 0.2 with every annotation of
its image is either wrong, or an object that nobody drew; COCO's evaluation takes it for wrong. ``without`` leaves these
out for every model alike. It favours a model that is wrong in empty places, so look at ``--crops`` first: 30 of those
above ``--score``, drawn at random, in orange, annotations in green. ``--csv FILE`` adds the rows to a table, such
as unlabelled.csv here.
"""

import argparse
import contextlib
import io
import json
import random
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
import torch
from mmengine import load
from mmengine.config import Config
from no_box import NO_BOX, best_iou
from tables import append_csv

from asl_mmdet.audit.labels import Image, Labels
from asl_mmdet.benchmark.metrics import detection_metrics
from asl_mmdet.cli.common import fail
from asl_mmdet.coco.boxes import corners

COLUMNS, NUMBER, SIDE = 6, 30, 180  # of the crops: in a row, in all, and in pixels
FOUND, GIVEN = (0, 90, 255), (80, 200, 80)  # BGR


def is_near(prediction: dict[str, Any], image: Image) -> torch.Tensor:
    """Which detections of an image have an annotation near them, (N,) bool."""
    found = np.asarray(prediction["pred_instances"]["bboxes"], np.float64).reshape(-1, 4)
    return torch.from_numpy(best_iou(found, corners([entry["bbox"] for entry in image.annotations])) >= NO_BOX)


def average_precision(cfg: Config, predictions: list[dict[str, Any]]) -> dict[str, float]:
    """AP and AP50 in percent."""
    with contextlib.redirect_stdout(io.StringIO()):
        metrics = detection_metrics(cfg, predictions)["metrics"]
    return {name: round(metrics[name], 2) for name in ("AP", "AP50")}


def row_of(run: Path, score: float) -> tuple[dict[str, Any], list[tuple[Image, list[float]]]]:
    """A row of the table; and image and corners of what lies far from all annotations."""
    if not (run / "result.json").is_file():
        fail(f"there is no {run / 'result.json'}: finish the run with tools/benchmark.py first")
    cfg, predictions = Config.fromfile(run / "config.py"), load(run / "predictions.pkl")
    images = Labels(cfg, "val_dataloader").images
    near: list[dict[str, Any]] = []
    found: list[tuple[Image, list[float]]] = []
    for prediction in predictions:
        image, instances = images[prediction["img_id"]], prediction["pred_instances"]
        kept = is_near(prediction, image)
        far = ~kept & (instances["scores"] >= score)
        found += [(image, box) for box in instances["bboxes"][far].tolist()]
        near.append({**prediction, "pred_instances": {key: value[kept] for key, value in instances.items()}})
    before, without = average_precision(cfg, predictions), average_precision(cfg, near)
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    names = {name: result.get(name, "") for name in ("set", "config", "data", "loss", "seed")}
    without = {f"{name} without": value for name, value in without.items()}
    return {**names, **before, **without, f"far above {score}": len(found)}, found


def crop_of(found: list[float], image: Image) -> Any:
    """The surroundings of a detection, (H, W, 3) in BGR: it is orange, annotations are green."""
    picture = mmcv.imread(image.path)
    height, width = picture.shape[:2]
    x1, y1, x2, y2 = found
    margin = max(x2 - x1, y2 - y1) / 2 + 8
    left, top = int(max(0, min(x1 - margin, width - 1))), int(max(0, min(y1 - margin, height - 1)))
    crop = picture[top : max(int(y2 + margin), top + 1), left : max(int(x2 + margin), left + 1)]
    scale = SIDE / max(crop.shape[:2])
    crop = mmcv.imrescale(crop, scale)
    given = corners([entry["bbox"] for entry in image.annotations])
    for box, colour in [*((box, GIVEN) for box in given), (np.array(found), FOUND)]:
        start, end = (((point - (left, top)) * scale).round().astype(int).tolist() for point in (box[:2], box[2:]))
        cv2.rectangle(crop, start, end, colour, 2 if colour == FOUND else 1)
    return crop


def draw_crops(found: list[tuple[Image, list[float]]], target: Path) -> None:
    """One picture of crops."""
    sheet = np.zeros((-(-NUMBER // COLUMNS) * SIDE, COLUMNS * SIDE, 3), np.uint8)
    for place, (image, box) in enumerate(random.Random(0).sample(found, min(NUMBER, len(found)))):
        crop = crop_of(box, image)
        top, left = place // COLUMNS * SIDE, place % COLUMNS * SIDE
        sheet[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
    cv2.imwrite(str(target), sheet)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="AP without the detections that no annotation is near.")
    parser.add_argument("runs", nargs="+", type=Path, help="folders of finished runs")
    parser.add_argument("--score", type=float, default=0.4, help="least score of what is counted and drawn")
    parser.add_argument("--crops", type=Path, metavar="FILE.png", help="draw some of them, of the last run")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="add the rows to this table")
    args = parser.parse_args()
    rows = []
    for run in args.runs:
        row, found = row_of(run, args.score)
        rows.append(row)
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    if args.crops:
        draw_crops(found, args.crops)
    if args.csv:
        append_csv(args.csv, rows)


if __name__ == "__main__":
    main()
