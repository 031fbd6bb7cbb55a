"""Import a YOLO, Pascal VOC or COCO folder."""

import argparse
import shlex
import sys

from mmengine.config import Config

from asl_mmdet.checks import check_datasets
from asl_mmdet.cli.common import fail, print_findings
from asl_mmdet.coco.importing import Imported, import_dataset


def main(args: argparse.Namespace) -> None:
    """Write the folder, and print what was read, what was not, the boxes of every class, and the checks."""
    try:
        done = import_dataset(args.folder, args.out, args.format, args.val_share, args.seed, args.group_by, args.copy)
    except OSError as error:
        fail(str(error))
    print(f"{args.folder} is {done.format}")
    for line in done.notes.lines():
        print(f"  {line}")
    print(done.split)
    _print_counts(done)
    images = f"{done.linked} linked, {done.copied} copied" if done.linked and done.copied else ""
    images = images or (f"{done.linked} hard links" if done.linked else f"{done.copied} copies")
    print(f"{args.out}: images/ with {images}, and {', '.join(f'annotations/{split}.json' for split in done.contents)}")
    is_bad = _check(done, args)
    folder = shlex.quote(str(args.out))
    print(f"To train on it: COCO_FOLDER={folder} python tools/train.py configs/small/atss_mnv2_focal.py")
    sys.exit(1 if is_bad else 0)


def _print_counts(done: Imported) -> None:
    rows = [["class", *done.contents], *([name, *map(str, found.values())] for name, found in done.counts())]
    rows.append(["images", *(str(len(content["images"])) for content in done.contents.values())])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *numbers in rows:
        print("  ".join([name.ljust(widths[0]), *(n.rjust(w) for n, w in zip(numbers, widths[1:], strict=True))]))


def _check(done: Imported, args: argparse.Namespace) -> bool:
    """Print what the checks of the data find; whether there is an error."""
    classes = [category["name"] for category in done.contents["train"]["categories"]]
    cfg = Config()
    for split in done.contents:
        cfg[f"{split}_dataloader"] = dict(
            dataset=dict(
                type="CocoDataset",
                data_root=f"{args.out}/",
                ann_file=f"annotations/{split}.json",
                data_prefix=dict(img="images/"),
                metainfo=dict(classes=classes),
                pipeline=[dict(type="LoadImageFromFile")],
                test_mode=split != "train",
            )
        )
    found = check_datasets(cfg, list(done.contents), read_images=not args.fast)
    for split, findings in zip(done.contents, found.values(), strict=True):
        print_findings(split, findings)
    return any(finding.is_error for findings in found.values() for finding in findings)
