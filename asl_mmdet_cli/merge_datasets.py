"""Merge COCO-format files with different classes.

Classes are merged by their names. Each image of the result names the classes that it was labelled for, as
KnownClassesCoco reads them. An image that is in several files gets the annotations and the known classes of all of
them; where two files have a box of one class at one place (IoU from 0.5 on), one is kept. Images of one name in files
of different folders may be different images: --folders says which.

Example:
    python tools/merge_datasets.py a.json b.json --out merged.json --folders images_a images_b
"""

import argparse
from pathlib import Path

from asl_mmdet_cli.arguments import add_out_file
from asl_mmdet_cli.messages import need_file, need_new


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options."""
    command.add_argument(
        "annotations", type=Path, nargs="+", metavar="ANNOTATIONS.json", help="two files or more to merge"
    )
    add_out_file(command, ".json", "file to write")
    command.add_argument(
        "--folders",
        nargs="+",
        metavar="FOLDER",
        help="put before the file names of each file's images, in the same order",
    )


def check(command: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """What can be refused at once."""
    if args.out is None and len(args.annotations) > 2:
        args.out = args.annotations.pop()  # OUT as the last argument
    if len(args.annotations) < 2:
        command.error("name at least two files to merge")
    if len(set(args.annotations)) < len(args.annotations):
        command.error("a file is named twice")
    if args.folders and len(args.folders) != len(args.annotations):
        command.error(f"{len(args.folders)} folders for {len(args.annotations)} files: name one for each file")
    for path in args.annotations:
        need_file(path, "annotation file")
    need_new(args.out, args.force, args.annotations)
