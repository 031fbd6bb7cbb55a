"""Fix what can be fixed in a COCO-format file: python tools/fix_annotations.py IN.json OUT.json."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asl_mmdet.cli.common import fail
from asl_mmdet.coco_format import read_json
from asl_mmdet.fix_annotations import fix_annotations


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        description="Fix a COCO-format annotation file: ids, iscrowd, areas, its encoding, categories of one name."
    )
    command.add_argument("annotations", type=Path, metavar="IN.json", help="the file to read; it is not changed")
    command.add_argument("out", type=Path, metavar="OUT.json", help="the file to write; it must not exist")
    command.add_argument(
        "--like", type=Path, metavar="TRAIN.json", help="name and order the categories as in this training file"
    )
    command.add_argument("--corners", action="store_true", help="the boxes are x1, y1, x2, y2")
    command.add_argument("--images", metavar="FOLDER", help="correct file names by the files that are in this folder")
    return command


def main(argv: Sequence[str] | None = None) -> None:
    """Write the file, and say what was changed."""
    args = parser().parse_args(argv)
    if args.out.exists():
        fail(f"{args.out} exists: remove it, or name another file")
    like = _read(args.like) if args.like else None
    try:
        content, changes = fix_annotations(_read(args.annotations), like, args.corners, args.images)
    except ValueError as error:
        fail(f"{args.annotations}: {error}")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(content), encoding="utf-8")
    print("\n".join(["changed:", *(f"  {change}" for change in changes)] if changes else ["nothing was changed"]))
    print(f"{args.out}: use it as ann_file, or move it to {args.annotations}")


def _read(path: Path) -> Any:
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        fail(f"{path} cannot be read: {error}")
