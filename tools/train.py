"""Train the model of a config."""

from asl_mmdet_cli import run

if __name__ == "__main__":
    run("train")
