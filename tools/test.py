"""Evaluate a checkpoint: python tools/test.py CONFIG CHECKPOINT [options]. The options are MMDetection's."""

from asl_mmdet.cli.test import main

if __name__ == "__main__":
    main()
