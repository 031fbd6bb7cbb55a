"""Export a dense one-stage detector to ONNX."""

from asl_mmdet_cli import run

if __name__ == "__main__":
    run("export_onnx")
