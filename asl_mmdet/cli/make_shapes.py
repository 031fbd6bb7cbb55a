"""Make the bundled synthetic data set of coloured shapes (COCO format): python tools/make_shapes.py data/shapes."""

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from asl_mmdet.drop_boxes import PROTOCOLS
from asl_mmdet.errors import UserError
from asl_mmdet.shapes import MAX_CLASSES, make_shapes


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        description="Make the bundled synthetic data set: coloured shapes in COCO format, long-tailed.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    command.add_argument("root", nargs="?", default="data/shapes", help="folder to make")
    command.add_argument("--num-train", type=int, default=1500, help="training images")
    command.add_argument("--num-val", type=int, default=300, help="validation images")
    command.add_argument("--image-size", type=int, default=128, help="height and width in pixels")
    command.add_argument("--num-classes", type=int, default=24, help=f"classes, at most {MAX_CLASSES}")
    command.add_argument("--missing-rate", type=float, default=0.0, help="share of the training annotations to drop")
    command.add_argument(
        "--protocol", choices=PROTOCOLS[1:], help="drop training annotations as tools/drop_boxes.py does"
    )
    command.add_argument("--seed", type=int, default=0, help="seed of everything")
    command.add_argument("--force", action="store_true", help="replace the folder if it exists")
    return command


def main(argv: Sequence[str] | None = None) -> None:
    """Make the set, unless the folder holds the same one already."""
    command = parser()
    args = command.parse_args(argv)
    options = vars(args) | {}
    force, root = options.pop("force"), Path(options.pop("root"))
    if root.exists():
        if force:
            shutil.rmtree(root)
        else:
            command.error(f"{root} exists; --force replaces it")
    start = time.perf_counter()
    try:
        make_shapes(root, **options)
    except (UserError, OSError) as error:
        command.error(str(error))
    number = len(json.loads((root / "annotations" / "train.json").read_text(encoding="utf-8"))["annotations"])
    print(
        f"{root}: {args.num_train} training and {args.num_val} validation images, {args.num_classes} classes, {number} "
        f"training boxes, in {time.perf_counter() - start:.1f} s"
    )
