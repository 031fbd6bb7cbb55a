"""Numbers of pages from rows: a comment says which, and this module writes them behind it.

    <!-- rows: mean shapes_amp config=atss data=float32 -->56.5<!-- /rows -->
    <!-- rows: difference chess_tuned50_384 loss=detection_small_missing_rate -->+1.3 [+0.9, +1.8]<!-- /rows -->

``python -m docs_build.values`` writes all of them again after a change of the rows; a test fails where one is not what
the rows give. The words of a comment are the name of one of FUNCTIONS, experiments, and COLUMN=VALUE: which runs, by
columns of ``runs.csv``, and

    metric=AP50          another metric than the main one
    to=loss=focal        what a difference is to; the baseline of the experiment by default
    with=ignore_above    for a table: parameters of the loss, or 'gammas' for gamma+ / gamma-
    show=AP50,rare+      for a table: means of metrics; with + and their difference
    by=set,loss          for a grid: what differs from row to row
    columns=pixels       for a grid: what differs from column to column

Numbers of the other files are of one of OF_A_FILE: the name of the file, COLUMN=VALUE, and

    of=f1                the column
    times=100            a factor
    digits=2             digits behind the point, 1 by default

    <!-- rows: cell audits set=chess ranking='its place, any class' of=AP digits=2 -->0.98<!-- /rows -->
    <!-- rows: range bench_loss loss='ours, eager' allocator=warm of=peak_extra_memory -->0.0 to 7.0<!-- /rows -->
"""

import functools
import re
import shlex
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from asl_mmdet.benchmark.paired import differences, interval
from asl_mmdet.benchmark.report import Table, signed, with_sign
from docs_build.results import ROOT, rows

FOLDERS = ("benchmarks", "experiments")
OPTIONS = ("metric", "to", "with", "show", "columns", "by")
MARKED = re.compile(r"((?:^(?P<indent> +))?<!-- rows: (?P<words>.+?) -->)(?P<value>.*?)(<!-- /rows -->)", re.S | re.M)
SETS = dict(chess="chess pieces", bccd="blood cells", aquarium="aquarium", fod="things on a runway")
HEADERS = {
    "gammas": "gamma+ / gamma-",
    "ignore_above": "`ignore_above`",
    "mAP_all": "all scores in one ranking",
    "rare": "rare classes",
    "missing": "boxes missing",
    "clip": "margin",
    "gamma_neg": "gamma- at the end",
    "highest gamma_neg": "highest gamma-",
    "loss_weight": "weight",
}


@dataclass(frozen=True)
class Chosen:
    """Runs, and what is asked of them."""

    runs: pd.DataFrame
    options: dict[str, str]

    @property
    def metric(self) -> str:
        """The column of the metric."""
        return self.options.get("metric", "main")

    @property
    def to(self) -> tuple[str, str]:
        """The column, and its value, of the runs that differences are to."""
        key, _, value = self.options.get("to", f"loss={self.runs['baseline'].iloc[0]}").partition("=")
        return key, value

    def list_of(self, option: str) -> list[str]:
        """The values of an option with commas."""
        return self.options[option].split(",") if option in self.options else []


def fill(markdown: str) -> str:
    """A page with the values of its rows."""

    def filled(found: re.Match[str]) -> str:
        value = value_of(found["words"])
        if (indent := found["indent"]) and "\n" in value:  # in a block that can be opened
            value = textwrap.indent(value, indent).lstrip(" ") + indent
        return found[1] + value + found[5]

    return MARKED.sub(filled, markdown)


def without_comments(markdown: str) -> str:
    """A page with its values, but without the comments around them: Markdown ends a paragraph at some."""
    return MARKED.sub(lambda found: (found["indent"] or "") + found["value"], markdown)


def value_of(text: str) -> str:
    """What stands behind a comment.

    Raises:
        ValueError: If it has no such function, column or run.
    """
    name, *words = shlex.split(text)
    if name in OF_A_FILE:
        return OF_A_FILE[name](words[0], dict(word.partition("=")[::2] for word in words[1:]))
    if name not in FUNCTIONS:
        known = ", ".join([*FUNCTIONS, *OF_A_FILE])
        raise ValueError(f"<!-- rows: {text} -->: there is no {name}; there are {known}")
    return FUNCTIONS[name](runs_of(words))


def runs_of(words: list[str]) -> list[Chosen]:
    """The runs of every experiment that the words of a comment name."""
    pairs = dict(word.partition("=")[::2] for word in words if "=" in word)
    options: dict[str, str] = {key: pairs.pop(key) for key in OPTIONS if key in pairs}
    return [_choose(word, pairs, options) for word in words if "=" not in word]


def _choose(experiment: str, wanted: dict[str, str], options: dict[str, str]) -> Chosen:
    """The runs of an experiment in the order that is wanted, and their differences to what they are compared with."""
    every = Chosen(rows().where(experiment=experiment).runs, options)
    metrics = [every.metric, *(one.rstrip("+") for one in every.list_of("show"))]
    runs = every.runs.assign(**{f"{one}+": differences(every.runs, one, *every.to) for one in metrics})
    runs = runs.loc[rows().where(experiment=experiment, **wanted).runs.index]
    first, value = every.to
    orders = {first: [value]} | {key: text.split(",") for key, text in wanted.items() if "," in text}
    for key, names in orders.items():
        order = {one: place for place, one in enumerate(names)}
        runs = runs.sort_values(
            key, key=lambda column, order=order: column.map(order).fillna(len(order)), kind="stable"
        )
    return Chosen(runs, options)


def mean(chosen: list[Chosen]) -> str:
    """The mean over the runs."""
    (one,) = chosen
    return f"{one.runs[one.metric].mean():.1f}"


def seeds(chosen: list[Chosen]) -> str:
    """The value of every run, by seed."""
    (one,) = chosen
    return ", ".join(f"{value:.1f}" for value in one.runs.sort_values("seed")[one.metric])


def difference(chosen: list[Chosen]) -> str:
    """The mean of the differences on equal seeds, with its 95 % interval."""
    (one,) = chosen
    return _difference(one.runs, one.metric)


def table(chosen: list[Chosen]) -> str:
    """A row for every loss, or data variant, of every experiment: the value of every seed, the difference, and more."""
    first = chosen[0]
    names = [one for one in ("set", "config", "data", "loss") if len(set(pd.concat(c.runs for c in chosen)[one])) > 1]
    names = names if "loss" in names or first.to[0] != "loss" else [*names, "loss"]
    numbers = sorted(set(pd.concat(one.runs for one in chosen)["seed"]))
    parameters, shown = first.list_of("with"), first.list_of("show")
    header = [
        *names,
        *parameters,
        *(f"seed {seed}" for seed in numbers),
        "difference",
        *(one.rstrip("+") for one in shown),
    ]
    lines: list[list[str]] = []
    for one in chosen:
        for _, runs in one.runs.groupby([name for name in names if name != "set"], sort=False):
            by_seed = runs.set_index("seed")[one.metric]
            values = [f"{by_seed[seed]:.1f}" if seed in by_seed else "" for seed in numbers]
            is_base = runs[one.to[0]].iloc[0] == one.to[1]
            means = [_shown(runs, metric, is_base) for metric in shown]
            name = [_name(runs, key) for key in names]
            written = [parameter(runs["parameters"].iloc[0], key) for key in parameters]
            added = "" if is_base else _difference(runs, one.metric)
            lines.append([*name, *written, *values, added, *means])
    header = [HEADERS.get(one, one) for one in header]
    return f"\n\n{Table('', header, _without_repeats(lines, names))}\n\n"


def grid(chosen: list[Chosen]) -> str:
    """The means of the runs by ``by``, a row for each, and ``columns``."""
    names, key = chosen[0].list_of("by"), chosen[0].options["columns"]
    runs = pd.concat(one.runs for one in chosen)
    wide = runs.pivot_table(index=names, columns=key, values=chosen[0].metric, sort=False)
    if pd.api.types.is_numeric_dtype(wide.columns):
        wide = wide.sort_index(axis="columns")
    found = dict(list(runs.groupby(names, sort=False)))
    lines = [
        [*(_name(found[place], one) for one in names), *("" if mean != mean else f"{mean:.1f}" for mean in means)]
        for place, means in zip(wide.index, wide.to_numpy(), strict=True)
    ]
    header = [*(HEADERS.get(one, one) for one in names), *map(_code, wide)]
    return f"\n\n{Table('', header, _without_repeats(lines, names))}\n\n"


def _code(value: float | str) -> str:
    return f"`{value}`" if isinstance(value, str) else f"{value:g}"


def _name(runs: pd.DataFrame, key: str) -> str:
    value = runs[key].iloc[0]
    if key == "missing":
        return f"{value:.0%}".replace("%", " %")
    return SETS.get(value, value) if key == "set" else _code(value)


def _shown(runs: pd.DataFrame, metric: str, is_base: bool) -> str:
    name = metric.rstrip("+")
    if runs[name].isna().all():
        return ""
    text = f"{runs[name].mean():.1f}"
    return f"{text}, {_difference(runs, name)}" if metric.endswith("+") and not is_base else text


def _difference(runs: pd.DataFrame, metric: str) -> str:
    values = runs[f"{metric}+"].dropna()
    center, half = interval(values.tolist())
    if len(values) < 3:
        return f"{with_sign(center, 1)} ({'one seed' if len(values) == 1 else 'two seeds'})"
    text = signed(values, 1)
    number, _, bounds = text.partition(" ")
    return f"**{number}** {bounds}" if abs(center) > half else text


def _without_repeats(lines: list[list[str]], names: list[str]) -> list[list[str]]:
    """The name of a set only in its first row."""
    if names[0] != "set":
        return lines
    return [[("" if i and lines[i - 1][0] == line[0] else line[0]), *line[1:]] for i, line in enumerate(lines)]


def parameter(text: str, key: str) -> str:
    """A parameter of a loss, from the column ``parameters``.

    Example:
        >>> parameter("type=FocalLoss alpha=0.5 gamma=1.5", "gammas")
        '1.5 / 1.5'
    """
    given = dict(one.removeprefix("loss.").partition("=")[::2] for one in text.split())
    if key == "gammas":
        positive, negative = (given.get(one) or given.get("gamma") or "" for one in ("gamma_pos", "gamma_neg"))
        return " / ".join(f"{float(one):g}" for one in (positive, negative) if one)
    if key == "ignore_above" and "missing_rate" in given:
        return "follows"
    return given.get(key, "").removesuffix(".0")


@functools.cache
def file(name: str) -> pd.DataFrame:
    """A file of rows by its name without suffix."""
    paths = [path for folder in FOLDERS if (path := ROOT / folder / f"{name}.csv").is_file()]
    if not paths:
        raise ValueError(f"there is no {name}.csv in {' or '.join(FOLDERS)}")
    return pd.read_csv(paths[0], dtype=str)


def numbers_of(name: str, wanted: dict[str, str]) -> pd.Series:
    """A column of the rows of a file that have the values."""
    found, column, factor = file(name), wanted.pop("of"), float(wanted.pop("times", "1"))
    for key, value in wanted.items():
        if key not in found:
            raise ValueError(f"{key}={value}: {name}.csv has no such column; it has {', '.join(found)}")
        found = found[found[key] == value]
    if found.empty:
        raise ValueError(f"{name}.csv has no row with {wanted}")
    return found[column].astype(float) * factor


def cell(name: str, wanted: dict[str, str]) -> str:
    """The mean of a column of a file."""
    digits = int(wanted.pop("digits", "1"))
    return f"{numbers_of(name, wanted).mean():,.{digits}f}"


def limits(name: str, wanted: dict[str, str]) -> str:
    """The lowest and the highest of a column of a file; one number where they are written in the same way."""
    digits = int(wanted.pop("digits", "1"))
    numbers = numbers_of(name, wanted)
    low, high = (f"{number:,.{digits}f}" for number in (numbers.min(), numbers.max()))
    return low if low == high else f"{low} to {high}"


def speedup(name: str, wanted: dict[str, str]) -> str:
    """How many times the time of ``to=LOSS`` is that of ``loss=LOSS``, over all kinds of logits: lowest and highest."""
    of = dict(of=wanted.get("of", "forward_backward_cpu_ms"))
    loss, to = wanted.pop("loss"), wanted.pop("to", "mmdet FocalLoss")
    ours, theirs = (numbers_of(name, {**wanted, **of, "loss": one}) for one in (loss, to))
    ratios = theirs.to_numpy() / ours.to_numpy()
    return f"{ratios.min():.1f} to {ratios.max():.1f}"


OF_A_FILE: dict[str, Callable[[str, dict[str, str]], str]] = {"cell": cell, "range": limits, "speedup": speedup}
FUNCTIONS: dict[str, Callable[[list[Chosen]], str]] = {
    "mean": mean,
    "seeds": seeds,
    "difference": difference,
    "table": table,
    "grid": grid,
}


def main() -> None:
    """Write the values into all pages."""
    pages = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", *(ROOT / "configs").rglob("README.md")]
    for path in sorted(pages):
        before = path.read_text(encoding="utf-8")
        if (after := fill(before)) != before:
            path.write_text(after, encoding="utf-8")
            print(Path(path).relative_to(ROOT))


if __name__ == "__main__":
    main()
