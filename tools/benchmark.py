"""Compare losses by a plan: python tools/benchmark.py experiments/plans/shapes_detection.py."""

from asl_mmdet.cli.benchmark import main

if __name__ == "__main__":
    main()
