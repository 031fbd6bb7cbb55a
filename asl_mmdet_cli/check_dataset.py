"""Look for defects in the data sets and the config.

Reads the annotations in COCO format and every image of the training and validation sets. Ends with 1 if training would
fail or learn nothing useful, else with 0; --strict ends with 1 for warnings too.

Example:
    python tools/check_dataset.py configs/atss_r50_asl.py
"""

import argparse

from asl_mmdet_cli.arguments import add_cfg_options, add_config, add_ignore
from asl_mmdet_cli.messages import need_config


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options."""
    add_config(command)
    command.add_argument(
        "--splits", nargs="+", choices=["train", "val", "test"], default=["train", "val"], help="the data sets to read"
    )
    command.add_argument("--fast", action="store_true", help="do not open the images")
    command.add_argument("--strict", action="store_true", help="end with 1 for warnings too")
    add_ignore(command)
    add_cfg_options(command)


def check(command: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """What can be refused at once."""
    need_config(args.config)
