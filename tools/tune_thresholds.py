"""Choose thresholds and calibrate scores: python tools/tune_thresholds.py CONFIG CHECKPOINT [options]."""

from asl_mmdet.allocator import keep_memory
from asl_mmdet.cli.tune_thresholds import main

if __name__ == "__main__":
    keep_memory()  # not in main(): it lasts as long as the process
    main()
