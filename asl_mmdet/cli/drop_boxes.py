"""Drop boxes of a COCO-format annotation file."""

import argparse
from collections import Counter

from asl_mmdet.coco.drop_boxes import drop_boxes
from asl_mmdet.coco.format import LISTS, check_ids, check_lists, check_references, read_json, write_json
from asl_mmdet.errors import UserError


def main(args: argparse.Namespace) -> None:
    """Write the file, and say what is left of every class."""
    coco = read_json(args.annotations)
    try:
        keys = [key for key in LISTS if key != "categories" or (isinstance(coco, dict) and key in coco)]
        check_lists("it", coco, keys)
        check_ids(coco, str(args.annotations), *keys)
        check_references(coco, str(args.annotations))
        result = drop_boxes(coco, args.protocol, args.rate, args.seed)
    except UserError as error:
        raise UserError(f"{args.annotations}: {error}") from error
    write_json(args.out, result)
    before, after = (Counter(a.get("category_id") for a in content["annotations"]) for content in (coco, result))
    for category in coco.get("categories", []):
        number = category.get("id")
        print(f"{category.get('name')}: {after[number]} of {before[number]}")
    print(f"{args.out}: {after.total()} of {before.total()} boxes are left")
