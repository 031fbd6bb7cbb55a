"""Choose thresholds, and calibrate scores."""

from asl_mmdet_cli import run

if __name__ == "__main__":
    run("tune_thresholds")
