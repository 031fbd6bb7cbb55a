"""What is read from a finished run: metrics, curves, speed, and the frequency of the classes."""

import json
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine import load
from mmengine.config import Config

from asl_mmdet.coco.evaluation import make_evaluable
from asl_mmdet.coco.label_counts import count_labels
from asl_mmdet.config.task import DETECTION, build_dataset, task_of
from asl_mmdet.config.tree import find_datasets
from asl_mmdet.errors import UserError
from asl_mmdet.runs.logs import Rows, read_log
from asl_mmdet.thresholds.calibration import calibration_error
from asl_mmdet.thresholds.choose import Settings, cross_fit, f_score
from asl_mmdet.thresholds.matching import match_detections, match_labels

LAST_LINES = 5  # of the log, for what changes in a training
COCO_STATS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


def collect(cfg: Config, work_dir: Path, predictions: Path) -> dict[str, Any]:
    """The metrics, curves and speed of a finished run."""
    train, val = read_log(work_dir)
    task = task_of(cfg)
    logged = task.logged_metric
    metrics = detection_metrics if task is DETECTION else multilabel_metrics
    rows = load(predictions)
    result = metrics(cfg, rows)
    result["metrics"] |= score_metrics(cfg, rows)
    result["main_metric"] = task.main_metric
    result["curve"] = {step: task.percent * row[logged] for step, row in val.items() if logged in row}
    for name in ("gamma_neg", "ignore_above", "prob_gap"):  # as they are at the end
        last = [row[name] for row in train.values() if name in row][-LAST_LINES:]
        result[name] = statistics.mean(last) if last else None
    memory = work_dir / "peak_memory.json"
    if memory.is_file():
        result |= {f"peak_{name}": value for name, value in json.loads(memory.read_text(encoding="utf-8")).items()}
    result["seconds_per_iteration"] = _median_time(train)
    result["seconds_per_validation_batch"] = _median_time({step: row for step, row in val.items() if logged in row})
    return result


def _median_time(rows: Rows) -> float | None:
    """Of the rows of a log; None where nothing was logged, as in a run that is shorter than the log's interval."""
    times = [row["time"] for row in rows.values() if "time" in row]
    return statistics.median(times) if times else None


def detection_metrics(cfg: Config, predictions: list[dict[str, Any]]) -> dict[str, Any]:
    """COCO's twelve numbers in percent, the AP of every class, precision against recall, detections above score_thr.

    ``detections`` counts what the model gives: at least ``score_thr``, after NMS, at most ``max_per_img`` an image.
    """
    coco, evaluation_class = _read_coco(cfg.test_evaluator.ann_file)
    categories = {category["name"]: category["id"] for category in coco.dataset["categories"]}
    classes = cfg.test_dataloader.dataset.get("metainfo", {}).get("classes") or categories
    names = [name for name in categories if name in classes]  # MMDetection's labels follow the file
    found = []
    for prediction in predictions:
        instances = prediction["pred_instances"]
        boxes = torch.as_tensor(instances["bboxes"]).double()
        boxes = torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)
        for box, score, label in zip(
            boxes.tolist(), instances["scores"].tolist(), instances["labels"].tolist(), strict=True
        ):
            image_id, category_id = prediction["img_id"], categories[names[label]]
            found.append(dict(image_id=image_id, category_id=category_id, bbox=box, score=score))
    stats, per_class, curve = [0.0] * len(COCO_STATS), dict.fromkeys(names, 0.0), [0.0] * 101
    if found:
        evaluation = evaluation_class(coco, coco.loadRes(found), "bbox")
        evaluation.params.catIds = [categories[name] for name in names]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        stats = [float(value) for value in evaluation.stats[:12]]
        precision = np.ma.masked_less(evaluation.eval["precision"][:, :, :, 0, -1], 0)  # IoU, recall, class
        per_class = dict(zip(names, precision.mean((0, 1)).filled(np.nan).tolist(), strict=True))
        curve = precision[0].mean(1).filled(np.nan).tolist()
    frequency = dict(zip(names, class_frequency(cfg)[1], strict=True))
    # pycocotools gives -1 where there is no such object
    metrics = {name: 100 * value for name, value in zip(COCO_STATS, stats, strict=True) if value >= 0}
    per_class = {name: 100 * value for name, value in per_class.items()}
    return dict(
        metrics=metrics | thirds(per_class, frequency),
        per_class=per_class,
        frequency=frequency,
        precision_at_recall=curve,
        detections=len(found),
        score_thr=cfg.model.test_cfg.get("score_thr"),
    )


def _read_coco(path: str) -> tuple[Any, Any]:
    """The annotations and the evaluation of faster-coco-eval where that is installed, else of pycocotools."""
    try:
        from faster_coco_eval import COCO, COCOeval_faster

        return make_evaluable(COCO(path)), COCOeval_faster
    except ImportError:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        return make_evaluable(COCO(path)), COCOeval


def multilabel_metrics(cfg: Config, predictions: list[dict[str, Any]]) -> dict[str, Any]:
    """The columns of the multi-label table, and the AP of every class."""
    from mmpretrain.evaluation import AveragePrecision
    from mmpretrain.registry import METRICS

    metric = METRICS.build(cfg.test_evaluator)
    metric.process(None, predictions)
    metrics = metric.compute_metrics(metric.results)
    pred, target = (torch.stack([row[key].float() for row in metric.results]) for key in ("pred_score", "gt_score"))
    present = (target == 1).any(0)  # mmpretrain's function fails where a class has no known label
    values = torch.full((pred.shape[1],), torch.nan)
    values[present] = AveragePrecision.calculate(pred[:, present], target[:, present], average=None).float()
    frequency = dict(zip(*class_frequency(cfg), strict=True))
    per_class = dict(zip(frequency, values.tolist(), strict=True))
    return dict(metrics=metrics | thirds(per_class, frequency), per_class=per_class, frequency=frequency)


def score_metrics(cfg: Config, predictions: list[dict[str, Any]]) -> dict[str, float]:
    """What the scores are worth to a person, in percent: ``macro F1`` at tuned thresholds, and ``ECE``.

    The F1 is the mean over the classes with objects, at thresholds chosen for each class on four fifths of the
    images and counted on the other, as ``tools/tune_thresholds.py`` does. A detection is right at IoU 0.5. The ECE is
    that of all scores that the model gives, uncalibrated. Where too little is found for one of them, it is left out.
    """
    dataset = build_dataset(cfg, cfg.test_dataloader.dataset)
    match = match_detections if task_of(cfg) is DETECTION else match_labels
    try:
        scored = match(dataset, predictions)
    except UserError:  # predictions that a model with thresholds has cut
        return {}
    found = {}
    try:
        crossed, has = cross_fit(scored, Settings()), scored.truths() > 0
        if not crossed.empty_folds:
            found["macro F1"] = 100 * float(f_score(*crossed.counts)[has].mean())
    except UserError:  # nothing is right, or there are fewer images than parts
        pass
    if len(scored.score):
        found["ECE"] = 100 * calibration_error(scored.score, scored.is_tp)
    return found


def class_frequency(cfg: Config) -> tuple[list[str], list[int]]:
    """The classes in the order of the labels, and how often the training data has each of them.

    By the data sets' own ``get_cat_ids``, inside of wrappers: boxes for a detector, images for a classifier.

    Raises:
        UserError: If no data set is found.
    """
    numbers: Counter[int] = Counter()
    names: list[str] = []
    for _, node in find_datasets(cfg.train_dataloader, "train_dataloader"):
        dataset = build_dataset(cfg, {**node, "pipeline": []})
        names = list(dataset.metainfo["classes"])
        numbers.update(dict(enumerate(count_labels(dataset, len(names)))))
    if not names:
        raise UserError("train_dataloader has no data set with an ann_file, a data_prefix or a data_root")
    return names, [numbers[label] for label in range(len(names))]


def thirds(per_class: dict[str, float], frequency: dict[str, int]) -> dict[str, float]:
    """The mean of the rare, the common and the frequent third of the classes."""
    order = sorted((name for name in per_class if per_class[name] == per_class[name]), key=lambda name: frequency[name])
    parts = np.array_split([per_class[name] for name in order], 3)
    return {
        name: float(part.mean()) for name, part in zip(("rare", "common", "frequent"), parts, strict=True) if len(part)
    }
