"""Import a YOLO, Pascal VOC or COCO folder.

Writes annotations/train.json, annotations/val.json and images/, which configs/small reads. COCO files may be as
Roboflow, CVAT and Label Studio export them, one for every split or one for all images; YOLO is a data.yaml with text
files. The format is found out, and printed with what told it. So is everything that is not read.

A validation split stays as it is. Without one, images are split off, with about the same share of every class; images
that show the same, such as the frames of a video, belong on one side, which --group-by says.

At the end the result is checked, as check_dataset does. Ends with 1 if training would fail or learn nothing useful.

Example:
    python tools/import_dataset.py downloads/pieces --out data/mine
"""

import argparse
import re
from pathlib import Path

from asl_mmdet_cli.arguments import add_out, folder_to_write, number, whole
from asl_mmdet_cli.messages import fail, need_folder

FORMATS = ("coco", "yolo", "voc")


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options."""
    command.add_argument("folder", type=Path, metavar="SRC", help="folder to read")
    add_out(command, folder_to_write, metavar="FOLDER", help="folder to write; required")
    command.add_argument("--force", action="store_true", help="replace annotations/ and images/ if the folder has them")
    command.add_argument("--format", choices=FORMATS, help="format of SRC; found out by default")
    command.add_argument(
        "--val-share",
        type=number("(0, 1)"),
        default=0.2,
        metavar="SHARE",
        help="share of the images to split off for validation, where SRC has no such split",
    )
    command.add_argument("--seed", type=whole(0), default=0, metavar="SEED", help="seed of the split")
    command.add_argument(
        "--group-by",
        type=_group_by,
        metavar="PATTERN",
        help="keep on one side the images of one folder: 'folder'; or those in whose paths a regular expression finds "
        "the same groups, such as '(.*)_[0-9]+' for clip_0001.jpg; Roboflow's copies of one image always are",
    )
    command.add_argument(
        "--copy", action="store_true", help="copy the images, in place of hard links where they are possible"
    )
    command.add_argument("--fast", action="store_true", help="do not open the images to check them")


def check(command: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """What can be refused at once."""
    if args.folder.suffix in (".yaml", ".yml") and args.folder.is_file():  # as YOLO's own commands take it
        args.folder = args.folder.parent
    need_folder(args.folder, "folder")
    if args.out is None:
        fail("--out is missing: name the folder to write")
    source, out = args.folder.resolve(), args.out.resolve()
    if source == out or source in out.parents or out in source.parents:
        fail(f"--out {args.out} and {args.folder} are in one another: name a folder beside it")
    if not args.force and args.out.exists() and any(args.out.iterdir()):
        fail(
            f"--out {args.out} is not empty: name another folder, or replace its annotations/ and images/ with --force"
        )


def _group_by(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is neither 'folder' nor a regular expression: {error}") from error
    return text
