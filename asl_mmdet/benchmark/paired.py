"""Differences on equal seeds and their 95 % intervals, for the report and for the pages of the documentation."""

import statistics
from collections.abc import Sequence

import pandas as pd
from scipy import stats

PAIRED = ("config", "data", "loss", "seed")  # what is equal in two runs that are compared, but for one


def differences(runs: pd.DataFrame, column: str, key: str, value: str) -> pd.Series:
    """What each run has more of ``column`` than the run that differs from it only by ``key == value``.

    Args:
        runs: A row for every run, as in :mod:`asl_mmdet.benchmark.rows`.
        column: A number of the runs.
        key: What two runs may differ in: 'loss', 'data' or 'config'.
        value: Which of them the others are compared with.

    Returns:
        A number for every run, in the order of ``runs``; NaN where there is nothing to compare it with.
    """
    same = [name for name in PAIRED if name != key]
    base = runs[runs[key] == value].set_index(same)[column]
    return runs[column] - base.reindex(pd.MultiIndex.from_frame(runs[same])).to_numpy()


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and half the width of its 95 % interval by Student's t, which is NaN for less than two values.

    Example:
        >>> mean, half = interval([2.0, 1.0, 3.0])
        >>> f"{mean:+.1f} [{mean - half:+.1f}, {mean + half:+.1f}]"
        '+2.0 [-0.5, +4.5]'
    """
    if not values:
        return float("nan"), float("nan")
    if len(values) == 1:
        return values[0], float("nan")
    error = statistics.stdev(values) / len(values) ** 0.5
    return statistics.mean(values), float(stats.t.ppf(0.975, len(values) - 1)) * error
