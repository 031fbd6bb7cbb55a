"""The rows of benchmarks/: what each has, that plans, rows and pages say the same, and that they stay small."""

import csv
import re
import statistics
from dataclasses import replace

import pandas as pd
import pytest
from commands import ROOT

from asl_mmdet.benchmark import Plan
from asl_mmdet.benchmark.environment import parameters
from asl_mmdet.benchmark.report import tables_of
from asl_mmdet.benchmark.rows import AFTER, BEFORE, NAME, TABLES, Rows, metrics_of
from asl_mmdet.coco.drop_boxes import PROTOCOLS
from asl_mmdet.losses.presets import PRESETS
from docs_build import charts, results, values

BENCHMARKS = ROOT / "benchmarks"
EXPERIMENTS = ROOT / "experiments"
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", *ROOT.glob("configs/*/README.md")])
SHAPES_TOO = {"missing_share", "oracle", "found_boxes"}  # plans with HEAD=shapes
STARTS = {"coco_detection", "coco_folder", "coco_multilabel"}  # plans that a user starts from
OUR_PLANS = sorted((EXPERIMENTS / "plans").glob("*.py"))

needs_experiments = pytest.mark.skipif(not EXPERIMENTS.is_dir(), reason="a source distribution has no experiments/")


@pytest.fixture(scope="module")
def rows():
    return Rows.read(BENCHMARKS)


@pytest.fixture(scope="module")
def plans():
    """All plans by name, each with the losses that it has for the detector of the shapes too."""
    folders = (BENCHMARKS / "plans", EXPERIMENTS / "plans")
    found = {path.stem: Plan.read(path) for folder in folders for path in folder.glob("*.py")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEAD", "shapes")
        for name in SHAPES_TOO & found.keys():
            other = Plan.read(EXPERIMENTS / "plans" / f"{name}.py")
            found[name] = replace(found[name], losses={**other.losses, **found[name].losses})
    return found


# --- the tables ---


def test_a_run_has_all_of_its_columns_and_their_types(rows):
    with (BENCHMARKS / "runs.csv").open(newline="", encoding="utf-8") as file:
        header = next(csv.reader(file))
    metrics = metrics_of(rows.runs)
    assert header == [*BEFORE, *metrics, *AFTER]
    may_be_empty = {"also", "protocol", "pixels", "epochs"}
    for name in sorted({*BEFORE, "date", "device", "versions"} - may_be_empty):
        assert not rows.runs[name].isin(["", None]).any() and rows.runs[name].notna().all(), name
    assert rows.runs["main"].between(0, 100, inclusive="neither").all()
    percent = rows.runs[[name for name in metrics if name != "highest gamma_neg"]]
    assert percent.dtypes.map(pd.api.types.is_float_dtype).all() and percent.stack().dropna().between(0, 100).all()
    assert pd.api.types.is_integer_dtype(rows.runs["seed"])
    assert rows.runs["date"].str.fullmatch(r"20\d\d-\d\d-\d\d").all()
    assert rows.runs["commit"].str.fullmatch("[0-9a-f]*").all()


def test_files_stay_as_they_are_when_they_are_written_again(rows, tmp_path):
    rows.write(tmp_path)
    for name in TABLES:
        assert (tmp_path / f"{name}.csv").read_bytes() == (BENCHMARKS / f"{name}.csv").read_bytes()


def test_a_share_that_is_missing_names_its_protocol(rows):
    assert rows.runs["missing"].between(0, 1, inclusive="left").all()
    named = rows.runs["protocol"].isin(PROTOCOLS)
    assert (named | (rows.runs["protocol"] == "")).all()
    assert named[rows.runs["missing"] > 0].all()


def test_a_run_has_one_row(rows):
    assert not rows.runs.duplicated(NAME).any()
    made = [name for name in rows.runs if name not in ("experiment", "also", "plan", "baseline", "data")]
    twice = rows.runs[rows.runs.duplicated(made, keep=False) & (rows.runs["peak_host_mb"].notna())]
    assert twice.empty, twice[NAME]


def test_what_an_experiment_is_compared_with_is_among_its_runs(rows):
    for name in rows.runs["experiment"].unique():
        runs = rows.where(experiment=name).runs
        assert runs["baseline"].nunique() == runs["main_metric"].nunique() == 1 or name == "shapes_amp"
        assert runs["baseline"].isin(runs["loss"]).all() or runs["loss"].nunique() == 1


def test_classes_and_points_belong_to_runs(rows):
    runs = set(rows.runs[NAME].itertuples(index=False, name=None))
    for table in (rows.classes, rows.curves):
        assert set(table[NAME].itertuples(index=False, name=None)) <= runs
        assert table.notna().all(axis=None)
    assert not rows.classes.duplicated([*NAME, "class"]).any()
    assert not rows.curves.duplicated([*NAME, "curve", "x"]).any()


def test_a_measurement_has_the_conditions_that_the_scripts_write(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from tables import CONDITIONS

    micro = pd.read_csv(BENCHMARKS / "micro.csv")
    assert list(micro) == ["benchmark", *CONDITIONS, "quantity", "value"]
    assert pd.api.types.is_float_dtype(micro["value"]) and micro["value"].notna().all()
    for name in micro["benchmark"].unique():
        assert (BENCHMARKS / f"bench_{name}.py").is_file()
        assert results.micro(name)


def test_a_measurement_replaces_an_earlier_one_or_is_added(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from tables import write_micro

    path = tmp_path / "micro.csv"
    write_micro(path, "heads", [(dict(case="linear"), dict(ms=1.0, mb=2.0))])
    write_micro(path, "share", [(dict(case="atss"), dict(ms=3.0))])
    write_micro(path, "share", [(dict(case="atss", device="GPU"), dict(ms=4.0))])
    write_micro(path, "heads", [(dict(case="linear"), dict(ms=5.0))], replace=True)
    found = pd.read_csv(path)
    assert found[["benchmark", "quantity", "value"]].values.tolist() == [
        ["share", "ms", 3.0],
        ["share", "ms", 4.0],
        ["heads", "ms", 5.0],
    ]
    assert found["device"].iloc[1] == "GPU" and found["date"].notna().all()
    with pytest.raises(ValueError, match="colour: the conditions of"):
        write_micro(path, "heads", [(dict(colour="red"), dict(ms=1.0))])


# --- names ---


def same_loss(text):
    """Parameters, with focal loss written as AsymmetricLoss is, and without the share that a loss was told."""
    given = dict(one.split("=", 1) for one in text.split() if not one.startswith("missing_rate=0"))
    if given["type"] == "AsymmetricLoss" and given["gamma_pos"] == given["gamma_neg"] and given["clip"] == "0.0":
        given |= dict(type="FocalLoss", gamma=given.pop("gamma_pos"))
        del given["gamma_neg"], given["clip"]
    return {key: value for key, value in given.items() if (key, value) != ("loss_weight", "1.0")}


def test_a_loss_is_called_as_in_its_plan_and_has_its_parameters(rows, plans):
    for (name, loss), runs in rows.runs.groupby(["plan", "loss"]):
        if name not in plans and not EXPERIMENTS.is_dir():
            continue
        assert loss in plans[name].losses, (name, loss)
        block = plans[name].losses[loss]
        for text in runs["parameters"].unique() if block else ():
            assert same_loss(text) == same_loss(parameters(block)), (name, loss)


def test_a_name_of_a_loss_stands_for_the_same_parameters_everywhere(rows):
    runs = rows.runs[rows.runs["loss"] != "asl"]  # that of the config, whichever it is
    for (metric, loss), found in runs.groupby(["main_metric", "loss"])["parameters"]:
        first, *others = map(same_loss, found.unique())
        assert all(one == first for one in others), (metric, loss)


def test_a_preset_is_called_as_the_preset_is(rows, plans):
    names = {str(sorted(same_loss(parameters(block)).items())): name for name, block in PRESETS.items()}
    runs = rows.runs[(rows.runs["loss"] != "asl") & (rows.runs["loss"] != "detection_small_missing_rate03")]
    for loss, text in set(zip(runs["loss"], runs["parameters"], strict=True)):
        assert names.get(str(sorted(same_loss(text).items())), loss) == loss


@needs_experiments
@pytest.mark.parametrize("path", OUR_PLANS, ids=lambda path: path.stem)
def test_a_plan_says_which_page_it_feeds(path):
    line = re.search(r"^Feeds (.+?)\.?$", path.read_text(encoding="utf-8"), re.M)
    assert line, path
    if line[1] == "no page yet: its runs are not finished":
        return
    pages = re.findall(r"[\w/]+\.md", line[1])
    folder = (ROOT / pages[0]).parent
    text = "".join(((ROOT / page) if "/" in page else folder / page).read_text(encoding="utf-8") for page in pages)
    runs = pd.read_csv(BENCHMARKS / "runs.csv", dtype=str)
    fed = set(runs[runs["plan"] == path.stem]["experiment"])
    assert fed and any(f"runs.csv#{name}" in text for name in fed)


# --- pages ---


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_numbers_of_a_page_are_those_of_its_rows(page):
    text = page.read_text(encoding="utf-8")
    assert text.count("<!-- rows: ") == text.count("<!-- /rows -->") == len(values.MARKED.findall(text))
    assert values.fill(text) == text, "write them again: python -m docs_build.values"
    in_a_line = re.findall(r"^ *<!-- rows: (?!table|grid).*", text, re.M)
    assert not in_a_line, "a paragraph ends before a line that begins with a comment"


def test_every_experiment_is_shown_by_a_page_and_every_link_leads_to_one(rows):
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    linked = set(re.findall(r"runs\.csv#(\w+)", text))
    assert linked == set(rows.runs["experiment"])
    assert {name for also in rows.runs["also"] for name in also.split()} <= linked


def test_every_marker_of_a_page_finds_its_rows():
    markers = [
        m for page in PAGES for m in re.findall(r"<!-- build: (\w+) (.+?) -->", page.read_text(encoding="utf-8"))
    ]
    makers = vars(results) | dict(chart=charts.chart)
    made = [makers[kind](*values.shlex.split(rest)) for kind, rest in markers if kind in makers]
    assert len(made) > 15 and all("|" in one or "data:image/png" in one for one in made)


def by_hand(experiment, loss, baseline, metric, **wanted):
    """Values by seed, and the mean difference and its interval for three seeds, from the bare file."""
    found = {}
    with (BENCHMARKS / "runs.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            is_counted = experiment in (row["experiment"], *row["also"].split())
            if is_counted and all(row[key] == value for key, value in wanted.items()):
                found[row["loss"], int(row["seed"])] = float(row[metric])
    seeds = sorted(seed for name, seed in found if name == loss)
    added = [found[loss, seed] - found[baseline, seed] for seed in seeds]
    half = 4.302653 * statistics.stdev(added) / len(added) ** 0.5  # Student's t, two degrees of freedom
    mean = statistics.mean(added)
    return [found[loss, seed] for seed in seeds], mean, half


@pytest.mark.parametrize(
    "experiment, loss, baseline, metric, wanted",
    [
        ("chess_tuned50_384", "detection_small_missing_rate", "focal_tuned", "AP", {}),
        ("bccd_tuned50_384", "detection_small_missing_labels", "focal_tuned", "AP50", dict(data="missing50")),
        ("chess_complete_384", "detection_small", "focal_tuned", "rare", {}),  # whose baseline has another experiment
        ("shapes_attribution", "focal_ignore", "focal", "AP", dict(data="missing50")),
        ("fod_multilabel", "hill", "focal", "mAP", dict(data="missing50")),
    ],
)
def test_values_of_pages_equal_those_by_hand(experiment, loss, baseline, metric, wanted):
    numbers, mean, half = by_hand(experiment, loss, baseline, metric, **wanted)
    words = " ".join([experiment, f"loss={loss}", f"metric={metric}", *(f"{key}={v}" for key, v in wanted.items())])
    assert values.value_of(f"seeds {words}") == ", ".join(f"{number:.1f}" for number in numbers)
    assert values.value_of(f"mean {words}") == f"{statistics.mean(numbers):.1f}"
    expected = f"{mean:+.1f} [{mean - half:+.1f}, {mean + half:+.1f}]"
    assert values.value_of(f"difference {words}").replace("**", "") == expected
    if metric in ("AP", "mAP"):  # the report has it by the same function
        report = "\n".join(map(str, tables_of(Rows.read(BENCHMARKS).where(experiment=experiment, **wanted))))
        assert f"{mean:+.2f} [{mean - half:+.2f}, {mean + half:+.2f}]" in report


def test_a_wrong_comment_is_refused():
    for text, wrong in (("median x", "median"), ("mean x", "experiment=x"), ("mean chess_tuned los=y", "los=y")):
        with pytest.raises(ValueError, match=wrong):
            values.fill(f"<!-- rows: {text} -->1<!-- /rows -->")


# --- size ---


def test_rows_plans_and_scripts_stay_small():
    folders = [folder for folder in (BENCHMARKS, EXPERIMENTS) if folder.is_dir()]
    files = [f for folder in folders for f in folder.rglob("*") if f.is_file() and "__pycache__" not in f.parts]
    assert len(files) <= 80
    assert sum(file.stat().st_size for file in files) <= 1.5e6
    assert {file.suffix for file in files} == {".py", ".csv", ".md"}  # no reports, no pictures
