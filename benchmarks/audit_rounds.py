"""What a second round is worth: audit what a benchmark trained, add what is found, train again from the start.

    export COCO_FOLDER=data/mine
    python tools/benchmark.py experiments/plans/folder_attribution.py --out work_dirs/benchmark/mine
    python benchmarks/audit_rounds.py work_dirs/benchmark/mine \
        atss-detection_missing_labels-missing50-seed10 --apply 0.4

Each run is audited on its own training images by ``tools/audit_labels.py``, and trained again by its own config and
seed on what ``--apply`` wrote; nothing else differs. The new run has ``_round2`` at its data. What is finished is
kept; with other options give another ``--name``. ``--complete`` stands for a reviewer who knows the file with all
boxes: he accepts a finding that fits one of them (IoU of ``--iou`` or more), once for each, by its right class, and
rejects the others. ``--as-ignore`` adds
them as boxes that nothing is known about: the new run leaves out what they would own (``IgnoredBoxesHook``).
``--report FOLDER`` writes the rows of the runs named, of their second rounds, and of the runs of ``--beside``.
"""

import argparse
import json
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from mmengine.config import Config

from asl_mmdet.audit.findings import Limits
from asl_mmdet.benchmark import Run
from asl_mmdet.benchmark.environment import conditions, environment
from asl_mmdet.benchmark.metrics import collect
from asl_mmdet.cli.common import fail
from asl_mmdet.coco.boxes import corners, overlaps
from asl_mmdet.coco.format import write_json
from asl_mmdet.compat.checkpoints import last_checkpoint
from asl_mmdet.runs.jobs import Job, run_jobs
from asl_mmdet_cli import parse, work


def first_round(out: Path, name: str) -> dict[str, Any]:
    """The result of a finished run."""
    path = out / name / "result.json"
    if not path.is_file():
        fail(f"there is no {path}: finish the run with tools/benchmark.py first")
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def reviewed(findings: Path, complete: Path, iou: float) -> Path:
    """The findings of missing boxes, as the page gives them after a review by the file with all boxes."""
    content = json.loads(complete.read_text(encoding="utf-8"))
    names = {category["id"]: category["name"] for category in content["categories"]}
    left: dict[int, list[dict[str, Any]]] = {}  # the boxes that no finding has taken yet
    for entry in content["annotations"]:
        left.setdefault(entry["image_id"], []).append(entry)
    rows = [row for row in json.loads(findings.read_text(encoding="utf-8")) if row["kind"] == "missing"]
    for row in rows:  # best first
        boxes = left.get(row["image_id"], [])
        found = overlaps(corners([row["bbox"]]), corners([entry["bbox"] for entry in boxes]))[0]
        is_right = bool(found.max(initial=0) >= iou) and not row.get("alternative")
        row["decision"] = "accepted" if is_right else "rejected"
        if is_right:
            row["category_id"] = boxes.pop(int(found.argmax()))["category_id"]
            row["category"] = names[row["category_id"]]
    target = findings.with_name("reviewed_findings.json")
    write_json(target, rows)
    return target


def write_annotations(config: Path, target: Path, args: argparse.Namespace) -> None:
    """Audit a trained model, and write its annotations with what was found."""
    apply = ["--apply", args.apply, "--apply-to", target, *(["--as-ignore"] if args.as_ignore else [])]
    audit = [config, last_checkpoint(config.parent / "run"), "--out", target.parent, "--crops", 0]
    audit += ["--score-thr", min(args.apply, Limits.min_score)]
    if args.complete is None:
        call(*audit, *apply)
    else:
        call(*audit)
        call(config, "--findings", reviewed(target.with_name("findings.json"), args.complete, args.iou), *apply)


def call(*arguments: Any) -> None:
    """Run tools/audit_labels.py in this process."""
    work("audit_labels", parse("audit_labels", [str(argument) for argument in arguments]))


def second_round(name: str, args: argparse.Namespace) -> Job:
    """The second training of a run; its annotations are written when it is configured."""
    row = first_round(args.out, name)
    run = Run(row["config"], row["loss"], f"{row['data']}_{args.name}", row["seed"])

    def config() -> Config:
        path = args.out / name / "config.py"
        target = (path.parent / "audit" / f"{args.name}.json").resolve()
        if not target.exists():
            write_annotations(path, target, args)
        cfg = Config.fromfile(path)
        cfg.train_dataloader.dataset.ann_file = str(target)
        return cfg

    def result(cfg: Config, work_dir: Path, predictions: Path) -> dict[str, Any]:
        found = asdict(run) | collect(cfg, work_dir, predictions) | conditions(cfg) | environment()
        return found | dict(plan=row.get("plan", ""), baseline=row["baseline"])

    return Job(str(run), config, result, partial(describe, row))


def describe(first: dict[str, Any], second: dict[str, Any]) -> str:
    """Both rounds in a line."""
    before, after = (row["metrics"][row["main_metric"]] for row in (first, second))
    return f"{second['main_metric']} {before:.2f}, second round {after:.2f} ({after - before:+.2f})"


def main() -> None:
    """Audit, train and report."""
    parser = argparse.ArgumentParser(description="What a second round is worth.")
    parser.add_argument("out", type=Path, help="folder of a benchmark")
    parser.add_argument("runs", nargs="+", help="names of its finished runs")
    parser.add_argument("--apply", type=float, default=0.4, metavar="SCORE", help="least score of what is added")
    parser.add_argument("--name", default="round2", help="what the data of the second round is called")
    parser.add_argument("--as-ignore", action="store_true", help="add them as ignored regions, not as boxes")
    parser.add_argument("--complete", type=Path, metavar="FILE.json", help="review the findings by this file")
    parser.add_argument("--iou", type=float, default=0.5, help="with --complete: least IoU of a box that is accepted")
    parser.add_argument("--report", type=Path, metavar="FOLDER", help="write the report there")
    parser.add_argument("--beside", nargs="*", default=[], help="more finished runs for the report")
    args = parser.parse_args()
    jobs = [second_round(name, args) for name in args.runs]
    failures = run_jobs(jobs, args.out, 1, [sys.executable], [])
    if args.report:
        from asl_mmdet.benchmark.report import write_report
        from asl_mmdet.benchmark.rows import Rows

        names = [*args.runs, *(job.name for job in jobs if job.is_finished(args.out)), *args.beside]
        rows = Rows.of([first_round(args.out, name) for name in names], args.report.name)
        rows.write(args.report)
        write_report(rows, failures, args.report, args.report.name)
    if failures:
        fail("\n".join(failures))


if __name__ == "__main__":
    main()
