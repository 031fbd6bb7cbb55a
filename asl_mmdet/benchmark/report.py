"""The report of rows: tables, plots and pictures, as Markdown and HTML.

A new column is an entry of :data:`COLUMNS`; a new plot is one of :data:`asl_mmdet.benchmark.plots.PLOTS`.
"""

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from asl_mmdet.benchmark.paired import differences, interval
from asl_mmdet.benchmark.plots import draw
from asl_mmdet.benchmark.rows import Rows, losses_of, metrics_of

EXPLANATION = (
    "Mean and standard deviation over the seeds. The difference to the baseline is taken on equal seeds; in brackets "
    "is its 95 % interval (Student's t), for which two seeds are the least."
)
Format = Callable[[pd.DataFrame, str], str]


def mean_std(runs: pd.DataFrame, key: str) -> str:
    """Mean and standard deviation."""
    values = runs[key]
    return f"{values.mean():.2f} ± {values.std():.2f}" if len(values) > 1 else f"{values.mean():.2f}"


def difference(runs: pd.DataFrame, key: str) -> str:
    """Mean of the paired differences, and its interval."""
    if (runs["loss"] == runs["baseline"]).all():
        return "baseline"
    return signed(runs[key], 2) or "no baseline"


def signed(values: pd.Series, digits: int) -> str:
    """The mean of differences and its interval; empty without any."""
    mean, half = interval(values.dropna().tolist())
    if mean != mean:
        return ""
    bounds = f" [{mean - half:+.{digits}f}, {mean + half:+.{digits}f}]" if half == half else ""
    return f"{with_sign(mean, digits)}{bounds}"


def with_sign(value: float, digits: int) -> str:
    """A number with + or -, or zero with neither."""
    text = f"{value:+.{digits}f}"
    return text if float(text) else text[1:]


def first(runs: pd.DataFrame, key: str) -> str:
    """What is the same for all runs of a loss."""
    return str(runs[key].iloc[0])


def number(runs: pd.DataFrame, key: str) -> str:
    """How many there are."""
    return str(runs[key].count())


def average(runs: pd.DataFrame, key: str) -> str:
    """The mean, as a whole number."""
    return f"{runs[key].mean():.0f}"


def largest(runs: pd.DataFrame, key: str) -> str:
    """The largest, as a whole number."""
    return f"{runs[key].max():.0f}"


def milliseconds(runs: pd.DataFrame, key: str) -> str:
    """The median, in milliseconds; of runs that are too short to log a time there is none."""
    median = runs[key].median()
    return f"{1000 * median:.0f}" if median == median else "not logged"


@dataclass(frozen=True)
class Column:
    """A column of the report.

    Args:
        key: A column of ``runs.csv``, 'main' (the main metric), 'difference' (to the baseline, on the same seed), or
            'metrics' for all metrics but the main one.
        label: Its header. ``{main}`` is the name of the main metric.
        format: Makes the text of the runs of one loss.
        optional: Leave it out where no run has a value.
    """

    key: str
    label: str
    format: Format
    optional: bool = False


COLUMNS = (
    Column("loss", "loss", first),
    Column("seed", "seeds", number),
    Column("main", "{main}", mean_std),
    Column("difference", "to the baseline", difference),
    Column("metrics", "", mean_std, optional=True),
    Column("seconds_per_iteration", "ms / iteration", milliseconds, optional=True),
    Column("peak_host_mb", "host MB, at most", largest, optional=True),
    Column("peak_device_mb", "device MB, at most", largest, optional=True),
    Column("peak_memory_mb", "peak MB", largest, optional=True),
    Column("detections", "detections", average, optional=True),
)


@dataclass(frozen=True)
class Table:
    """A table of the report; ``best`` is the number of the row to mark."""

    title: str
    header: list[str]
    rows: list[list[str]]
    best: int | None = None

    def __str__(self) -> str:
        lines = [self.header, ["---"] * len(self.header), *self.rows]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write_report(
    rows: Rows, failures: list[str], out: Path, title: str, pictures: dict[str, Any] | None = None
) -> None:
    """Write ``report.md``, the plots and the self-contained ``report.html``.

    Args:
        rows: What is reported.
        failures: A line for every run that failed.
        out: The folder to write to.
        title: The title of the report.
        pictures: Images in BGR, by their titles.
    """
    out.mkdir(parents=True, exist_ok=True)
    page: dict[str, Any] = dict(
        title=title, note=note(rows.runs), explanation=EXPLANATION, tables=tables_of(rows), failures=failures
    )
    (out / "report.md").write_text(markdown(**page), encoding="utf-8")
    plots = {title: _data_url(path.read_bytes(), "png") for title, path in draw(rows, out).items()}
    sheets = {name: _data_url(_jpeg(sheet), "jpeg") for name, sheet in (pictures or {}).items()}
    templates = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=templates, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    html = environment.get_template("report.html.j2").render(**page, plots=plots, pictures=sheets)
    (out / "report.html").write_text(html, encoding="utf-8")


def report_each(rows: Rows, out: Path | None) -> str:
    """The report of every experiment, as Markdown; written into a folder of its name in ``out``, too."""
    parts = []
    for name in rows.runs["experiment"].unique() if "experiment" in rows.runs else ():
        one = rows.where(experiment=name)
        parts.append(markdown(name, note(one.runs), EXPLANATION, tables_of(one), []))
        if out:
            write_report(one, [], out / name, name)
    return "\n".join(parts)


def tables_of(rows: Rows) -> list[Table]:
    """The summary, a table for every config and data variant, and all runs."""
    # Each config and variant by itself: its metrics are its own.
    groups = [with_differences(group.runs) for _, group in rows.groups()]
    runs = pd.concat(groups)
    return [summary(runs), *map(table, groups), all_runs(runs)]


def with_differences(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs, the metrics that they have, and the column ``difference`` to the baseline."""
    empty = [name for name in metrics_of(runs) if runs[name].isna().all()]
    found = differences(runs, "main", "loss", runs["baseline"].iloc[0])
    return runs.drop(columns=empty).assign(difference=found)


def table(group: pd.DataFrame) -> Table:
    """The losses of one config on one data variant."""
    run = group.iloc[0]
    shown = [(label, key, column.format) for column in COLUMNS for label, key in _labels(column, group)]
    losses = losses_of(group)
    rows = [[form(runs, key) for _, key, form in shown] for _, runs in losses]
    means = [runs["main"].mean() for _, runs in losses]
    title = f"{run['config']}, {run['data']}"
    return Table(title, [label for label, _, _ in shown], rows, means.index(max(means)))


def summary(runs: pd.DataFrame) -> Table:
    """The main result: the baseline, and what every other loss adds to it."""
    baseline = runs["baseline"].iloc[0]
    groups = list(runs.groupby(["config", "data"], sort=False))
    losses = dict.fromkeys(loss for _, group in groups for loss, _ in losses_of(group) if loss != baseline)
    rows = []
    for (config, data), group in groups:
        found = dict(losses_of(group))
        base = mean_std(found[baseline], "main") if baseline in found else ""
        added = [difference(found[loss], "difference") if loss in found else "" for loss in losses]
        rows.append([config, data, base, *added])
    metrics = "/".join(runs["main_metric"].unique())
    return Table("Summary", ["config", "data", f"{metrics} of {baseline}", *losses], rows)


def all_runs(runs: pd.DataFrame) -> Table:
    """The main metric of every run, and its difference to the baseline on the same seed."""
    names = ["config", "data", "loss", "seed"]
    rows = [
        [*(str(row[name]) for name in names), f"{row['main']:.2f}", signed(pd.Series([row["difference"]]), 2)]
        for row in runs.to_dict("records")
    ]
    return Table("Runs", [*names, "/".join(runs["main_metric"].unique()), "to the baseline"], rows)


def note(runs: pd.DataFrame) -> str:
    """When, on what and with which versions the runs were made."""
    dates = ", ".join(sorted(runs["date"].unique()))
    versions = dict.fromkeys(one for text in runs["versions"] for one in text.split(", "))
    machines = ", ".join([*runs["device"].unique(), *versions])
    commits = [commit[:10] for commit in runs["commit"].unique() if commit]
    parts = [f"{len(runs)} runs, {dates}", machines]
    return "; ".join(parts + ([f"commit {', '.join(commits)}"] if commits else []))


def markdown(title: str, note: str, explanation: str, tables: list[Table], failures: list[str]) -> str:
    """The report without plots."""
    lines = [f"# {title}", "", note, "", explanation, ""]
    for one in tables:
        lines += [f"## {one.title}", "", str(one), ""]
    if failures:
        lines += ["## Failed", "", *(f"- {line}" for line in failures), ""]
    return "\n".join(lines)


def _labels(column: Column, group: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """The headers and keys of a column in a table."""
    main = group["main_metric"].iloc[0]
    if column.key == "metrics":
        yield from ((key, key) for key in metrics_of(group) if key != main)
    elif not column.optional or group[column.key].notna().any():
        yield column.label.format(main=main), column.key


def _jpeg(image: Any) -> bytes:
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes())


def _data_url(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
