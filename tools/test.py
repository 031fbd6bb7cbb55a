"""Evaluate a checkpoint: python tools/test.py CONFIG CHECKPOINT [options]. The options are MMDetection's."""

from asl_mmdet.allocator import keep_memory
from asl_mmdet.cli.test import main

if __name__ == "__main__":
    keep_memory()  # not in main(): it lasts as long as the process
    main()
