"""Choose thresholds and calibrate scores on the validation set."""

import argparse
import csv
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from mmengine import load
from mmengine.config import Config
from terminaltables import AsciiTable

from asl_mmdet import __version__
from asl_mmdet.audit.findings import Boxes
from asl_mmdet.audit.labels import Labels
from asl_mmdet.audit.share_report import describe_missing_labels, describe_missing_share
from asl_mmdet.checks import check_labels, preflight
from asl_mmdet.checks.start_weights import check_classes
from asl_mmdet.cli.common import (
    check_data,
    end_processes,
    fail,
    is_first_process,
    load_config,
    stop_on,
    tell,
    user_errors_end_the_program,
)
from asl_mmdet.cli.inference import dump_to, runner_of
from asl_mmdet.config.task import DETECTION, MULTI_LABEL, build_dataset, task_of
from asl_mmdet.config.tree import type_name
from asl_mmdet.errors import UserError
from asl_mmdet.runs.key import KEY, digest_of, key_of, read_key, write_key
from asl_mmdet.runs.locks import locked
from asl_mmdet.thresholds.calibration import errors_of
from asl_mmdet.thresholds.choose import (
    OBJECTIVES,
    CrossFitted,
    Objective,
    Settings,
    calibrated,
    counts,
    cross_fit,
    f_score,
    fit,
)
from asl_mmdet.thresholds.file import ThresholdFile
from asl_mmdet.thresholds.matching import MatchedPredictions, match_detections, match_labels
from asl_mmdet.thresholds.model import lower_score_thr, wrap_model

BEFORE = (0.5, 0.3)
LACKING = (
    "so precision and F1 are too low, and thresholds may be too high: objects that are found and have no box count as "
    "errors. Audit these images and tune again: tools/audit_labels.py --validation"
)


def main(args: argparse.Namespace) -> None:
    """Predict unless that is done, choose, print the tables and write the files."""
    if missing := [name for name in ("sklearn", "matplotlib") if find_spec(name) is None]:
        fail(f"this needs {' and '.join(missing)}, not installed here: pip install 'scikit-learn>=1.5' matplotlib")
    cfg = load_config(args, "model", "val_dataloader", "val_evaluator", "test_cfg")
    if type_name(cfg.model.type) == "WithThresholds":
        fail(f"model.type='WithThresholds' in {args.config}: tune by the config without it")
    keys = [text.partition("=")[0] for text in args.cfg_options or ()]
    of_test = [key for key in keys if key.startswith(("test_dataloader", "test_evaluator"))]
    if unread := [key for key in of_test if key.replace("test", "val", 1) not in keys]:
        fail(f"{unread[0]} is not read here: thresholds are tuned on val_dataloader, by val_evaluator. Change these")
    cfg.test_dataloader, cfg.test_evaluator = cfg.val_dataloader, cfg.val_evaluator
    stop_on(preflight.check_checkpoint(args.checkpoint))
    stop_on(check_classes(args.checkpoint, cfg, "val"))
    check_data(cfg, "test")
    stop_on(check_labels(cfg, "val"))
    out = args.out or Path(cfg.work_dir) / "thresholds"
    cfg.work_dir = str(out / "logs")
    settings = settings_of(args)
    if args.predictions:
        predictions = load_predictions(args.predictions)
    else:
        if cfg.model.get("test_cfg"):
            cfg.model.test_cfg = lower_score_thr(cfg.model.test_cfg, args.score_thr)
        predictions = load_predictions(predict(cfg, args.checkpoint, out))
    scored = score(cfg, predictions, args.iou)
    thresholds, calibration = fit(scored, settings)
    cross_fitted = cross_fit(scored, settings)
    rows = table(scored, thresholds.of_class, cross_fitted)
    summary = macro(scored, cross_fitted)
    errors = calibration_errors(scored, cross_fitted) if calibration else {}
    lacks = np.isnan(thresholds.unshrunk) if settings.per_class else np.zeros(len(scored.classes), bool)
    at_overall = [name for name, lack in zip(scored.classes, lacks, strict=True) if lack]
    made = dict(
        objective=str(settings.objective),
        per_class=settings.per_class,
        overall=thresholds.overall,
        shrinkage=settings.shrinkage,
        folds=settings.folds,
        seed=settings.seed,
        iou=args.iou if task_of(cfg) is DETECTION else None,
        images=scored.num_images,
        classes_at_overall=at_overall,
        config=str(args.config),
        checkpoint=str(args.checkpoint),
        version=__version__,
        macro_f1=summary,
        calibration_errors=errors,
    )
    lowest = score_thr_of(cfg.model.get("test_cfg"))
    content = ThresholdFile(task_of(cfg).name, scored.classes, thresholds.of_class, calibration, lowest, made)
    write(out, content, scored, cross_fitted, rows)
    if cross_fitted.empty_folds:
        tell(
            f"warning: without the images of {cross_fitted.empty_folds} of {settings.folds} folds there is nothing to "
            "choose by, so none of their scores is kept, and the cross-fitted figures are too low. Train the model "
            "longer, or use more images"
        )
    if at_overall:
        tell(f"no own threshold (no object, or out of reach), the global one stands in: {', '.join(at_overall)}")
    show(args, cfg, out, rows, summary, errors)
    print("\n".join(share_of(cfg, predictions, scored)))


def settings_of(args: argparse.Namespace) -> Settings:
    """How the thresholds are chosen."""
    kind, value = next(
        ((kind, getattr(args, kind)) for kind in OBJECTIVES if getattr(args, kind, None) is not None),
        ("f", args.beta),
    )
    method = None if args.calibration == "none" else args.calibration
    return Settings(
        Objective(kind, value),
        args.per_class,
        args.shrinkage,
        method,
        args.calibration_per_class,
        args.folds,
        args.seed,
    )


def predict(cfg: Config, checkpoint: str, out: Path) -> Path:
    """The predictions on the validation set; those of an earlier call are taken where nothing changed."""
    path = out / "predictions.pkl"
    wanted = key_of(cfg, checkpoint=digest_of(checkpoint))
    with locked(out) if is_first_process() else nullcontext():
        if path.is_file() and read_key(out) == wanted:
            tell(f"reusing {path}")
            return path
        runner = runner_of(cfg, checkpoint)
        (out / KEY).unlink(missing_ok=True)
        runner.test_evaluator.metrics = [dump_to(path, cfg)]
        with user_errors_end_the_program():
            runner.test()
        del runner
        end_processes()
        write_key(out, wanted)
    return path


def load_predictions(path: Path) -> list[dict[str, Any]]:
    """Read a file of predictions, or end with a message."""
    try:
        predictions = load(str(path))
    except Exception as error:  # a pickle can raise anything
        fail(f"the predictions {path} cannot be read: {type(error).__name__}: {error}")
    if not isinstance(predictions, list) or not predictions or not all(isinstance(one, dict) for one in predictions):
        fail(f"{path} holds no predictions: use the file that tools/test.py --out wrote")
    return predictions


def score(cfg: Config, predictions: list[dict[str, Any]], iou_thr: float) -> MatchedPredictions:
    """Compare the predictions with the validation set."""
    dataset = build_dataset(cfg, cfg.val_dataloader.dataset)
    if task_of(cfg) is MULTI_LABEL:
        return match_labels(dataset, predictions)
    return match_detections(dataset, predictions, iou_thr)


def share_of(cfg: Config, predictions: list[dict[str, Any]], scored: MatchedPredictions) -> list[str]:
    """What share of the validation set's boxes or labels is missing; of boxes only for one data set in COCO format."""
    try:
        labels = Labels(cfg, "val_dataloader")
    except UserError:
        return describe_missing_labels(scored) if task_of(cfg) is MULTI_LABEL else []
    if task_of(cfg) is MULTI_LABEL:
        return describe_missing_labels(scored, labels)
    found = {}
    for prediction in predictions:
        boxes, classes, scores = (np.asarray(prediction["pred_instances"][k]) for k in ("bboxes", "labels", "scores"))
        found[prediction["img_id"]] = Boxes(boxes, classes, scores)
    return describe_missing_share(found, labels, consequence=LACKING)


def table(scored: MatchedPredictions, thresholds: Any, cross_fitted: CrossFitted) -> list[dict[str, Any]]:
    """A row for every class: precision, recall and F1 at 0.5, and cross-fitted at its threshold."""
    before = [counts(scored, thr) for thr in BEFORE]
    rows = []
    for i, name in enumerate(scored.classes):
        right, kept, truths = cross_fitted.counts[:, i].tolist()
        row = dict(name=name, objects=truths, threshold=float(thresholds[i]))
        for thr, numbers in zip(BEFORE, before, strict=True):
            row[f"f1_at_{thr:g}"] = float(f_score(numbers[0, i], numbers[1, i], numbers[2, i]))
        row["precision"] = right / kept if kept else float("nan")
        row["recall"] = right / truths if truths else float("nan")
        row["f1"] = float(f_score(right, kept, truths)) if truths else float("nan")
        rows.append(row)
    return rows


def macro(scored: MatchedPredictions, cross_fitted: CrossFitted) -> dict[str, float]:
    """The mean F1 over the classes with objects: at 0.5 and 0.3, at one threshold, at those of the classes."""
    found = {f"score {thr:g}": counts(scored, thr) for thr in BEFORE}
    found |= {"one threshold": cross_fitted.overall_counts, "chosen": cross_fitted.counts}
    has = scored.truths() > 0
    return {name: float(f_score(*numbers)[has].mean()) for name, numbers in found.items()}


def calibration_errors(scored: MatchedPredictions, cross_fitted: CrossFitted) -> dict[str, dict[str, float]]:
    """ECE and LaECE before and after, of all scores and of those that the thresholds keep."""
    return {
        f"{name}, {when}": errors_of(scored, values, kept)
        for name, kept in (("all", np.ones(len(scored.score), bool)), ("kept", cross_fitted.is_kept))
        for when, values in (("before", scored.score), ("after", cross_fitted.score))
    }


def score_thr_of(test_cfg: Any) -> float | None:
    """The ``score_thr`` in a ``test_cfg``, also below ``rcnn``, or None."""
    if not isinstance(test_cfg, dict):
        return None
    values = [test_cfg.get("score_thr"), *(score_thr_of(one) for one in test_cfg.values())]
    return next((value for value in values if value is not None), None)


def write(
    out: Path, content: ThresholdFile, scored: MatchedPredictions, cross_fitted: CrossFitted, rows: list[Any]
) -> None:
    """The JSON file, the CSV and the pictures."""
    from asl_mmdet.thresholds.plots import plot_precision_recall, plot_reliability

    out.mkdir(parents=True, exist_ok=True)
    with (out / "thresholds.csv").open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    plot_precision_recall(calibrated(scored, content.calibration), content.thresholds, out / "precision_recall.png")
    scores = {"before": scored.score} | ({"after": cross_fitted.score} if content.calibration else {})
    plot_reliability(scored.is_tp, scores, out / "reliability.png")
    content.write(out / "thresholds.json")


def show(
    args: argparse.Namespace,
    cfg: Config,
    out: Path,
    rows: list[dict[str, Any]],
    summary: dict[str, float],
    errors: dict[str, dict[str, float]],
) -> None:
    """Print the tables, and how to use the file."""
    header = list(rows[0])
    print(AsciiTable([header, *([_text(key, row[key]) for key in header] for row in rows)]).table)
    print("macro F1: " + ", ".join(f"{name} {100 * value:.1f}" for name, value in summary.items()))
    for name, values in errors.items():
        print(f"{name}: " + ", ".join(f"{key} {100 * value:.1f}" for key, value in values.items()))
    print("precision, recall, f1, 'one threshold', 'chosen' and 'after' are cross-fitted over images")
    used: dict[str, Any] = dict(type=type_name(cfg.model.type))
    wrap_model(used, str(out / "thresholds.json"))
    print(f"\n{out / 'thresholds.json'}, thresholds.csv, precision_recall.png, reliability.png")
    print(f"in a config: model = dict({', '.join(f'{key}={value!r}' for key, value in used.items())})")
    print(f"or: python tools/test.py {args.config} {args.checkpoint} --thresholds {out / 'thresholds.json'}")


def _text(key: str, value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3f}" if key == "threshold" else f"{100 * value:.1f}"
