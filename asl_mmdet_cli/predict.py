"""Detect objects in a folder of images.

They are written in COCO's format: the file has images, categories and annotations with scores. With --ids-of it is the
list of results that pycocotools takes for that annotation file.

Example:
    python tools/predict.py CONFIG CHECKPOINT data/new --out found.json --score-thr 0.3
"""

import argparse
from pathlib import Path

from asl_mmdet_cli.arguments import add_cfg_options, add_checkpoint, add_config, add_out_file, number, whole
from asl_mmdet_cli.messages import need_checkpoint, need_config, need_file, need_folder, need_new


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options."""
    add_config(command, "config file of a detector")
    add_checkpoint(command, "checkpoint file, or an .onnx file of tools/export_onnx.py")
    command.add_argument(
        "folder", type=Path, metavar="FOLDER", help="folder of images; those in folders below it count"
    )
    add_out_file(command, ".json", "file to write")
    command.add_argument(
        "--thresholds", metavar="FILE.json", help="drop predictions below the thresholds of tools/tune_thresholds.py"
    )
    command.add_argument(
        "--score-thr", type=number("[0, 1]"), default=0.0, metavar="SCORE", help="leave out lower scores"
    )
    command.add_argument(
        "--ids-of", type=Path, metavar="FILE.json", help="predict the images of this annotation file, with its ids"
    )
    command.add_argument("--batch-size", type=whole(1), default=8, metavar="N", help="images at a time")
    command.add_argument(
        "--num-workers",
        type=whole(0),
        default=2,
        metavar="N",
        help="processes that load images; 0 for none beside this",
    )
    command.add_argument(
        "--device", metavar="DEVICE", help="cpu, cuda, cuda:1, ...; by default the accelerator if there is one"
    )
    add_cfg_options(command)


def check(command: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """What can be refused at once."""
    need_config(args.config)
    need_checkpoint(args.checkpoint)
    need_folder(args.folder, "folder of images")
    need_file(args.thresholds, "thresholds file")
    need_file(args.ids_of, "annotation file")
    need_new(args.out, args.force, [path for path in (args.ids_of, args.thresholds) if path])
