"""Look for defects in the data sets and the config."""

from asl_mmdet_cli import run

if __name__ == "__main__":
    run("check_dataset")
