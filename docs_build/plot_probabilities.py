"""Plot the probabilities of several runs beside each other, as tools/report.py does for one.

    python -m docs_build.plot_probabilities work_dirs/run_a work_dirs/run_b --out docs/adaptive.png

As Figure 4 of the ASL paper, one column per run; runs with adaptive asymmetry get gamma- (or the margin) below, as in
Figure 9.
"""

import argparse
from pathlib import Path

from asl_mmdet.cli.report import plot_probabilities
from asl_mmdet.runs.logs import read_log


def main() -> None:
    """Read the logs, and write the plot."""
    command = argparse.ArgumentParser(description="Plot the probabilities of runs with ProbabilityGapHook.")
    command.add_argument("runs", nargs="+", type=Path, metavar="WORK_DIR", help="work directories")
    command.add_argument(
        "--titles", nargs="+", metavar="TITLE", help="one per run; by default the names of the folders"
    )
    command.add_argument("--out", type=Path, required=True, metavar="FILE.png", help="file to write")
    args = command.parse_args()
    titles = args.titles or [path.name for path in args.runs]
    plot_probabilities({title: read_log(path)[0] for title, path in zip(titles, args.runs, strict=True)}, args.out)


if __name__ == "__main__":
    main()
