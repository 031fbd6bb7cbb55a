"""Export a dense one-stage detector to ONNX."""

import argparse

from asl_mmdet.checks import preflight
from asl_mmdet.cli.common import fail, load_config, need, stop_on
from asl_mmdet.deploy.detector import load_detector
from asl_mmdet.errors import UserError


def main(args: argparse.Namespace) -> None:
    """Export, compare, and keep the file if it gives what PyTorch gives."""
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
    except OSError as error:
        fail(str(error))
    finally:
        partial.unlink(missing_ok=True)
    megabytes = args.out.stat().st_size / 1e6
    print(f"{args.out}: {megabytes:.1f} MB, {len(network.names)} outputs, {', '.join(network.names)}")
