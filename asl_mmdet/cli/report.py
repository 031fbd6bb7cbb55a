"""Show a finished run: curves, pictures and a summary."""

import argparse
from pathlib import Path

import mmcv
from matplotlib.figure import Figure
from mmengine import load

from asl_mmdet.cli.common import fail, read_config
from asl_mmdet.compat.checkpoints import last_checkpoint
from asl_mmdet.config.task import DETECTION, Task, loss_nodes, task_of
from asl_mmdet.config.tree import type_name
from asl_mmdet.runs.logs import Rows, read_log
from asl_mmdet.runs.pictures import draw_detections


def plot_curve(train: Rows, val: Rows, task: Task, title: str, path: Path) -> None:
    """Loss terms and metrics against epochs."""
    iters_per_epoch = max(train) / max(row["epoch"] for row in train.values())
    figure = Figure(figsize=(10, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name in [name for name in next(iter(train.values())) if name.startswith("loss")]:
        steps = [step for step in train if name in train[step]]
        left.plot([s / iters_per_epoch for s in steps], [train[s][name] for s in steps], label=name)
    left.set(xlabel="epoch", ylabel="training loss", ylim=(0, None))
    for name, label in task.metrics.items():
        right.plot(list(val), [row[name] for row in val.values()], marker="o", label=label)
    right.set(xlabel="epoch", ylabel=f"{task.main_metric} on the validation set", ylim=(0, None))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(title)
    figure.savefig(path, dpi=120)


PROBABILITIES = {"pt_pos": "$p_t^+$", "pt_neg": "$p_t^-$", "prob_gap": r"$\Delta p$"}
ADAPTED = {"gamma_neg": r"$\gamma_-$", "clip": "margin $m$"}


def plot_probabilities(runs: dict[str, Rows], path: Path) -> None:
    """What ProbabilityGapHook logged, one column per run, and below it gamma- or the margin of those that adapt it.

    Args:
        runs: The rows of the training, by title.
        path: The file to write.
    """
    adaptive = any(name in row for rows in runs.values() for row in rows.values() for name in ADAPTED)
    figure = Figure(figsize=(4.2 * len(runs), 3 + 2.2 * adaptive), layout="constrained")
    grid = figure.subplots(1 + adaptive, len(runs), sharex="col", sharey="row", squeeze=False)
    for column, (title, rows) in enumerate(runs.items()):
        for axes, labels in zip(grid[:, column], (PROBABILITIES, ADAPTED), strict=False):
            for name, label in labels.items():
                points = {step: row[name] for step, row in rows.items() if name in row}
                if points:
                    axes.plot(list(points), list(points.values()), label=label)
            axes.grid(alpha=0.3)
            if axes.has_data():
                axes.legend()
        grid[0, column].set(title=title, ylim=(-1, 1))
        grid[0, column].axhline(0, color="grey", linewidth=0.8)
        grid[-1, column].set_xlabel("iteration")
    figure.savefig(path, dpi=120)


def last_probabilities(train: Rows) -> str:
    """The last values that ProbabilityGapHook logged; empty for a run without it."""
    row: dict[str, float] = next((row for row in reversed(train.values()) if "prob_gap" in row), {})
    return ", ".join(f"{name} {row[name]:.3f}" for name in (*PROBABILITIES, *ADAPTED) if name in row)


def main(args: argparse.Namespace) -> None:
    """Write the curve and the pictures into the work directory, and print where everything is."""
    cfg = read_config(args.config, ("model", "test_dataloader"), {})
    task = task_of(cfg)
    train, val = read_log(args.work_dir)
    val = {step: row for step, row in val.items() if task.logged_metric in row}
    if not train or not val:
        fail(f"there is no log of a training run with evaluation in {args.work_dir}")
    loss = " and ".join(dict.fromkeys(type_name(node.type) for node in loss_nodes(cfg).values()))
    title = f"{Path(args.config).stem}: {type_name(cfg.model.get('model_type', cfg.model.type))} with {loss}"
    plot_curve(train, val, task, title, args.work_dir / "curve.png")
    probabilities = last_probabilities(train)
    if probabilities:
        plot_probabilities({Path(args.config).stem: train}, args.work_dir / "probabilities.png")
    predictions, pictures = args.work_dir / "predictions.pkl", args.work_dir / "pictures.jpg"
    has_pictures = task is DETECTION and predictions.is_file()
    if has_pictures:
        mmcv.imwrite(draw_detections(cfg, {loss: load(predictions)}, args.images, columns=2), str(pictures))
    last = val[max(val)]
    shown = ", ".join(f"{label} {last[name]:.3f}" for name, label in task.metrics.items())
    print(f"\n{args.config}, epoch {max(val)}: {shown}")
    log = max(p for p in args.work_dir.glob("*/*.log") if (p.parent / "vis_data" / "scalars.json").exists())
    print(f"  checkpoint  {last_checkpoint(args.work_dir)}")
    print(f"  log         {log}")
    print(f"  curve       {args.work_dir / 'curve.png'}")
    if probabilities:
        print(f"  gap         {args.work_dir / 'probabilities.png'} ({probabilities})")
    if has_pictures:
        print(f"  pictures    {pictures} (ground truth left, prediction right)")
