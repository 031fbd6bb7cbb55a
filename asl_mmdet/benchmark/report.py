"""The report of a comparison: tables, plots and pictures, as Markdown, HTML and CSV.

A new column is an entry of :data:`COLUMNS`; a new plot is one of :data:`asl_mmdet.benchmark.plots.PLOTS`.
"""

import base64
import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import matplotlib.pyplot as plt
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from scipy import stats

from asl_mmdet.benchmark.plots import PLOTS, by_group, colors_of
from asl_mmdet.benchmark.results import Result

METRIC = "metrics."  # before the name of a metric, in the frame of the runs
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
    mean, half = _mean_and_half_width(runs[key].dropna().tolist())
    if mean != mean:
        return "no baseline"
    return f"{mean:+.2f}" + (f" [{mean - half:+.2f}, {mean + half:+.2f}]" if half == half else "")


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
        key: What it shows: a field of :class:`Result`, 'main' (the main metric), 'difference' (to the baseline, on
            the same seed), or 'metrics.*' for all metrics, of which the tables leave out the main one.
        label: Its header in the tables; the CSV has the key. ``{main}`` is the name of the main metric.
        format: Makes the text of the runs of one loss. None: the column is in the CSV alone.
        in_csv: Whether it is in the CSV, with the plain value of a run.
        optional: Leave it out where no run has a value.
    """

    key: str
    label: str = ""
    format: Format | None = None
    in_csv: bool = True
    optional: bool = False


COLUMNS = (
    Column("config"),
    Column("data"),
    Column("loss", "loss", first),
    Column("seed", "seeds", number),
    Column("main", "{main}", mean_std, in_csv=False),
    Column("difference", "to the baseline", difference),
    Column(METRIC + "*", "", mean_std, optional=True),
    Column("seconds_per_iteration", "ms / iteration", milliseconds),
    Column("seconds_per_validation_batch"),
    Column("peak_host_mb", "host MB, at most", largest, optional=True),
    Column("peak_device_mb", "device MB, at most", largest, optional=True),
    Column("peak_memory_mb", "peak MB", largest, optional=True),
    Column("detections", "detections", average, optional=True),
    Column("device"),
    Column("asl_mmdet", optional=True),
    Column("commit"),
    Column("date"),
)


@dataclass(frozen=True)
class Table:
    """A table of the report; ``best`` is the number of the row to mark."""

    title: str
    header: list[str]
    rows: list[list[str]]
    best: int | None = None


def write_report(
    results: list[dict[str, Any]],
    failures: list[str],
    out: Path,
    title: str,
    pictures: dict[str, Any] | None = None,
) -> None:
    """Write ``results.json``, ``results.csv``, ``report.md``, the plots and the self-contained ``report.html``.

    Args:
        results: The contents of the cells' ``result.json``.
        failures: A line for every cell that failed.
        out: The folder to write to.
        title: The title of the report.
        pictures: Images in BGR, by their titles.
    """
    (out / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    runs = [Result.of(row) for row in results]
    frame = frame_of(runs)
    csv_of(frame).to_csv(out / "results.csv", index=False, lineterminator="\n")
    page: dict[str, Any] = dict(
        title=title, note=note(runs), explanation=EXPLANATION, tables=tables_of(runs), failures=failures
    )
    (out / "report.md").write_text(markdown(**page), encoding="utf-8")
    plots = _write_plots(runs, out)
    sheets = {name: _data_url(_jpeg(sheet), "jpeg") for name, sheet in (pictures or {}).items()}
    templates = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=templates, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    html = environment.get_template("report.html.j2").render(**page, plots=plots, pictures=sheets)
    (out / "report.html").write_text(html, encoding="utf-8")


def tables_of(results: Sequence[Result]) -> list[Table]:
    """The summary, and a table for every config and data variant."""
    # Each from a frame of its own: its metrics are its own, and so is their order.
    return [summary(frame_of(results)), *(table(frame_of(group)) for group in by_group(results).values())]


def frame_of(results: Sequence[Result]) -> pd.DataFrame:
    """A row for every run, with the keys of :class:`Column`."""
    rows = []
    for result in results:
        plain = {key: value for key, value in vars(result).items() if not isinstance(value, dict | list)}
        rows.append(plain | {"main": result.main} | {METRIC + key: value for key, value in result.metrics.items()})
    frame = pd.DataFrame(rows)
    is_baseline = frame["loss"] == frame["baseline"]
    cell = ["config", "data", "seed"]
    base = frame[is_baseline].set_index(cell)["main"]
    frame["difference"] = frame["main"] - base.reindex(pd.MultiIndex.from_frame(frame[cell])).to_numpy()
    return frame


def csv_of(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns of the CSV: a row for every run, with plain values."""
    keys = [key for column in COLUMNS if column.in_csv for key in _keys(column, frame)]
    rounded = frame[keys].round({key: 3 for key in keys if key.startswith(METRIC) or key == "difference"})
    return rounded.convert_dtypes().rename(columns=lambda key: key.removeprefix(METRIC))


def table(group: pd.DataFrame) -> Table:
    """The losses of one config on one data variant."""
    run = group.iloc[0]
    shown = []  # of a column: its label, the key, the format
    for column in COLUMNS:
        if column.format is not None:
            keys = [key for key in _keys(column, group) if key != METRIC + run["main_metric"]]
            label = column.label.format(main=run["main_metric"])
            shown += [(label or key.removeprefix(METRIC), key, column.format) for key in keys]
    losses = _by_loss(group)
    rows = [[form(runs, key) for _, key, form in shown] for _, runs in losses]
    means = [runs["main"].mean() for _, runs in losses]
    title = f"{run['config']}, {run['data']}"
    return Table(title, [label for label, _, _ in shown], rows, means.index(max(means)))


def summary(frame: pd.DataFrame) -> Table:
    """The main result: the baseline, and what every other loss adds to it."""
    baseline = frame["baseline"].iloc[0]
    losses = dict.fromkeys(loss for _, group in _groups(frame) for loss, _ in _by_loss(group) if loss != baseline)
    rows = []
    for (config, data), group in _groups(frame):
        found = dict(_by_loss(group))
        base = mean_std(found[baseline], "main") if baseline in found else ""
        differences = [difference(found[loss], "difference") if loss in found else "" for loss in losses]
        rows.append([config, data, base, *differences])
    metrics = "/".join(frame["main_metric"].unique())
    return Table("Summary", ["config", "data", f"{metrics} of {baseline}", *losses], rows)


def note(results: Sequence[Result]) -> str:
    """When, on what and with which versions the runs were made."""
    dates = sorted({result.date for result in results})
    machines = [result.device for result in results]
    machines += [f"{name} {version}" for r in results for name, version in r.versions.items() if version != "none"]
    commits = dict.fromkeys(result.commit[:10] for result in results if result.commit)
    parts = [f"{len(results)} runs, {', '.join(dates)}", ", ".join(dict.fromkeys(machines))]
    return "; ".join(parts + ([f"commit {', '.join(commits)}"] if commits else []))


def markdown(title: str, note: str, explanation: str, tables: list[Table], failures: list[str]) -> str:
    """The report without plots."""
    lines = [f"# {title}", "", note, "", explanation, ""]
    for one in tables:
        lines += [f"## {one.title}", "", "| " + " | ".join(one.header) + " |", "|" + "---|" * len(one.header)]
        lines += ["| " + " | ".join(row) + " |" for row in one.rows] + [""]
    if failures:
        lines += ["## Failed", "", *(f"- {line}" for line in failures), ""]
    return "\n".join(lines)


def paired_difference(ours: dict[int, float], baseline: dict[int, float]) -> tuple[float, float]:
    """Mean difference over the seeds that both have, and half the width of its 95 % interval (NaN for one seed)."""
    return _mean_and_half_width([ours[seed] - baseline[seed] for seed in ours if seed in baseline])


def _mean_and_half_width(differences: list[float]) -> tuple[float, float]:
    if not differences:
        return float("nan"), float("nan")
    if len(differences) == 1:
        return differences[0], float("nan")
    error = statistics.stdev(differences) / len(differences) ** 0.5
    return statistics.mean(differences), float(stats.t.ppf(0.975, len(differences) - 1)) * error


def _keys(column: Column, frame: pd.DataFrame) -> Iterator[str]:
    """The keys of a column in a frame."""
    keys = [key for key in frame if key.startswith(METRIC)] if column.key == METRIC + "*" else [column.key]
    for key in keys:
        if not column.optional or frame[key].notna().any():
            yield key


def _groups(frame: pd.DataFrame) -> list[tuple[Any, pd.DataFrame]]:
    """The runs by config and data variant, in the order of the results."""
    return list(frame.groupby(["config", "data"], sort=False))


def _by_loss(group: pd.DataFrame) -> list[tuple[Any, pd.DataFrame]]:
    """The runs by loss, the baseline first."""
    return sorted(group.groupby("loss", sort=False), key=lambda item: item[0] != item[1]["baseline"].iloc[0])


def _write_plots(results: Sequence[Result], out: Path) -> dict[str, str]:
    """Draw all plots and save them; their titles, and the images as URLs."""
    groups = by_group(results)
    colors = colors_of(results)
    urls = {}
    for title, plot in PLOTS.items():
        figure = plot(groups, colors)
        if figure is not None:
            path = out / f"{plot.__name__.removeprefix('plot_')}.png"
            figure.savefig(path, dpi=110)
            plt.close(figure)
            urls[title] = _data_url(path.read_bytes(), "png")
    return urls


def _jpeg(image: Any) -> bytes:
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes())


def _data_url(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
