"""Tables, plots and pictures of what :mod:`asl_mmdet.benchmark` measured, as Markdown, HTML and CSV."""

import base64
import csv
import html
import json
import statistics
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")

import cv2
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from scipy import stats

Result = dict[str, Any]
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1200px; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0; font-size: 13px; white-space: nowrap }
td, th { padding: .3em .7em; border-bottom: 1px solid #ddd }
td:first-child, th:first-child { position: sticky; left: 0; background: #fff }
td:not(:first-child), th:not(:first-child) { text-align: right } th { border-bottom: 2px solid #888 }
tr.best { background: #f2f7ee } img { max-width: 100% } .note { color: #666 } h2 { margin-top: 2em }
"""


def write_report(
    results: list[Result], failures: list[str], out: Path, title: str, pictures: dict[str, Any] | None = None
) -> None:
    """Write ``results.json``, ``results.csv``, ``report.md``, the plots and the self-contained ``report.html``."""
    (out / "results.json").write_text(json.dumps(results, indent=1))
    _write_csv(results, out / "results.csv")
    groups = _group(results)
    dates = sorted({r["date"] for r in results})
    machines = [r["device"] for r in results]
    machines += [f"{name} {version}" for r in results for name, version in r["versions"].items() if version != "none"]
    commits = [r["commit"][:10] for r in results]
    parts = [f"{len(results)} runs, {', '.join(dates)}", ", ".join(dict.fromkeys(machines))]
    note = "; ".join([*parts, "commit " + ", ".join(dict.fromkeys(commits))])
    sections = [(f"{config}, {data}", *_table(runs)) for (config, data), runs in groups.items()]
    summary = _summary(groups)
    missing = "".join(f"- {line}\n" for line in failures)
    explanation = (
        "Mean and standard deviation over the seeds. The difference to the baseline is taken on equal seeds; in "
        "brackets is its 95 % interval (Student's t), for which two seeds are the least."
    )
    lines = [f"# {title}", "", note, "", explanation, ""]
    for name, header, rows in [summary, *sections]:
        lines += [f"## {name}", "", "| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
        lines += ["| " + " | ".join(row) + " |" for row in rows] + [""]
    if failures:
        lines += ["## Failed", "", missing]
    (out / "report.md").write_text("\n".join(lines))

    body = [f"<h1>{html.escape(title)}</h1><p class=note>{html.escape(note)}</p><p>{html.escape(explanation)}</p>"]
    body.append(f"<h2>{summary[0]}</h2>{_html_table(*summary[1:], best=None)}")
    for name, header, rows in sections:
        best = max(range(len(rows)), key=lambda i: float(rows[i][2].split()[0]))
        body.append(f"<h2>{html.escape(name)}</h2>{_html_table(header, rows, best)}")
    plots: list[tuple[str, Callable[[dict[Any, list[Result]], dict[str, Any]], Figure | None]]] = [
        ("During training", plot_curves),
        ("Gain of a class against its frequency", plot_classes),
        ("Precision and recall at IoU 0.5", plot_precision_recall),
        ("Speed", plot_speed),
        ("Probabilities", plot_probabilities),
    ]
    colors = _colors(groups)
    for name, plot in plots:
        figure = plot(groups, colors)
        if figure is not None:
            path = out / f"{plot.__name__.removeprefix('plot_')}.png"
            figure.savefig(path, dpi=110)
            plt.close(figure)
            data = base64.b64encode(path.read_bytes()).decode()
            body.append(f'<h2>{name}</h2><img src="data:image/png;base64,{data}">')
    for name, sheet in (pictures or {}).items():
        data = base64.b64encode(cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()).decode()
        body.append(f"<h2>The same images under each loss: {html.escape(name)}</h2>")
        body.append(f'<img src="data:image/jpeg;base64,{data}">')
    if failures:
        body.append(f"<h2>Failed</h2><pre>{html.escape(missing)}</pre>")
    page = f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title><style>{STYLE}</style>"
    (out / "report.html").write_text(page + "\n".join(body))


def _group(results: list[Result]) -> dict[tuple[str, str], list[Result]]:
    groups: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for result in results:
        groups[result["config"], result["data"]].append(result)
    return dict(groups)


def by_loss(runs: list[Result]) -> dict[str, dict[int, Result]]:
    """Runs by loss and seed, the baseline first."""
    found: dict[str, dict[int, Result]] = defaultdict(dict)
    for run in sorted(runs, key=lambda run: run["loss"] != run["baseline"]):
        found[run["loss"]][run["seed"]] = run
    return dict(found)


def paired_difference(ours: dict[int, float], baseline: dict[int, float]) -> tuple[float, float]:
    """Mean difference over the seeds that both have, and half the width of its 95 % interval (NaN for one seed)."""
    differences = [ours[seed] - baseline[seed] for seed in ours if seed in baseline]
    if not differences:
        return float("nan"), float("nan")
    if len(differences) == 1:
        return differences[0], float("nan")
    error = statistics.stdev(differences) / len(differences) ** 0.5
    return statistics.mean(differences), float(stats.t.ppf(0.975, len(differences) - 1)) * error


def _summary(groups: dict[tuple[str, str], list[Result]]) -> tuple[str, list[str], list[list[str]]]:
    """Title, header and rows of the main result: the baseline, and what every other loss adds to it."""
    losses = list(dict.fromkeys(loss for runs in groups.values() for loss in by_loss(runs)))
    first = next(iter(groups.values()))[0]
    losses = [loss for loss in losses if loss != first["baseline"]]
    rows = []
    for (config, data), runs in groups.items():
        found = by_loss(runs)
        base = found.get(first["baseline"], {})
        values = [run["metrics"][run["main_metric"]] for run in base.values()]
        cells = [_difference(found[loss], base) if loss in found else "" for loss in losses]
        rows.append([config, data, _mean_std(values) if values else "", *cells])
    metrics = "/".join(dict.fromkeys(runs[0]["main_metric"] for runs in groups.values()))
    return "Summary", ["config", "data", f"{metrics} of {first['baseline']}", *losses], rows


def _difference(seeds: dict[int, Result], base: dict[int, Result]) -> str:
    """The paired difference in the main metric, and its interval."""
    ours, theirs = ({seed: run["metrics"][run["main_metric"]] for seed, run in r.items()} for r in (seeds, base))
    difference, half = paired_difference(ours, theirs)
    if difference != difference:
        return "no baseline"
    return f"{difference:+.2f}" + (f" [{difference - half:+.2f}, {difference + half:+.2f}]" if half == half else "")


def _table(runs: list[Result]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of one config on one data variant."""
    losses = by_loss(runs)
    main = runs[0]["main_metric"]
    others = [name for name in runs[0]["metrics"] if name != main]
    base = losses.get(runs[0]["baseline"], {})
    rows = []
    for loss, seeds in losses.items():
        shown = "baseline" if loss == runs[0]["baseline"] else _difference(seeds, base)
        extra = [_mean_std([run["metrics"].get(name, float("nan")) for run in seeds.values()]) for name in others]
        milliseconds = 1000 * statistics.median(run["seconds_per_iteration"] for run in seeds.values())
        row = [loss, str(len(seeds)), _mean_std([run["metrics"][main] for run in seeds.values()]), shown, *extra]
        row += [f"{milliseconds:.0f}", f"{max(run['peak_memory_mb'] for run in seeds.values()):.0f}"]
        if "detections" in runs[0]:
            row.append(f"{statistics.mean(run['detections'] for run in seeds.values()):.0f}")
        rows.append(row)
    header = ["loss", "seeds", main, "to the baseline", *others, "ms / iteration", "peak MB"]
    return header + (["detections"] if "detections" in runs[0] else []), rows


def _mean_std(values: list[float]) -> str:
    mean = statistics.mean(values)
    return f"{mean:.2f} ± {statistics.stdev(values):.2f}" if len(values) > 1 else f"{mean:.2f}"


def _html_table(header: list[str], rows: list[list[str]], best: int | None) -> str:
    cells = ["<tr>" + "".join(f"<th>{html.escape(name)}</th>" for name in header) + "</tr>"]
    for i, row in enumerate(rows):
        tag = "<tr class=best>" if i == best else "<tr>"
        cells.append(tag + "".join(f"<td>{html.escape(value)}</td>" for value in row) + "</tr>")
    return f'<div style="overflow-x: auto"><table>{"".join(cells)}</table></div>'


def _panels(number: int, height: float = 3.4) -> tuple[Figure, list[Any]]:
    columns = min(number, 3)
    rows = -(-number // columns)
    size = (4.6 * max(columns, 2), height * rows)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for axes in grid.flat[number:]:
        axes.set_visible(False)
    return figure, list(grid.flat[:number])


def _colors(groups: dict[Any, list[Result]]) -> dict[str, Any]:
    """A colour for every loss, the same in all plots."""
    losses = list(dict.fromkeys(loss for runs in groups.values() for loss in by_loss(runs)))
    number = len(losses)
    colors = (
        plt.get_cmap("tab10")(np.arange(number)) if number <= 10 else plt.get_cmap("turbo")(np.linspace(0, 1, number))
    )
    return dict(zip(losses, colors, strict=True))


def _label(axes: Any, title: tuple[str, str], xlabel: str, ylabel: str) -> None:
    axes.set(title=", ".join(title), xlabel=xlabel, ylabel=ylabel)
    axes.grid(alpha=0.3)


def _add_legend(figure: Figure) -> Figure:
    """One for all panels, beside them."""
    entries = {}
    for axes in figure.axes:
        entries.update(dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True)))
    figure.set_figheight(max(figure.get_figheight(), 0.3 + 0.18 * len(entries)))
    figure.legend(entries.values(), entries, loc="outside right upper", fontsize="small")
    return figure


def plot_curves(groups: dict[Any, list[Result]], colors: dict[str, Any]) -> Figure:
    """The main metric after every epoch, mean over the seeds."""
    figure, panels = _panels(len(groups))
    for axes, (title, runs) in zip(panels, groups.items(), strict=True):
        for loss, seeds in by_loss(runs).items():
            epochs = sorted({int(epoch) for run in seeds.values() for epoch in run["curve"]})
            means = [
                statistics.mean(r["curve"][str(e)] for r in seeds.values() if str(e) in r["curve"]) for e in epochs
            ]
            axes.plot(epochs, means, marker=".", color=colors[loss], label=loss)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _label(axes, title, "epoch", runs[0]["main_metric"])
    return _add_legend(figure)


def plot_classes(groups: dict[Any, list[Result]], colors: dict[str, Any]) -> Figure | None:
    """What every loss adds to the AP of a class, against the number of its training annotations."""
    shown = {title: runs for title, runs in groups.items() if runs[0]["baseline"] in by_loss(runs)}
    if not shown:
        return None
    figure, panels = _panels(len(shown))
    for axes, (title, runs) in zip(panels, shown.items(), strict=True):
        losses = by_loss(runs)
        base = losses.pop(runs[0]["baseline"])
        for loss, seeds in losses.items():
            frequency = runs[0]["frequency"]
            shared = [seed for seed in seeds if seed in base]
            if not shared:
                continue
            gains = [
                statistics.mean(seeds[s]["per_class"][name] - base[s]["per_class"][name] for s in shared)
                for name in frequency
            ]
            axes.plot(list(frequency.values()), gains, ".", color=colors[loss], label=loss)
        axes.axhline(0, color="grey", linewidth=0.8)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        _label(axes, title, "training annotations of the class", f"AP less that of {runs[0]['baseline']}")
    return _add_legend(figure)


def plot_precision_recall(groups: dict[Any, list[Result]], colors: dict[str, Any]) -> Figure | None:
    """Precision at each recall, mean over classes and seeds; for detectors."""
    shown = {title: runs for title, runs in groups.items() if "precision_at_recall" in runs[0]}
    if not shown:
        return None
    figure, panels = _panels(len(shown))
    for axes, (title, runs) in zip(panels, shown.items(), strict=True):
        for loss, seeds in by_loss(runs).items():
            curve = np.mean([run["precision_at_recall"] for run in seeds.values()], axis=0)
            axes.plot(np.linspace(0, 1, len(curve)), curve, color=colors[loss], label=loss)
        _label(axes, title, "recall", "precision")
    return _add_legend(figure)


def plot_speed(groups: dict[Any, list[Result]], colors: dict[str, Any]) -> Figure:
    """The main metric against the time of an iteration."""
    figure, panels = _panels(len(groups))
    for axes, (title, runs) in zip(panels, groups.items(), strict=True):
        for loss, seeds in by_loss(runs).items():
            milliseconds = [1000 * run["seconds_per_iteration"] for run in seeds.values()]
            values = [run["metrics"][run["main_metric"]] for run in seeds.values()]
            axes.plot(milliseconds, values, "o", color=colors[loss], label=loss)
        axes.set_xlim(0, None)
        _label(axes, title, "ms an iteration", runs[0]["main_metric"])
    return _add_legend(figure)


def plot_probabilities(groups: dict[Any, list[Result]], colors: dict[str, Any]) -> Figure:
    """The probability gap along training, and gamma- where it adapts; the first seed."""
    figure, panels = _panels(len(groups))
    for axes, (title, runs) in zip(panels, groups.items(), strict=True):
        for loss, seeds in by_loss(runs).items():
            training = seeds[min(seeds)]["training"]
            for name, style, values in (("gap", "-", training["prob_gap"]), ("gamma-", "--", training["gamma_neg"])):
                if values:
                    steps = [int(step) for step in values]
                    axes.plot(steps, list(values.values()), style, color=colors[loss], label=f"{loss}: {name}")
        _label(axes, title, "iteration", "probability gap")
    return _add_legend(figure)


def _write_csv(results: list[Result], path: Path) -> None:
    names = list(dict.fromkeys(name for result in results for name in result["metrics"]))
    plain = ["config", "data", "loss", "seed", "seconds_per_iteration", "seconds_per_validation_batch"]
    plain += ["peak_memory_mb", "detections", "device", "commit", "date"]
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*plain, *names])
        for result in results:
            values = [round(result["metrics"][name], 3) if name in result["metrics"] else "" for name in names]
            writer.writerow([*(result.get(name, "") for name in plain), *values])


def compare(old: list[Result], new: list[Result]) -> list[str]:
    """What changed between two results, cell by cell, and what only one of them has."""
    keyed = [{(r["config"], r["data"], r["loss"], r["seed"]): r for r in results} for results in (old, new)]
    lines = []
    for key in sorted(keyed[0].keys() | keyed[1].keys()):
        name = "-".join(str(part) for part in key)
        if key not in keyed[0] or key not in keyed[1]:
            lines.append(f"{name}: only in the {'second' if key in keyed[1] else 'first'}")
            continue
        a, b = keyed[0][key], keyed[1][key]
        before, after = (r["metrics"][r["main_metric"]] for r in (a, b))
        seconds = b["seconds_per_iteration"] / a["seconds_per_iteration"]
        lines.append(
            f"{name}: {a['main_metric']} {before:.2f} -> {after:.2f} ({after - before:+.2f}), time x {seconds:.2f}"
        )
    return lines
