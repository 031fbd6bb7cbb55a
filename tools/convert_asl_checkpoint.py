"""Convert a TResNet that the authors of ASL publish."""

from asl_mmdet_cli import run

if __name__ == "__main__":
    run("convert_asl_checkpoint")
