"""Merge COCO-format annotation files with different classes."""

import argparse
from collections import Counter
from typing import Any

from asl_mmdet.coco.format import read_json, write_json
from asl_mmdet.coco.merge_datasets import counts, left_out, merge


def main(args: argparse.Namespace) -> None:
    """Write the file, and print the classes with their boxes in every file."""
    files = {str(path): read_json(path) for path in args.annotations}
    merged = merge(files, args.folders)
    write_json(args.out, merged)
    for number, path in enumerate(files, 1):
        print(f"file {number}: {path}, {len(files[path]['images'])} images")
    rows = [[name, *("not labelled" if n is None else str(n) for n in found)] for name, found in counts(files)]
    table = [["class", *(f"file {number}" for number in range(1, len(files) + 1))], *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for line in left_out(files):
        print(line)
    _print_joined(files, merged)
    print(f"{args.out}: {len(merged['images'])} images, {len(merged['annotations'])} annotations")


def _print_joined(files: dict[str, Any], merged: dict[str, Any]) -> None:
    """How many images are in several files, and what was in them twice."""
    joined = sum(len(content["images"]) for content in files.values()) - len(merged["images"])
    if not joined:
        return
    print(f"images that are in a file before, joined with it: {joined}. If they are different ones, use --folders")
    names = {category["id"]: category["name"] for category in merged["categories"]}
    duplicates = Counter(names[entry["category_id"]] for entry in merged.get("duplicates", ()))
    for name, number in duplicates.items():
        print(f"duplicates of {name}, left out and listed in 'duplicates': {number}")
