"""Plot p_t+, p_t- and their gap along training: python tools/plot_probabilities.py WORK_DIR... --out gap.png.

As Figure 4 of the ASL paper, one column a run; runs with adaptive asymmetry get gamma- (or the margin) below, as in
Figure 9. The runs must have ``custom_hooks = [dict(type="ProbabilityGapHook")]``.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt

from asl_mmdet.cli.common import fail
from asl_mmdet.logs import Rows, read_log

PROBABILITIES = {"pt_pos": "$p_t^+$", "pt_neg": "$p_t^-$", "prob_gap": r"$\Delta p$"}
ADAPTED = {"gamma_neg": r"$\gamma_-$", "clip": "margin $m$"}


def plot(runs: dict[str, Rows], out: Path) -> None:
    """One column a run, and write it as PNG and SVG."""
    adaptive = any(name in row for rows in runs.values() for row in rows.values() for name in ADAPTED)
    figure, grid = plt.subplots(
        1 + adaptive,
        len(runs),
        figsize=(4.2 * len(runs), 3 + 2.2 * adaptive),
        sharex="col",
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    for column, (title, rows) in enumerate(runs.items()):
        for axes, labels in zip(grid[:, column], (PROBABILITIES, ADAPTED), strict=False):
            for name, label in labels.items():
                points = {step: row[name] for step, row in rows.items() if name in row}
                if points:
                    axes.plot(list(points), list(points.values()), label=label)
            axes.grid(alpha=0.3)
            if axes.has_data():
                axes.legend()
        grid[0, column].set(title=title, ylim=(-1, 1))
        grid[0, column].axhline(0, color="grey", linewidth=0.8)
        grid[-1, column].set_xlabel("iteration")
    for suffix in (".png", ".svg"):
        figure.savefig(out.with_suffix(suffix), dpi=120)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(description="Plot the probabilities of runs with ProbabilityGapHook.")
    command.add_argument("logs", nargs="+", type=Path, help="work directories, or scalars.json files")
    command.add_argument("--titles", nargs="+", help="one for every run; by default the names of the folders")
    command.add_argument("--out", type=Path, default=Path("probabilities.png"), help="PNG; an SVG is put beside it")
    return command


def main(argv: Sequence[str] | None = None) -> None:
    """Read the logs, plot them, and print where the plot is and how each run ended."""
    command = parser()
    args = command.parse_args(argv)
    titles = args.titles or [path.name if path.is_dir() else str(path) for path in args.logs]
    if len(titles) != len(args.logs):
        command.error(f"{len(titles)} titles for {len(args.logs)} runs")
    runs = {}
    for title, path in zip(titles, args.logs, strict=True):
        rows, _ = read_log(path) if path.exists() else ({}, {})
        if not any("prob_gap" in row for row in rows.values()):
            fail(
                f"{path} has no log with probabilities: train with custom_hooks = [dict(type='ProbabilityGapHook')] "
                "and name the work directory"
            )
        runs[title] = rows
    plot(runs, args.out)
    for title, rows in runs.items():
        last = next(row for row in reversed(rows.values()) if "prob_gap" in row)
        shown = [f"{name} {last[name]:.3f}" for name in (*PROBABILITIES, *ADAPTED) if name in last]
        print(f"{title}, iteration {last['step']}: {', '.join(shown)}")
    print(f"{args.out.with_suffix('.png')}, {args.out.with_suffix('.svg')}")
