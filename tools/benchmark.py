"""Compare losses as a plan says."""

from asl_mmdet_cli import run

if __name__ == "__main__":
    run("benchmark")
