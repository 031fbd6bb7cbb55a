"""Make a small data set of coloured shapes."""

from asl_mmdet_cli import run

if __name__ == "__main__":
    run("make_shapes")
