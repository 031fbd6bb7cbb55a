"""Find the loss and parameters that fit a data set.

A part of the training images is set aside to compare the losses on, so the validation set is not looked at. Each trial
is a training. The command can be stopped at any time, and the same command continues.

Example:
    python tools/tune_loss.py configs/small/atss_mnv2_focal.py --trials 12 --minutes 120
"""

import argparse

from asl_mmdet_cli.arguments import add_cfg_options, add_config, folder_to_write, number, whole
from asl_mmdet_cli.messages import need_config

FAMILIES = ("focal", "bce", "asl")


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options."""
    add_config(command)
    command.add_argument(
        "--trials", type=whole(1), default=12, metavar="N", help="losses to try, those of earlier calls included"
    )
    command.add_argument(
        "--minutes",
        type=number("(0, inf)"),
        default=60.0,
        metavar="MINUTES",
        help="a new trial starts only if it should finish within this time",
    )
    command.add_argument(
        "--losses", nargs="+", choices=FAMILIES, default=list(FAMILIES), help="families of losses to choose from"
    )
    command.add_argument(
        "--val-share",
        type=number("(0, 1)"),
        default=0.2,
        metavar="SHARE",
        help="share of the training images to compare the losses on",
    )
    command.add_argument(
        "--seeds",
        type=whole(0),
        nargs="+",
        default=[0],
        metavar="SEED",
        help="a trial trains once with each; its value is the mean",
    )
    command.add_argument(
        "--out",
        type=folder_to_write,
        metavar="FOLDER",
        help="folder to write; work_dirs/tune/<name of the config> by default",
    )
    add_cfg_options(command)


def check(command: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """What can be refused at once."""
    if len(set(args.seeds)) < len(args.seeds):
        command.error(f"--seeds {' '.join(map(str, args.seeds))}: use different whole numbers from 0")
    need_config(args.config)
