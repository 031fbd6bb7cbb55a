"""Evaluate a checkpoint on the test set of a config.

The options are those of MMDetection's tools/test.py, and --dump-only and --thresholds.

Example:
    python tools/test.py configs/shapes/atss_r18_asl_shapes.py work_dirs/demo/epoch_6.pth --out predictions.pkl
"""

import argparse

from asl_mmdet_cli.arguments import (
    add_checkpoint,
    add_config,
    add_ignore,
    add_runner_options,
    file_ending_in,
    folder_to_write,
    number,
)
from asl_mmdet_cli.messages import need_checkpoint, need_config, need_file


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options."""
    add_config(command)
    add_checkpoint(command)
    command.add_argument(
        "--out", type=file_ending_in(".pkl", ".pickle"), metavar="FILE.pkl", help="write the predictions to this file"
    )
    command.add_argument("--dump-only", action="store_true", help="with --out: do not evaluate the predictions")
    command.add_argument("--show", action="store_true", help="show the predictions in a window")
    command.add_argument(
        "--show-dir",
        type=folder_to_write,
        metavar="FOLDER",
        help="save the images with ground truth and prediction drawn in this folder",
    )
    command.add_argument(
        "--wait-time", type=number("[0, inf)"), default=2.0, metavar="SECONDS", help="with --show: time for each image"
    )
    command.add_argument("--tta", action="store_true", help="test-time augmentation")
    command.add_argument(
        "--thresholds", metavar="FILE.json", help="drop predictions below the thresholds of tools/tune_thresholds.py"
    )
    command.add_argument("--skip-checks", action="store_true", help="do not look for defects in the annotations")
    add_ignore(command)
    add_runner_options(command)


def check(command: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """What can be refused at once."""
    if args.dump_only and not args.out:
        command.error("--dump-only: name the file by --out FILE.pkl")
    if args.thresholds and args.tta:
        command.error("--thresholds: they were chosen without --tta; leave one of them out")
    need_config(args.config)
    need_checkpoint(args.checkpoint)
    need_file(args.thresholds, "thresholds file")
