"""Measurements on pages and in the headers of configs are those of the rows, not typed."""

import re
from pathlib import Path

import pandas as pd
import pytest

from docs_build.values import MARKED

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
RESULTS = sorted((DOCS / "results").glob("*.md"))
PAGES = sorted(
    [*RESULTS, *DOCS.glob("concepts/*.md"), *DOCS.glob("how_to/*.md"), DOCS / "index.md", ROOT / "README.md"]
)
CONFIGS = sorted((ROOT / "configs").rglob("*.py"))
METRIC = re.compile(r"\b(?:AP|AR|mAP|F1|ECE|OF1)(?:\d\d\d?)?\b|\b(?:ms|points?|images/s|seconds?|MB|times)\b|%")
DECIMAL = re.compile(r"(?<![\w.`])[+-]?\d{1,3}\.\d+(?![.\w])")  # not the number of a paper
AP_BELOW_1 = re.compile(r"\bm?AP\d* (?:of |is )?0\.\d|\b0\.\d+ m?AP\b")


def prose_of(text):
    """The text without what comes from rows, code, comments and the targets of links."""
    text = MARKED.sub("", text)
    text = re.sub(r"^( *)```.*?^\1```", "", text, flags=re.M | re.S)
    text = re.sub(r"<!--.*?-->|`[^`]*`", "", text, flags=re.S)
    return re.sub(r"\]\([^)]*\)|https?://\S+", "]", text)


def blocks_of(text):
    """Paragraphs, list items and tables."""
    return re.split(r"\n\s*\n|\n\s*- ", prose_of(text))


def typed(text):
    """The decimals in blocks that name a metric or a unit."""
    return [number for block in blocks_of(text) if METRIC.search(block) for number in DECIMAL.findall(block)]


def name_of(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_measurement_on_a_page_comes_from_a_row(page):
    """Write it as <!-- rows: ... --> (docs_build/values.py); a parameter, such as `gamma=0.5`, as code."""
    assert typed(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text, found",
    [
        ("It gains 1.3 AP.", ["1.3"]),
        ("| loss | AP |\n|---|---|\n| focal | 53.3 |", ["53.3"]),
        ("- a threshold of 0.5\n- a step takes 19.4 ms", ["19.4"]),
        ("It gains <!-- rows: mean bccd -->1.3<!-- /rows --> AP with `gamma=0.5`.", []),
        ("```python\nAP = 1.3\n```\n\nWith gamma 0.5.\n\nAP rises.", []),
    ],
)
def test_what_counts_as_typed(text, found):
    assert typed(text) == found


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_average_precision_is_in_percent(page):
    assert AP_BELOW_1.findall(prose_of(page.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("page", RESULTS, ids=name_of)
def test_a_results_page_opens_with_an_answer_and_a_chart(page):
    _, answer, chart, *_ = page.read_text(encoding="utf-8").split("\n\n")
    assert len(re.findall(r"[.:?](?=\s|$)", prose_of(answer))) <= 3
    assert chart.startswith("<!-- build: chart ")


@pytest.mark.parametrize("page", RESULTS, ids=name_of)
def test_a_table_of_seeds_is_in_a_block_that_can_be_opened(page):
    assert not re.search(r"^\|.*\bseed \d", page.read_text(encoding="utf-8"), re.M)


# --- configs ---

EXPECTED = re.compile(r"(?:box AP|mAP) ([\d., ]+)\(seeds? ([\d, and]+); (\w+) in benchmarks/runs.csv")


def rows_of(config):
    """The main metric by experiment and seed of the runs that a config of configs/shapes stands for."""
    head, _, loss, _, *missing = config.stem.split("_")
    names = dict(
        asl="multi_label" if head == "classifier" else "detection", focal="focal", bce="bce", adaptive="adaptive"
    )
    runs = pd.read_csv(ROOT / "benchmarks/runs.csv")
    data = "missing40" if missing else "complete"
    runs = runs[(runs["config"] == head) & (runs["loss"] == names[loss]) & (runs["data"] == data)]
    return {(one.experiment, one.seed): one.mAP if one.main_metric == "mAP" else one.AP for one in runs.itertuples()}


def test_the_header_of_a_config_says_what_its_rows_say():
    seen = 0
    for config in CONFIGS:
        header = config.read_text(encoding="utf-8").split('"""')[1]
        if not (found := EXPECTED.search(header)):
            continue
        values, seeds = (re.findall(r"\d+(?:\.\d+)?", found[place]) for place in (1, 2))
        rows = rows_of(config)
        assert values == [f"{rows[found[3], int(seed)]:.1f}" for seed in seeds], config
        seen += 1
    assert seen == 14
