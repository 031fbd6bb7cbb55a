"""Mend a COCO-format annotation file."""

import argparse
import json
from pathlib import Path
from typing import Any

from asl_mmdet.cli.common import fail
from asl_mmdet.coco.fix_annotations import fix_annotations
from asl_mmdet.coco.format import check_lists, foreign_encoding, read_json
from asl_mmdet.errors import UserError


def main(args: argparse.Namespace) -> None:
    """Write the file, and say what was changed."""
    like = _read(args.like) if args.like else None
    try:
        if args.like:  # null in it is not the same as no file
            check_lists("the file to be like", like)
        content, changes = fix_annotations(_read(args.annotations), like, args.corners, args.image_folder)
    except UserError as error:
        fail(f"{args.annotations}: {error}")
    if encoding := foreign_encoding(args.annotations.read_bytes()):
        changes.append(f"the encoding: it was {encoding}")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(content), encoding="utf-8")
    print("\n".join(["changed:", *(f"  {change}" for change in changes)] if changes else ["nothing was changed"]))
    print(f"{args.out}: use it as ann_file, or move it to {args.annotations}")


def _read(path: Path) -> Any:
    try:
        return read_json(path)
    except (UserError, OSError) as error:
        fail(f"{path} cannot be read: {error}")
