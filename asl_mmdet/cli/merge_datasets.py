"""Merge COCO-format files with different classes: python tools/merge_datasets.py A.json B.json OUT.json."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from asl_mmdet.cli.common import fail
from asl_mmdet.errors import UserError
from asl_mmdet.merge_datasets import counts, merge


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        description="Merge COCO-format annotation files with different classes, by name. Each image of the result "
        "names the classes that it was labelled for, as KnownClassesCoco reads them."
    )
    command.add_argument("annotations", type=Path, nargs="+", help="two files or more to merge")
    command.add_argument("out", type=Path, help="the file to write; it must not exist")
    command.add_argument(
        "--folders",
        nargs="+",
        metavar="FOLDER",
        help="put before the file names of each file's images, in the same order",
    )
    return command


def main(argv: Sequence[str] | None = None) -> None:
    """Write the file, and print the classes with their boxes in every file."""
    command = parser()
    args = command.parse_args(argv)
    if len(args.annotations) < 2:
        command.error("name at least two files to merge, and then the one to write")
    if len(set(args.annotations)) < len(args.annotations):
        command.error("a file is named twice")
    if args.out.exists():
        fail(f"{args.out} exists: remove it, or name another file")
    files = {}
    for path in args.annotations:
        try:
            files[str(path)] = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            fail(f"{path} cannot be read: {error}")
    try:
        merged = merge(files, args.folders)
    except UserError as error:
        fail(str(error))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(merged), encoding="utf-8")
    for number, path in enumerate(files, 1):
        print(f"file {number}: {path}, {len(files[path]['images'])} images")
    rows = [[name, *("not labelled" if n is None else str(n) for n in found)] for name, found in counts(files)]
    table = [["class", *(f"file {number}" for number in range(1, len(files) + 1))], *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(f"{args.out}: {len(merged['images'])} images, {len(merged['annotations'])} annotations")
