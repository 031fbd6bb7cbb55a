"""How time and memory grow with images, classes and anchors: python benchmarks/bench_scale.py FOLDER.

Annotation files are generated in FOLDER. Every row is the median of three processes of its own, on one core, with the
file in the page cache; "growth" is the time against the row before it, divided by the growth in size: 1 is linear.
"""

import argparse
import contextlib
import io
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bench_open_images
import numpy as np
from tables import MICRO, Measurement, write_micro

from asl_mmdet.cli.common import need

COCO_BOXES = 7  # an image
SIZES: dict[str, list[tuple[int, int]]] = {  # images or anchors, and classes
    "Open Images reader": [(n, bench_open_images.LISTED) for n in (1_000, 10_000, 100_000, 1_000_000, 9_000_000)],
    "CocoMultiLabel": [(n, 80) for n in (1_000, 10_000, 100_000)],
    "CocoDataset (MMDetection's)": [(n, 80) for n in (1_000, 10_000, 100_000)],
    "check_dataset --fast": [(n, 80) for n in (1_000, 10_000, 100_000)],
    "loss, anchors": [(n, 80) for n in (1_000, 10_000, 100_000, 1_000_000)],
    "loss, classes": [(10_000, n) for n in (80, 1_000, 10_000)],
}


def generate_coco(folder: Path, images: int, classes: int) -> Path:
    """An annotation file in COCO format; its images are not made."""
    path = folder / f"instances_{images}_{classes}.json"
    if path.exists():
        return path
    from mmdet.datasets import CocoDataset

    rng = np.random.default_rng(0)
    names = [*CocoDataset.METAINFO["classes"], *(f"class {i}" for i in range(80, classes))][:classes]
    number = COCO_BOXES * images
    boxes = np.column_stack([rng.integers(0, 500, (number, 2)), rng.integers(5, 100, (number, 2))]).tolist()
    owners, labels = rng.integers(1, images + 1, number).tolist(), rng.integers(1, classes + 1, number).tolist()
    content = dict(
        images=[dict(id=i, file_name=f"{i:012d}.jpg", width=640, height=640) for i in range(1, images + 1)],
        categories=[dict(id=i, name=name) for i, name in enumerate(names, 1)],
        annotations=[
            dict(id=i, image_id=owner, category_id=label, bbox=box, area=box[2] * box[3], iscrowd=0)
            for i, (owner, label, box) in enumerate(zip(owners, labels, boxes, strict=True), 1)
        ],
    )
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def reader(what: str, folder: Path, images: int, classes: int) -> Callable[[], Any]:
    """What is to be timed, with everything that it needs imported and generated."""
    if what == "Open Images reader":
        from asl_mmdet.multilabel.open_images import OpenImages

        files = bench_open_images.generate(folder, images * bench_open_images.ROWS_AN_IMAGE)
        return lambda: OpenImages(*map(str, files))
    path = str(generate_coco(folder, images, classes))
    if what == "CocoMultiLabel":
        from asl_mmdet.multilabel import CocoMultiLabel

        return lambda: CocoMultiLabel(path)
    if what.startswith("CocoDataset"):
        from mmdet.datasets import CocoDataset

        return lambda: CocoDataset(ann_file=path, data_prefix=dict(img=""), pipeline=[])
    from mmdet.utils import register_all_modules
    from mmengine.config import ConfigDict

    from asl_mmdet.checks import check_datasets

    register_all_modules()
    cfg = ConfigDict(train_dataloader=dict(dataset=dict(type="CocoDataset", ann_file=path)))
    return lambda: check_datasets(cfg, ["train"], read_images=False)


def loss(anchors: int, classes: int) -> Callable[[], Any]:
    """Forward and backward of the detection preset, with one positive in a hundred anchors."""
    import torch

    from asl_mmdet.losses import AsymmetricLoss

    torch.set_num_threads(1)
    z = torch.full((anchors, classes), -4.6, requires_grad=True)
    target = torch.full((anchors,), classes)
    target[::100] = 0
    module = AsymmetricLoss(use_sigmoid=True)
    return lambda: module(z, target, avg_factor=1.0).backward()


def measure(what: str, folder: Path, size: int, classes: int) -> dict[str, Any]:
    """Seconds, and what the peak of the process's memory grew by."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with contextlib.redirect_stdout(io.StringIO()):
        function = loss(size, classes) if what.startswith("loss") else reader(what, folder, size, classes)
        if what.startswith("loss"):
            function()  # once to warm up
        unit = 1 if sys.platform == "darwin" else 1024
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        start = time.perf_counter()
        kept = function()
        seconds = time.perf_counter() - start
        del kept
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before
    return dict(seconds=round(seconds, 4), mb=round(grown / 1e6, 1))


def main() -> None:
    """Measure everything, and write the rows."""
    parser = argparse.ArgumentParser(description="How time and memory grow.")
    parser.add_argument("folder", type=Path, help="where the generated files are, or will be (3 GB)")
    parser.add_argument("--csv", type=Path, default=MICRO, help="where the numbers go")
    parser.add_argument("--only", nargs=3, help=argparse.SUPPRESS)  # what a measuring process is started with
    args = parser.parse_args()
    if args.only:
        what, size, classes = args.only
        print(json.dumps(measure(what, args.folder, int(size), int(classes))))
        return
    need("pyarrow", "mmpretrain")
    args.folder.mkdir(parents=True, exist_ok=True)
    rows: list[Measurement] = []
    for what, sizes in SIZES.items():
        for i, (size, classes) in enumerate(sizes):
            command = [sys.executable, __file__, str(args.folder), "--only", what, str(size), str(classes)]
            subprocess.run(command, check=True, stdout=subprocess.PIPE)  # generates, and warms the page cache
            found = [subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout for _ in range(3)]
            runs = sorted((json.loads(text.splitlines()[-1]) for text in found), key=lambda run: run["seconds"])
            conditions = dict(case=what, size=size, classes=classes, threads=1)
            values = dict(runs[1])
            if i:
                factor = size * classes / (sizes[i - 1][0] * sizes[i - 1][1])
                values["growth"] = round(values["seconds"] / rows[-1][1]["seconds"] / factor, 2)
            rows.append((conditions | dict(device=f"{platform.machine()} CPU, 1 core"), values))
            print(*conditions.values(), *values.values(), sep=" | ", flush=True)
    write_micro(args.csv, "scale", rows, replace=True)


if __name__ == "__main__":
    main()
