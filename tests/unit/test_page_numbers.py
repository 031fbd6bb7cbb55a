"""Measurements on pages and in the headers of configs are those of the rows, not typed."""

import re

import pytest
import torch
from commands import ROOT

from asl_mmdet.losses.functional import asymmetric_loss
from docs_build.results import rows
from docs_build.values import MARKED

DOCS = ROOT / "docs"
RESULTS = sorted((DOCS / "results").glob("*.md"))
FOLDERS = (
    *(DOCS / name for name in (".", "results", "concepts", "how_to")),
    ROOT / "configs/shapes",
    ROOT / "configs/small",
)
PAGES = sorted([*(page for folder in FOLDERS for page in folder.glob("*.md")), ROOT / "README.md"])
CONFIGS = sorted((ROOT / "configs").rglob("*.py"))
METRIC = re.compile(r"\b(?:AP|AR|mAP|F1|ECE|OF1)(?:\d\d\d?)?\b|\b(?:ms|points?|images/s|seconds?|MB|times)\b|%")
MINUTES = re.compile(r"\b\d+ (?:minutes|hours)\b|^\|.*\bminutes\b.*(?:\n\|.*)*", re.M)
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


def timed(text):
    """The whole numbers of minutes and hours, in sentences and in columns of tables."""
    found = MINUTES.findall(prose_of(text))
    tables = [[row.strip("|").split("|") for row in one.splitlines()] for one in found if one.startswith("|")]
    columns = [zip(*rows, strict=True) for rows in tables]
    cells = [cell.strip() for table in columns for name, _, *column in table if "minutes" in name for cell in column]
    return [one for one in found if not one.startswith("|")] + [cell for cell in cells if re.search(r"\d", cell)]


def name_of(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_measurement_on_a_page_comes_from_a_row(page):
    """Write it as <!-- rows: ... --> (docs_build/values.py); a parameter, such as `gamma=0.5`, as code."""
    assert typed(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name == "results"], ids=name_of)
def test_how_long_a_training_took_comes_from_a_row(page):
    assert timed(page.read_text(encoding="utf-8")) == []


def test_what_counts_as_a_typed_time():
    table = "| set | minutes | AP |\n|---|---|---|\n| chess | 5 | <!-- rows: mean bccd -->1.3<!-- /rows --> |"
    assert timed(table) == ["5"]
    assert timed("It takes 5 to 14 minutes.\n\n| a | minutes |\n|---|---|\n| b |  |") == ["14 minutes"]


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
    assert re.match(r"<!-- build: chart |!\[[^]]+\]\(\.\./pictures/\w+\.svg\)", chart)


@pytest.mark.parametrize("page", RESULTS, ids=name_of)
def test_a_table_of_seeds_is_in_a_block_that_can_be_opened(page):
    assert not re.search(r"^\|.*\bseed \d", page.read_text(encoding="utf-8"), re.M)


LOSSES = {"cross-entropy": (0, 0, 0), "focal loss": (2, 2, 0), "ASL, 0 / 1": (0, 1, 0), "ASL, 0 / 4": (0, 4, 0.05)}


def test_what_a_positive_and_a_negative_cost_is_what_the_loss_says():
    page = (DOCS / "concepts/pictures.md").read_text(encoding="utf-8")
    seen = 0
    for name, (gamma_pos, gamma_neg, clip) in LOSSES.items():
        (row,) = re.findall(rf"^\| {re.escape(name)}.*\| (\S+) \| (\S+) \| (\S+) \|$", page, re.M)
        for number, p, label in zip(row, (0.9, 0.01, 0.5), (1.0, 0.0, 0.0), strict=True):
            logit, target = torch.tensor([[p]], dtype=torch.float64).logit(), torch.tensor([[label]])
            loss = asymmetric_loss(logit, target, gamma_pos=gamma_pos, gamma_neg=gamma_neg, clip=clip)
            assert float(number) == pytest.approx(loss.item(), rel=0.01)
            seen += 1
    assert seen == 12


# --- configs ---

EXPECTED = re.compile(r"(?:box AP|mAP) ([\d., ]+)\(seeds? ([\d, and]+); (\w+) in benchmarks/runs.csv\)")
PUBLISHED = re.compile(r"^(Paper|Baseline) |\(the paper", re.M)
ADAPTIVE = dict(shapes_adaptive="adaptive", shapes_multilabel_tuning="adaptive_target01")


def expected(config, experiment, seed):
    """The main metric of the run that a config of configs/shapes is."""
    head, _, loss, _, *missing = config.stem.split("_")
    names = dict(asl="multi_label" if head == "classifier" else "detection", adaptive=ADAPTIVE.get(experiment))
    data = "missing40" if missing == ["missing"] else "complete"
    runs = rows().where(experiment=experiment, config=head, loss=names.get(loss, loss), data=data, seed=seed).runs
    return f"{runs['main'].item():.1f}"


@pytest.mark.parametrize("config", CONFIGS, ids=name_of)
def test_the_header_of_a_config_says_what_its_rows_say(config):
    header = config.read_text(encoding="utf-8").split('"""')[1]
    found = EXPECTED.search(header)
    if found:
        numbers, seeds = (re.findall(r"\d+(?:\.\d+)?", found[place]) for place in (1, 2))
        assert numbers == [expected(config, found[3], seed) for seed in seeds]
    rest = [line for line in EXPECTED.sub("", header).splitlines() if not PUBLISHED.search(line)]
    assert not [line for line in rest if re.search(r"\bm?AP\b.*\d\.\d", line)]
    assert bool(found) == config.parent.name.startswith("shapes") or "shapes_new_style" in config.name
