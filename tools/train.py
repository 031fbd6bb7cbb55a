"""Train the model of a config: python tools/train.py CONFIG [options]. The options are MMDetection's."""

from asl_mmdet.cli.train import main

if __name__ == "__main__":
    main()
