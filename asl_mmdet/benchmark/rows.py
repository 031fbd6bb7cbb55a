"""Runs as rows that pandas, a spreadsheet and grep read, in three files of a folder.

``runs.csv``     a row for every run: what was run, its metrics in percent, what it took, and with what it was made
``classes.csv``  the AP of every class of a run, and how often the training data has the class
``curves.csv``   points along a run: its main metric by epoch, and precision by recall

A run is named by the columns ``experiment``, ``config``, ``data``, ``loss`` and ``seed``; ``also`` has the other
experiments that count it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from asl_mmdet.errors import UserError

NAME = ["experiment", "config", "data", "loss", "seed"]
# The columns of runs.csv; the metrics are between these.
BEFORE = (
    *("experiment", "also", "plan", "set", "missing", "protocol", "config", "data", "loss", "parameters", "seed"),
    *("pixels", "epochs", "baseline", "main_metric"),
)
AFTER = (
    *("detections", "score_thr", "gamma_neg", "ignore_above", "prob_gap", "minutes", "seconds_per_iteration"),
    *("seconds_per_validation_batch", "peak_host_mb", "peak_device_mb", "peak_memory_mb", "device", "python"),
    *("versions", "asl_mmdet", "commit", "date"),
)
TEXT = {
    *("experiment", "also", "plan", "set", "protocol", "config", "data", "loss", "parameters", "baseline"),
    *("main_metric", "device", "python", "versions", "asl_mmdet", "commit", "date", "class", "curve"),
}
DIGITS = 6
TABLES = ("runs", "classes", "curves")


def metrics_of(runs: pd.DataFrame) -> list[str]:
    """The columns of the metrics."""
    return [name for name in runs if name not in {*BEFORE, *AFTER, "main", "difference"}]


@dataclass(frozen=True)
class Rows:
    """The three tables."""

    runs: pd.DataFrame
    classes: pd.DataFrame
    curves: pd.DataFrame

    @classmethod
    def of(cls, results: Iterable[dict[str, Any]], experiment: str) -> "Rows":
        """The rows of the contents of ``result.json`` files."""
        runs, classes, curves = [], [], []
        for result in results:
            name = dict(experiment=experiment, **{key: result[key] for key in NAME[1:]})
            runs.append(name | _run(result))
            found = result["per_class"].items()
            classes += [name | {"class": c, "number": result["frequency"][c], "value": value} for c, value in found]
            curves += [name | dict(curve=curve, x=x, y=y) for curve, x, y in _points(result)]
        return cls(
            _ordered(pd.DataFrame(runs, columns=None if runs else BEFORE)),
            pd.DataFrame(classes, columns=[*NAME, "class", "number", "value"]).round(DIGITS),
            pd.DataFrame(curves, columns=[*NAME, "curve", "x", "y"]).round(DIGITS),
        )

    @classmethod
    def read(cls, folder: Path) -> "Rows":
        """The rows of a folder.

        Raises:
            FileNotFoundError: If there is no ``runs.csv``.
        """
        if not (folder / "runs.csv").is_file():
            raise FileNotFoundError(
                f"there is no {folder / 'runs.csv'}: name a folder that has rows, such as benchmarks"
            )
        empty = cls.of([], "")
        classes, curves = folder / "classes.csv", folder / "curves.csv"
        return cls(
            _ordered(_read(folder / "runs.csv")),
            _read(classes) if classes.is_file() else empty.classes,
            _read(curves) if curves.is_file() else empty.curves,
        )

    def write(self, folder: Path) -> None:
        """Write the tables that have rows, and remove a file of one that has none."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in vars(self).items():
            path = folder / f"{name}.csv"
            if len(table):
                shown = table.drop(columns=["main", "difference"], errors="ignore").convert_dtypes()
                shown.to_csv(path, index=False, lineterminator="\n")
            else:
                path.unlink(missing_ok=True)

    def add_to(self, folder: Path, tables: Sequence[str]) -> None:
        """Add the rows to those of a folder. Runs of the same names there are replaced, with all that is theirs.

        Where an experiment counted such a run of another, it does no more.

        Args:
            folder: Where the files are, or will be.
            tables: Which of 'runs', 'classes' and 'curves' to add.
        """
        new = pd.MultiIndex.from_frame(self.runs[NAME])
        merged = {name: table if name in tables else table.iloc[:0] for name, table in vars(self).items()}
        if (folder / "runs.csv").is_file():
            for name, old in vars(Rows.read(folder)).items():
                kept = old[~pd.MultiIndex.from_frame(old[NAME]).isin(new)]
                if name == "runs":
                    runs = kept[["also", *NAME[1:]]].itertuples(index=False)
                    also = [" ".join(one for one in names.split() if (one, *run) not in new) for names, *run in runs]
                    kept = kept.assign(also=also)
                merged[name] = pd.concat([table for table in (kept, merged[name]) if len(table)] or [kept])
        Rows(_ordered(merged["runs"]), merged["classes"], merged["curves"]).write(folder)

    def where(self, **wanted: str) -> "Rows":
        """The rows of the runs whose columns have these values, several with a comma between them.

        An ``experiment`` has the runs of others too that name it in ``also``, and its own baseline.

        Raises:
            UserError: If there is no such column, or no such run.
        """
        runs = self.runs
        for key, text in wanted.items():
            if key not in BEFORE + AFTER:
                raise UserError(f"{key}={text}: there is no column {key}; there are {', '.join(BEFORE + AFTER)}")
            values = set(text.split(","))
            chosen = runs[key].map(lambda value, values=values: _plain(value) in values)
            if key == "experiment":
                own = runs[chosen]
                runs = runs[chosen | runs["also"].map(lambda also, values=values: bool(values & set(also.split())))]
                runs = runs.assign(baseline=own["baseline"].iloc[0]) if len(values) == 1 and len(own) else runs
            else:
                runs = runs[chosen]
            if runs.empty:
                known = ", ".join(sorted({_plain(value) for value in self.runs[key]}))
                raise UserError(f"{key}={text}: no run has it; there are {known}")
        return Rows(runs, _of(self.classes, runs), _of(self.curves, runs))

    def groups(self) -> Iterator[tuple[tuple[str, str], "Rows"]]:
        """The rows by config and data variant, in their order."""
        for key, runs in self.runs.groupby(["config", "data"], sort=False):
            yield key, Rows(runs, _of(self.classes, runs), _of(self.curves, runs))


def losses_of(runs: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The runs by loss, the baseline first."""
    return sorted(runs.groupby("loss", sort=False), key=lambda item: item[0] != item[1]["baseline"].iloc[0])


def compare(old: Rows, new: Rows) -> list[str]:
    """What changed between two folders of rows, run by run, and what only one of them has.

    Where one of them has several experiments, runs are those of the same experiment.
    """
    name = NAME if max(rows.runs["experiment"].nunique() for rows in (old, new)) > 1 else NAME[1:]
    both = old.runs.merge(new.runs, "outer", name, suffixes=("", "_new"), indicator="found").sort_values(name)
    lines = []
    for run in both.to_dict("records"):
        text, before, after = "-".join(str(run[key]) for key in name), run["main"], run["main_new"]
        if run["found"] == "both":
            text += f": {run['main_metric']} {before:.2f} -> {after:.2f} ({after - before:+.2f}), time x "
            lines.append(f"{text}{run['seconds_per_iteration_new'] / run['seconds_per_iteration']:.2f}")
        else:
            lines.append(f"{text}: only in the {'first' if run['found'] == 'left_only' else 'second'}")
    return lines


def _run(result: dict[str, Any]) -> dict[str, Any]:
    """The columns of a run beside its name."""
    row = {key: result.get(key) for key in (*BEFORE, *AFTER) if key not in NAME}
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    return row | dict(also="", versions=versions) | result["metrics"]


def _points(result: dict[str, Any]) -> Iterator[tuple[str, float, float]]:
    yield from ((result["main_metric"], float(x), y) for x, y in result["curve"].items())
    precision = result.get("precision_at_recall") or []
    yield from (("precision", i / (len(precision) - 1), y) for i, y in enumerate(precision))


def _ordered(runs: pd.DataFrame) -> pd.DataFrame:
    """The columns in their order and of their types, and ``main``, the main metric of each run."""
    runs = runs.reindex(columns=[*BEFORE, *metrics_of(runs), *AFTER]).round(DIGITS).reset_index(drop=True)
    text = [name for name in runs if name in TEXT]
    runs[text] = runs[text].fillna("").astype(str)
    numbers = [name for name in runs if name not in TEXT]
    runs[numbers] = runs[numbers].apply(pd.to_numeric)
    runs["main"] = [row[row["main_metric"]] for row in runs.to_dict("records")]
    return runs


def _read(path: Path) -> pd.DataFrame:
    text = dict.fromkeys(TEXT, str)
    table = pd.read_csv(path, dtype=text, keep_default_na=False, na_values=[""])  # a class may be called NA
    return table.fillna(dict.fromkeys(TEXT & set(table), ""))


def _of(table: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    return table[pd.MultiIndex.from_frame(table[NAME]).isin(pd.MultiIndex.from_frame(runs[NAME]))]


def _plain(value: Any) -> str:
    """A value as it stands in the file: 320, not 320.0."""
    return f"{value:g}" if isinstance(value, float) else str(value)
