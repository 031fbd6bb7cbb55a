"""Export a dense one-stage detector to ONNX: python tools/export_onnx.py CONFIG CHECKPOINT OUT.onnx."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from asl_mmdet.checks import preflight
from asl_mmdet.cli.common import add_cfg_options_argument, fail, load_config, need, need_new_file, stop_on
from asl_mmdet.deploy.detector import load_detector
from asl_mmdet.errors import UserError


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        description="Export backbone, neck and head of a dense one-stage detector to ONNX, and compare with PyTorch."
    )
    command.add_argument("config", help="config file of a detector")
    command.add_argument("checkpoint", help="checkpoint file")
    command.add_argument("out", type=Path, metavar="OUT.onnx", help="file to write")
    command.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="fix height and width of the images")
    command.add_argument("--opset", type=int, default=17, help="version of ONNX's operators")
    command.add_argument("--dynamo", action="store_true", help="export by torch.export: slower, and needs onnxscript")
    command.add_argument(
        "--tolerance", type=float, default=1e-3, help="largest difference to PyTorch, of the magnitude"
    )
    command.add_argument("--force", action="store_true", help="overwrite OUT.onnx")
    add_cfg_options_argument(command)
    command.set_defaults(launcher="none", local_rank=0, work_dir=None)
    return command


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    command = parser()
    args = command.parse_args(argv)
    need_new_file(command, args.out, ".onnx", args.force)
    if args.size and min(args.size) < 32:
        command.error(f"--size {args.size[0]} {args.size[1]}: use whole numbers from 32")
    if not args.tolerance > 0:
        command.error(f"--tolerance {args.tolerance:g}: use a number above 0")
    return args


def main(argv: Sequence[str] | None = None) -> None:
    """Export, compare, and keep the file if it gives what PyTorch gives."""
    args = parse(argv)
    need("onnx", "onnxruntime", *(["onnxscript"] if args.dynamo else []))
    from asl_mmdet.deploy.export import compare, export_onnx

    cfg = load_config(args, "model")
    stop_on(preflight.check_checkpoint(args.checkpoint))
    partial = args.out.with_name(f"{args.out.name}.partial")
    try:
        detector = load_detector(cfg, args.checkpoint, device="cpu")
        args.out.parent.mkdir(parents=True, exist_ok=True)
        network = export_onnx(detector, partial, size=args.size, opset=args.opset, dynamo=args.dynamo)
        differences = compare(network, partial, args.size)
        for difference in differences:
            print(difference)
        if any(one.largest > args.tolerance * max(1.0, one.magnitude) for one in differences):
            raise UserError(f"the outputs differ from PyTorch's by more than --tolerance {args.tolerance:g}")
        partial.replace(args.out)
    except (UserError, OSError) as error:
        fail(str(error))
    finally:
        partial.unlink(missing_ok=True)
    megabytes = args.out.stat().st_size / 1e6
    print(f"{args.out}: {megabytes:.1f} MB, {len(network.names)} outputs, {', '.join(network.names)}")
