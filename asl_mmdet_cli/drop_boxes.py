"""Drop boxes of a COCO-format annotation file.

To measure what missing labels cost. The result records what was dropped under its key 'dropped'; the same comes from
the same seed.

Protocols: uniform drops every box with probability --rate; easy one random box of every image that has more than one;
hard a random half of every image's boxes; extreme all but one box of every image; keep1 all but one box of every class
of every image; half_classes half of the classes from every image; half_images half of the images, with their boxes.

Example:
    python tools/drop_boxes.py train.json --out half.json --rate 0.5
"""

import argparse
from pathlib import Path

from asl_mmdet_cli.arguments import add_out_file, number, whole
from asl_mmdet_cli.messages import need_file, need_new

PROTOCOLS = ("uniform", "easy", "hard", "extreme", "keep1", "half_classes", "half_images")


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options."""
    command.add_argument("annotations", type=Path, metavar="ANNOTATIONS.json", help="the file with all boxes")
    add_out_file(command, ".json", "file to write")
    command.add_argument("--protocol", choices=PROTOCOLS, default="uniform", help="which boxes to drop")
    command.add_argument(
        "--rate",
        type=number("[0, 1]"),
        default=0.5,
        metavar="SHARE",
        help="with --protocol uniform: share of the boxes to drop",
    )
    command.add_argument("--seed", type=whole(0), default=0, metavar="SEED", help="seed of the choice")


def check(command: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """What can be refused at once."""
    need_file(args.annotations, "annotation file")
    need_new(args.out, args.force, [args.annotations])
