"""Compare losses by a plan: python tools/benchmark.py benchmarks/plans/coco_folder.py."""

from asl_mmdet.cli.benchmark import main

if __name__ == "__main__":
    main()
