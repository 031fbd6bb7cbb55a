"""The shapes data without a share of its training boxes, as the rows in benchmarks/runs.csv were measured on.

One generator draws for the whole file, where ``tools/drop_boxes.py`` has one per image: the same share, other boxes.

Example:
    python experiments/missing_shapes.py data/shapes_report_missing50 --rate 0.5 --seed 1 --num-val 600
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from asl_mmdet.coco.shapes import make_shapes


def drop_in_turn(coco: dict[str, Any], rate: float, seed: int) -> dict[str, Any]:
    """A copy of a COCO-format content without a share of its boxes, which one generator takes in the file's order."""
    draws = np.random.default_rng([seed, len("missing")]).random(len(coco["annotations"]))
    parts: dict[bool, list[Any]] = {False: [], True: []}
    for annotation, draw in zip(coco["annotations"], draws.tolist(), strict=True):
        parts[draw < rate].append(annotation)
    record = dict(protocol="uniform", rate=rate, seed=seed, annotations=parts[True])
    return {**coco, "annotations": parts[False], "dropped": record}


def main() -> None:
    """Make the data set in a new folder."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("folder", type=Path, help="folder to make")
    command.add_argument("--rate", type=float, required=True, help="share of the training boxes to drop")
    command.add_argument("--num-train", type=int, default=1500, help="training images")
    command.add_argument("--num-val", type=int, default=300, help="validation images")
    command.add_argument("--seed", type=int, default=0, help="seed of images and labels")
    args = command.parse_args()
    building = args.folder.with_name(f".{args.folder.name}.making")
    path = make_shapes(building, args.num_train, args.num_val, seed=args.seed) / "annotations/train.json"
    path.write_text(json.dumps(drop_in_turn(json.loads(path.read_text()), args.rate, args.seed)))
    building.rename(args.folder)


if __name__ == "__main__":
    main()
