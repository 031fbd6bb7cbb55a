"""A run that is shorter than the interval of its log has results, without a time."""

import pandas as pd

from asl_mmdet.benchmark.metrics import _median_time
from asl_mmdet.benchmark.report import milliseconds


def test_time_is_the_median_of_the_lines_that_have_one():
    assert _median_time({1: dict(time=0.1), 2: dict(time=0.3), 3: dict(loss=1.0)}) == 0.2
    assert _median_time({}) is _median_time({1: dict(loss=1.0)}) is None


def test_report_says_that_no_time_was_logged():
    runs = pd.DataFrame(dict(seconds_per_iteration=[0.25, None]))
    assert milliseconds(runs, "seconds_per_iteration") == "250"
    assert milliseconds(runs.iloc[1:], "seconds_per_iteration") == "not logged"
