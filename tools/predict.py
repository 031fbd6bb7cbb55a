"""Detect objects in a folder of images."""

from asl_mmdet_cli import run

if __name__ == "__main__":
    run("predict")
