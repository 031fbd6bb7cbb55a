"""Train the model of a config.

The options are those of MMDetection's tools/train.py, and two for the checks that come first: defects of the config,
the annotations, the checkpoint and the disk. An error ends the command before anything is built; warnings are printed.

Example:
    python tools/train.py configs/shapes/atss_r18_asl_shapes.py --work-dir work_dirs/demo
"""

import argparse

from asl_mmdet_cli.arguments import add_config, add_ignore, add_runner_options
from asl_mmdet_cli.messages import need_checkpoint, need_config


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options."""
    add_config(command)
    command.add_argument(
        "--amp", action="store_true", help="automatic mixed precision: float16 on an accelerator, bfloat16 on a CPU"
    )
    command.add_argument(
        "--auto-scale-lr", action="store_true", help="scale the learning rate with the batch size (auto_scale_lr)"
    )
    command.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CHECKPOINT",
        help="resume from this checkpoint, or without one from the latest of the work directory",
    )
    command.add_argument("--skip-checks", action="store_true", help="do not look for defects in the annotations")
    add_ignore(command)
    add_runner_options(command)


def check(command: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """What can be refused at once."""
    need_config(args.config)
    if args.resume not in (None, "auto"):
        need_checkpoint(args.resume)
