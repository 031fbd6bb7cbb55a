"""Make the bundled synthetic data set of coloured shapes (COCO format): python tools/make_shapes.py data/shapes."""

from asl_mmdet.cli.make_shapes import main

if __name__ == "__main__":
    main()
