"""Plot losses and gradients against the probability, to choose parameters by looking: python tools/plot_losses.py."""

from asl_mmdet.cli.plot_losses import main

if __name__ == "__main__":
    main()
