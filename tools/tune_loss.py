"""Find the loss and parameters that fit a data set: python tools/tune_loss.py CONFIG --trials N --minutes M."""

from asl_mmdet.cli.tune_loss import main

if __name__ == "__main__":
    main()
