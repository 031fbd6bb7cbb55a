"""List doubtful training labels, with a trained model or with one per fold."""

import argparse
import os
from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any

from mmengine.config import Config

from asl_mmdet.audit.added_boxes import SOURCE
from asl_mmdet.audit.apply import accepted, apply_findings, check_options, is_done
from asl_mmdet.audit.files import Row, read_findings, row_of, write_findings
from asl_mmdet.audit.findings import Boxes, Limits, find_in_boxes, find_in_tags
from asl_mmdet.audit.folds import Folds
from asl_mmdet.audit.labels import Labels
from asl_mmdet.audit.predict import Prediction, PredictionFile, predict, source_of, test_on_training_images
from asl_mmdet.audit.share_report import describe_missing_share
from asl_mmdet.checks import check_labels, preflight
from asl_mmdet.cli.common import check_data, fail, load_config, need, stop_on, tell, user_errors_end_the_program
from asl_mmdet.cli.inference import runner_of
from asl_mmdet.coco.format import write_json
from asl_mmdet.compat.checkpoints import dataset_meta_of, load_checkpoint
from asl_mmdet.config.tree import find_blocks, find_datasets
from asl_mmdet.errors import UserError
from asl_mmdet.runs.locks import locked

PREDICTIONS = "predictions.jsonl"
NO_OBJECT = "D413"  # of a file without a box all are missing


def main(args: argparse.Namespace) -> None:
    """Predict what is not predicted yet, and write the findings."""
    cfg = load_config(args, "model", "val_dataloader" if args.validation else "train_dataloader")
    out: Path = args.out or Path(cfg.work_dir) / ("audit_validation" if args.validation else "audit")
    limits = Limits(min_score=args.score_thr)
    labels = Labels(cfg, "val_dataloader" if args.validation else "train_dataloader")
    target = _target(args, out, labels)
    rows = _reviewed(args.findings, labels) if args.findings else audit(deepcopy(cfg), args, out, labels, limits)
    if target:
        content = apply_findings(labels.content, rows, args.apply, args.as_ignore)
        write_json(target, content)
        _say_applied(target, content[SOURCE][-1], rows)
        (_say_how_to_evaluate if args.validation else _say_how_to_train)(cfg, target)


def _say_applied(target: Path, record: dict[str, Any], rows: list[Row]) -> None:
    """How many labels were added, of how many, and what else was changed; a warning where no score is high enough."""
    scores = [row["score"] for row in accepted(rows)]
    missing = sum(row["kind"] == "missing" for row in accepted(rows))
    changed = [f"{record[what]} {what}" for what in ("reclassified", "moved", "removed") if what in record]
    added = f"{target}: {record['added']} labels added, of {missing} findings of missing ones"
    print("; annotations ".join([added, *([", ".join(changed)] if changed else [])]))
    if scores and not record["added"] and not changed:
        tell(f"warning: no finding reaches --apply {record['min_score']}; the highest has {max(scores):.2f}")


def _say_how_to_evaluate(cfg: Config, target: Path) -> None:
    path = os.path.abspath(target)
    keys = [f"{key}.ann_file" for key, _ in find_datasets(cfg.get("test_dataloader"), "test_dataloader")]
    keys += [f"{key}.ann_file" for key, block in find_blocks(cfg, "test_evaluator") if "ann_file" in block]
    options = " ".join(f"{key}={path}" for key in keys)
    print(f"to evaluate on it: tools/test.py ... --cfg-options {options}")
    options = " ".join(f"{key.replace('test', 'val', 1)}={path}" for key in keys)
    print(f"to tune thresholds: tools/tune_thresholds.py ... --cfg-options {options}")


def _say_how_to_train(cfg: Config, target: Path) -> None:
    (key, _), *_ = find_datasets(cfg.train_dataloader, "train_dataloader")
    folder = f"{cfg.work_dir.rstrip('/')}_2"
    options = f"--work-dir {folder} --cfg-options {key}.ann_file={os.path.abspath(target)}"
    print(f"to train on it: tools/train.py {cfg.filename} {options}")


def _target(args: argparse.Namespace, out: Path, labels: Labels) -> Path | None:
    if args.apply is None:
        return None
    check_options(args.apply, args.as_ignore and labels.is_tags)
    target: Path = args.apply_to or out / "annotations.json"
    if target.exists() and target.samefile(labels.path):
        raise UserError(f"--apply-to {target} is the annotation file itself: name another")
    if target.exists() and not args.force:
        raise UserError(f"{target} exists: name another by --apply-to, or overwrite it by --force")
    return target


def _reviewed(path: Path, labels: Labels) -> list[Row]:
    """The findings of an earlier audit that are to be applied, without those that the annotations agree with by now."""
    found = read_findings(path, labels)
    rows = accepted(found)
    rejected = sum(row.get("decision") == "rejected" for row in found)
    if not rows:
        tell(f"warning: {path}: none of its {len(found)} findings is accepted, {rejected} are rejected")
    elif not any("decision" in row for row in found):
        tell(f"warning: {path}: nobody has reviewed these findings; the page in index.html makes reviewed.json")
    left = [row for row in rows if not is_done(row, labels)]
    if len(left) < len(rows):
        tell(f"{path}: {len(rows) - len(left)} findings are passed over, {labels.path} has these labels by now")
    return left


def audit(cfg: Config, args: argparse.Namespace, out: Path, labels: Labels, limits: Limits) -> list[Row]:
    """Predict, and write the lists and the page."""
    if args.crops:
        need("jinja2")
    find = _by_folds if args.folds is not None else _by_checkpoint
    predictions = find(cfg, args, out, labels)
    rows = findings_of(predictions, labels, limits)
    out.mkdir(parents=True, exist_ok=True)
    write_findings(rows, out)
    written = [out / "findings.csv", out / "findings.json"]
    if args.crops:
        from asl_mmdet.audit.page import write_page

        shown = write_page(rows, labels, out / "index.html", args.crops)
        written.append(out / "index.html")
    numbers = Counter(row["kind"] for row in rows if not row.get("alternative"))
    print(f"{labels.path}: {', '.join(f'{n} {kind}' for kind, n in numbers.most_common()) or 'nothing found'}")
    if args.crops and shown < (most := min(args.crops, numbers.total())):
        tell(
            f"warning: the page has the best {shown} of {most} findings: more pictures would make it too large to open"
        )
    if not labels.is_tags:
        found = {image: Boxes(one["boxes"], one["labels"], one["scores"]) for image, one in predictions.items()}
        print("\n".join(describe_missing_share(found, labels, not args.validation and args.folds is None)))
    print(", ".join(map(str, written)))
    if args.crops and args.apply is None:
        print(f"next: open {out / 'index.html'} in a browser")
    return rows


def _by_checkpoint(cfg: Config, args: argparse.Namespace, out: Path, labels: Labels) -> dict[int, Prediction]:
    stop_on(preflight.check_checkpoint(args.checkpoint))
    _check_classes(args.checkpoint, labels)
    check_data(cfg, "val" if args.validation else "train")
    stop_on(check_labels(cfg, "val" if args.validation else "train"), [NO_OBJECT])
    with locked(out):
        file = PredictionFile(out / PREDICTIONS, source_of(cfg, args.checkpoint, labels, args.tta))
        if labels.images.keys() - file.predictions.keys():
            test_on_training_images(cfg, labels)
            cfg.resume, cfg.work_dir = False, str(out / "logs")
            runner = runner_of(cfg, args.checkpoint, args.tta)
            with user_errors_end_the_program():
                predict(runner, cfg, file, labels.images)
    return file.predictions


def _by_folds(cfg: Config, args: argparse.Namespace, out: Path, labels: Labels) -> dict[int, Prediction]:
    """The predictions of the models of all folds, each for its own part of the images."""
    folds = Folds(cfg, labels, args.folds, out / "folds", args.tta)
    check_data(cfg, "train")
    with locked(out):
        file = PredictionFile(out / PREDICTIONS, folds.source())
        if labels.images.keys() - file.predictions.keys():
            _run_folds(folds, file, args.jobs)
    return file.predictions


def _run_folds(folds: Folds, file: PredictionFile, jobs: int) -> None:
    if absent := list(folds.classes_absent_from_training()):
        tell(f"warning: all images of {', '.join(absent)} are in one fold, whose model does not learn it")
    file.append({})  # a run that is stopped is continued only with the same options
    if jobs > 1:
        os.environ["OMP_NUM_THREADS"] = "1"
    if failures := folds.run(jobs):
        fail("\n".join([f"{len(failures)} of {len(folds.parts)} folds failed", *failures]))
    file.append(folds.predictions())


def _check_classes(checkpoint: str, labels: Labels) -> None:
    """UserError if the checkpoint says that it is of other classes."""
    classes = dataset_meta_of(load_checkpoint(checkpoint, keep=True)).get("classes")
    if classes is not None and sorted(classes) != sorted(labels.classes):
        raise UserError(
            f"{checkpoint} is of the classes {', '.join(classes)}, and {labels.path} is audited for "
            f"{', '.join(labels.classes)}: use a checkpoint of this config"
        )


def findings_of(predictions: dict[int, Prediction], labels: Labels, limits: Limits) -> list[Row]:
    """The findings of all images, best first."""
    rows = []
    for image in labels.images.values():
        found = predictions[image.id]
        if labels.is_tags:
            findings = find_in_tags(found["scores"], labels.tags_of(image), limits)
        else:
            given, ignored = labels.boxes_of(image)
            seen = Boxes(found["boxes"], found["labels"], found["scores"])
            findings = find_in_boxes(seen, given, limits, ignored, image.known)
        rows += [row_of(finding, image, labels) for finding in findings]
    return sorted(rows, key=lambda row: (-row["score"], row["image_id"]))
