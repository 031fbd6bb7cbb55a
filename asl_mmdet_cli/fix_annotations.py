"""Mend a COCO-format annotation file.

What can be mended is ids, iscrowd, areas, the encoding, and categories of one name. The file
that is read is not changed.

Example:
    python tools/fix_annotations.py data/val.json --out data/val_fixed.json --like data/train.json
"""

import argparse
from pathlib import Path

from asl_mmdet_cli.arguments import add_out_file
from asl_mmdet_cli.messages import need_file, need_folder, need_new


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options."""
    command.add_argument("annotations", type=Path, metavar="ANNOTATIONS.json", help="file to read")
    add_out_file(command, ".json", "file to write")
    command.add_argument(
        "--like", type=Path, metavar="TRAIN.json", help="name and order the categories as in this training file"
    )
    command.add_argument("--corners", action="store_true", help="the boxes are x1, y1, x2, y2")
    command.add_argument(
        "--image-folder", metavar="FOLDER", help="correct file names by the files that are in this folder"
    )


def check(command: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """What can be refused at once."""
    need_file(args.annotations, "annotation file")
    need_file(args.like, "training file")
    if args.image_folder:
        need_folder(args.image_folder, "folder of images")
    need_new(args.out, args.force, [args.annotations, *([args.like] if args.like else [])])
