"""Find the loss and parameters that fit a data set."""

from asl_mmdet_cli import run

if __name__ == "__main__":
    run("tune_loss")
