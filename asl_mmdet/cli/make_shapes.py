"""Make the bundled synthetic data set of coloured shapes."""

import argparse
import shutil
import time

from asl_mmdet.cli.common import fail
from asl_mmdet.coco.format import read_json
from asl_mmdet.coco.shapes import make_shapes


def main(args: argparse.Namespace) -> None:
    """Make the set, with --force in the place of what is there."""
    options = vars(args) | {}
    force, root = options.pop("force"), options.pop("out")
    if force and root.exists():
        shutil.rmtree(root)
    start = time.perf_counter()
    try:
        make_shapes(root, **options)
    except OSError as error:
        fail(str(error))
    number = len(read_json(root / "annotations" / "train.json")["annotations"])
    print(
        f"{root}: {args.num_train} training and {args.num_val} validation images, {args.num_classes} classes, {number} "
        f"training boxes, in {time.perf_counter() - start:.1f} s"
    )
