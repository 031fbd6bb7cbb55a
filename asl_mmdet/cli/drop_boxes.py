"""Drop boxes of a COCO-format annotation file: python tools/drop_boxes.py train.json half.json --rate 0.5."""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from asl_mmdet.cli.common import fail
from asl_mmdet.drop_boxes import PROTOCOLS, drop_boxes
from asl_mmdet.errors import UserError


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        description="Drop boxes of a COCO-format annotation file, to measure what missing labels cost. The result "
        "records what was dropped under its key 'dropped'; the same comes from the same seed.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    command.add_argument("annotations", type=Path, help="the file with all boxes")
    command.add_argument("out", type=Path, help="the file to write; it must not exist")
    command.add_argument("--protocol", choices=PROTOCOLS, default="uniform", help="see asl_mmdet/drop_boxes.py")
    command.add_argument("--rate", type=float, default=0.5, help="with --protocol uniform: the share of boxes to drop")
    command.add_argument("--seed", type=int, default=0, help="seed")
    return command


def main(argv: Sequence[str] | None = None) -> None:
    """Write the file, and say what is left of every class."""
    args = parser().parse_args(argv)
    if args.out.exists():
        fail(f"{args.out} exists: remove it, or name another file")
    try:
        coco = json.loads(args.annotations.read_bytes())
    except (OSError, ValueError) as error:
        fail(f"{args.annotations} cannot be read: {error}")
    try:
        result = drop_boxes(coco, args.protocol, args.rate, args.seed)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result), encoding="utf-8")
    except (UserError, OSError) as error:
        fail(f"{args.annotations}: {error}")
    except (KeyError, TypeError, AttributeError) as error:
        fail(f"{args.annotations} is no COCO-format annotation file: {type(error).__name__}: {error}")
    before, after = (Counter(a["category_id"] for a in content["annotations"]) for content in (coco, result))
    for category in coco.get("categories", []):
        print(f"{category['name']}: {after[category['id']]} of {before[category['id']]}")
    print(f"{args.out}: {after.total()} of {before.total()} boxes are left")
