"""Export a dense one-stage detector to ONNX.

Backbone, neck and head are exported, and the outputs compared with PyTorch's. The file is kept if they agree.

Example:
    python tools/export_onnx.py CONFIG CHECKPOINT --out detector.onnx
"""

import argparse

from asl_mmdet_cli.arguments import add_cfg_options, add_checkpoint, add_config, add_out_file, number, whole
from asl_mmdet_cli.messages import need_checkpoint, need_config, need_new


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options."""
    add_config(command, "config file of a detector")
    add_checkpoint(command)
    add_out_file(command, ".onnx", "file to write")
    command.add_argument(
        "--size",
        type=whole(32),
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help="fix the size of the images, in pixels; any size by default",
    )
    command.add_argument("--opset", type=whole(1), default=17, metavar="N", help="version of ONNX's operators")
    command.add_argument("--dynamo", action="store_true", help="use torch.export: slower, and needs onnxscript")
    command.add_argument(
        "--tolerance",
        type=number("(0, inf)"),
        default=1e-3,
        metavar="SHARE",
        help="largest difference from PyTorch, as a share of the largest output",
    )
    add_cfg_options(command)


def check(command: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """What can be refused at once."""
    need_config(args.config)
    need_checkpoint(args.checkpoint)
    need_new(args.out, args.force)
