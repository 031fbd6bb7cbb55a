"""Plot p_t+, p_t- and their gap along training: python tools/plot_probabilities.py WORK_DIR... --out gap.png."""

from asl_mmdet.cli.plot_probabilities import main

if __name__ == "__main__":
    main()
