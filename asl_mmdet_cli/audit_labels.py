r"""List training labels that are missing or may be wrong.

A trained model predicts the training images, and what does not fit the labels is written to findings.csv,
findings.json and a page to review them in a browser. With --folds K it trains K models itself, and each image
is judged by one that has not seen it.

Review the page, save reviewed.json there, and apply what you accepted.

Example:
    python tools/audit_labels.py CONFIG CHECKPOINT --out work_dirs/audit
    python tools/audit_labels.py CONFIG --findings reviewed.json --apply 0 \
        --apply-to data/mine/train_2.json
"""

import argparse
from pathlib import Path

from asl_mmdet_cli.arguments import (
    add_cfg_options,
    add_config,
    add_jobs,
    file_ending_in,
    folder_to_write,
    number,
    whole,
)
from asl_mmdet_cli.messages import need_checkpoint, need_config, need_file, need_new

ANNOTATIONS = "annotations.json"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options."""
    add_config(command)
    command.add_argument(
        "checkpoint", nargs="?", metavar="CHECKPOINT", help="checkpoint file; with --folds or --findings none"
    )
    command.add_argument(
        "--folds",
        type=whole(2),
        metavar="K",
        help="train K models; each judges what it has not seen",
    )
    command.add_argument("--validation", action="store_true", help="audit the validation images instead")
    add_jobs(command, "with --folds: trainings at a time")
    command.add_argument(
        "--out",
        type=folder_to_write,
        metavar="FOLDER",
        help="folder to write; audit or audit_validation in the config's work_dir by default",
    )
    command.add_argument(
        "--score-thr", type=number("[0, 1]"), default=0.05, metavar="SCORE", help="least score of a finding"
    )
    command.add_argument(
        "--crops", type=whole(0), default=5000, metavar="N", help="number of findings on the page; 0 for no page"
    )
    command.add_argument("--tta", action="store_true", help="test-time augmentation")
    command.add_argument(
        "--findings",
        type=Path,
        metavar="FILE.json",
        help="with --apply: reviewed.json of the page, or findings.json",
    )
    command.add_argument(
        "--apply",
        type=number("[0, 1]"),
        metavar="SCORE",
        help="add the missing labels from this score on",
    )
    command.add_argument(
        "--apply-to",
        type=file_ending_in(".json"),
        metavar="FILE.json",
        help=f"for --apply; {ANNOTATIONS} in --out by default",
    )
    command.add_argument("--as-ignore", action="store_true", help="with --apply: add regions to ignore, not boxes")
    command.add_argument("--force", action="store_true", help="with --apply: overwrite the file if it exists")
    add_cfg_options(command)


def check(command: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """What can be refused at once."""
    given = [name for name in ("checkpoint", "folds", "findings") if getattr(args, name) is not None]
    if not given:
        command.error(
            "name a checkpoint, train models by --folds K, or name the findings of an earlier audit by --findings"
        )
    if "folds" in given and len(given) > 1:
        command.error(
            f"--folds trains models of its own: leave it out, or {given[0] if given[0] != 'folds' else given[1]}"
        )
    if args.validation and args.folds is not None:
        command.error("--validation: no model was trained on these images; leave --folds out")
    if args.apply is None and (args.findings or args.apply_to or args.as_ignore or args.force):
        command.error("--findings, --apply-to, --as-ignore and --force go with --apply SCORE")
    if args.jobs > 1 and args.folds is None:
        command.error(f"--jobs {args.jobs}: nothing is trained without --folds K")
    _check_files(args)


def _check_files(args: argparse.Namespace) -> None:
    need_config(args.config)
    if args.checkpoint is not None:
        need_checkpoint(args.checkpoint)
    need_file(args.findings, "file of findings")
    target = args.apply_to or (args.out / ANNOTATIONS if args.out else None)
    if args.apply is not None and target:
        need_new(target, args.force, (args.findings,) if args.findings else (), "--apply-to")
