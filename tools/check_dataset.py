"""Look for defects in the data sets and the config: python tools/check_dataset.py CONFIG."""

from asl_mmdet.cli.check_dataset import main

if __name__ == "__main__":
    main()
