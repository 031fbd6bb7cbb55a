"""Export a dense one-stage detector to ONNX: python tools/export_onnx.py CONFIG CHECKPOINT OUT.onnx."""

from asl_mmdet.cli.export_onnx import main

if __name__ == "__main__":
    main()
