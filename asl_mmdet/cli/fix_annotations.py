"""Mend a COCO-format annotation file."""

import argparse

from asl_mmdet.coco.fix_annotations import fix_annotations
from asl_mmdet.coco.format import check_lists, foreign_encoding, read_json, write_json
from asl_mmdet.errors import UserError


def main(args: argparse.Namespace) -> None:
    """Write the file, and say what was changed."""
    like, annotations = read_json(args.like) if args.like else None, read_json(args.annotations)
    try:
        if args.like:  # null in it is not the same as no file
            check_lists("the file to be like", like)
        content, changes = fix_annotations(annotations, like, args.corners, args.image_folder)
    except UserError as error:
        raise UserError(f"{args.annotations}: {error}") from error
    if encoding := foreign_encoding(args.annotations.read_bytes()):
        changes.append(f"the encoding: it was {encoding}")
    write_json(args.out, content)
    print("\n".join(["changed:", *(f"  {change}" for change in changes)] if changes else ["nothing was changed"]))
    print(f"{args.out}: use it as ann_file, or move it to {args.annotations}")
