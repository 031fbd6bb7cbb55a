"""Show a finished run: curves, pictures and a summary.

Reads the logs that MMEngine keeps in the work directory and the predictions.pkl that tools/test.py --out writes, and
puts its pictures there: curve.png; pictures.jpg of a detector's predictions; probabilities.png of a run with
custom_hooks = [dict(type="ProbabilityGapHook")].

Example:
    python tools/report.py configs/shapes/atss_r18_asl_shapes.py work_dirs/demo
"""

import argparse
from pathlib import Path

from asl_mmdet_cli.arguments import whole
from asl_mmdet_cli.messages import need_config, need_folder


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options."""
    command.add_argument("config", metavar="CONFIG", help="config file of the run")
    command.add_argument("work_dir", type=Path, metavar="WORK_DIR", help="work directory of the run")
    command.add_argument("--images", type=whole(1), default=8, metavar="N", help="number of images to draw")


def check(command: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """What can be refused at once."""
    need_config(args.config)
    need_folder(args.work_dir, "work directory")
