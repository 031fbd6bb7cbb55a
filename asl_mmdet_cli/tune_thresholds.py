"""Choose thresholds, and calibrate scores.

Predicts the validation images once, and writes thresholds.json, which a model or tools/test.py and tools/predict.py
take with --thresholds, a table and two plots. The printed precision, recall and F1 are cross-fitted: thresholds are
chosen on some of the images and measured on the others. Choose for one of --beta, --precision and --recall.

Example:
    python tools/tune_thresholds.py CONFIG CHECKPOINT --calibration platt
"""

import argparse
from pathlib import Path

from asl_mmdet_cli.arguments import add_cfg_options, add_checkpoint, add_config, folder_to_write, number, whole
from asl_mmdet_cli.messages import need_checkpoint, need_config, need_file

METHODS = ("platt", "isotonic")


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options."""
    add_config(command)
    add_checkpoint(command)
    goal = command.add_mutually_exclusive_group()
    goal.add_argument("--beta", type=number("(0, inf)"), default=1.0, metavar="BETA", help="choose for the best F-beta")
    goal.add_argument(
        "--precision",
        type=number("(0, 1)"),
        metavar="VALUE",
        help="choose for this precision, with the most recall",
    )
    goal.add_argument(
        "--recall", type=number("(0, 1)"), metavar="VALUE", help="choose for this recall, with the highest threshold"
    )
    scope = command.add_mutually_exclusive_group()
    scope.add_argument(
        "--per-class", dest="per_class", action="store_true", default=True, help="one threshold per class (the default)"
    )
    scope.add_argument("--global", dest="per_class", action="store_false", help="one threshold for all classes")
    command.add_argument(
        "--shrinkage",
        type=number("[0, inf)"),
        default=10.0,
        metavar="OBJECTS",
        help="a class with so many is half-way between its own threshold and the common one; 0 is off",
    )
    command.add_argument("--calibration", choices=[*METHODS, "none"], default="none", help="calibrate the scores first")
    command.add_argument("--calibration-per-class", action="store_true", help="one per class")
    command.add_argument(
        "--iou", type=number("(0, 1]"), default=0.5, metavar="IOU", help="least IoU of a correct detection"
    )
    command.add_argument(
        "--score-thr",
        type=number("[0, 1)"),
        default=0.01,
        metavar="SCORE",
        help="least score of what is predicted",
    )
    command.add_argument(
        "--predictions",
        type=Path,
        metavar="FILE.pkl",
        help="those of tools/test.py --out; predicts nothing",
    )
    command.add_argument("--folds", type=whole(2), default=5, metavar="K", help="parts for the cross-fitting")
    command.add_argument("--seed", type=whole(0), default=0, metavar="SEED", help="seed of the parts")
    command.add_argument(
        "--out",
        type=folder_to_write,
        metavar="FOLDER",
        help="folder to write; <work_dir>/thresholds by default",
    )
    add_cfg_options(command)


def check(command: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """What can be refused at once."""
    need_config(args.config)
    need_checkpoint(args.checkpoint)
    need_file(args.predictions, "file of predictions")
