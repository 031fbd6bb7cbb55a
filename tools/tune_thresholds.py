"""Choose thresholds and calibrate scores: python tools/tune_thresholds.py CONFIG CHECKPOINT [options]."""

from asl_mmdet.cli.tune_thresholds import main

if __name__ == "__main__":
    main()
