"""Make a small data set of coloured shapes.

It is in COCO format. The classes are long-tailed. The same set comes from the same seed. tools/drop_boxes.py leaves
out boxes.

Example:
    python tools/make_shapes.py --out data/shapes
"""

import argparse
from pathlib import Path

from asl_mmdet_cli.arguments import add_out, folder_to_write, whole
from asl_mmdet_cli.messages import fail

MAX_CLASSES = 48


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options."""
    add_out(command, folder_to_write, default=Path("data/shapes"), metavar="FOLDER", help="folder to make")
    command.add_argument("--force", action="store_true", help="replace the folder if it exists")
    command.add_argument("--num-train", type=whole(1), default=1500, metavar="N", help="training images")
    command.add_argument("--num-val", type=whole(1), default=300, metavar="N", help="validation images")
    command.add_argument(
        "--image-size", type=whole(32), default=128, metavar="PIXELS", help="height and width of the images"
    )
    command.add_argument(
        "--num-classes", type=whole(1, MAX_CLASSES), default=24, metavar="N", help=f"classes, at most {MAX_CLASSES}"
    )
    command.add_argument("--seed", type=whole(0), default=0, metavar="SEED", help="seed of images and labels")


def check(command: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """What can be refused at once."""
    if args.out.exists() and not args.force:
        fail(f"--out {args.out} exists: name another folder, or replace it with --force")
