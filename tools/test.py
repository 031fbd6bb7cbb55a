"""Evaluate a checkpoint on the test set of a config."""

from asl_mmdet_cli import run

if __name__ == "__main__":
    run("test")
