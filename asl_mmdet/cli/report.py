"""Show a finished run: a curve, pictures and a summary: python tools/report.py CONFIG WORK_DIR.

Reads the logs that MMEngine keeps in the work directory and the ``predictions.pkl`` of ``tools/test.py --out``. There
are no pictures of a multi-label run.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import mmcv
from mmengine import Config, load

from asl_mmdet.checkpoints import last_checkpoint
from asl_mmdet.cli.common import fail
from asl_mmdet.config_tree import require, type_name
from asl_mmdet.errors import UserError
from asl_mmdet.logs import Rows, read_log
from asl_mmdet.task import DETECTION, Task, loss_nodes, task_of
from asl_mmdet.visualization import draw_detections


def plot_curve(train: Rows, val: Rows, task: Task, title: str, path: Path) -> None:
    """Loss terms and metrics against epochs."""
    iters_per_epoch = max(train) / max(row["epoch"] for row in train.values())
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.5), layout="constrained")
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


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(description="Show a finished run: a curve, pictures and a summary.")
    command.add_argument("config", help="config file of the run")
    command.add_argument(
        "work_dir", type=Path, help="its work directory, with the predictions.pkl of tools/test.py --out"
    )
    command.add_argument("--images", type=int, default=8, help="number of images to draw")
    return command


def main(argv: Sequence[str] | None = None) -> None:
    """Write the curve and the pictures into the work directory, and print where everything is."""
    args = parser().parse_args(argv)
    if not Path(args.config).is_file():
        fail(f"there is no config {args.config}")
    if args.images < 1:
        fail(f"--images {args.images}: use a whole number from 1")
    cfg = Config.fromfile(args.config)
    try:
        require(cfg, "model", "test_dataloader")
    except UserError as error:
        fail(str(error))
    task = task_of(cfg)
    train, val = read_log(args.work_dir)
    val = {step: row for step, row in val.items() if task.logged_metric in row}
    if not train or not val:
        fail(f"there is no log of a training run with evaluation in {args.work_dir}")
    loss = " and ".join(dict.fromkeys(type_name(node.type) for node in loss_nodes(cfg).values()))
    title = f"{Path(args.config).stem}: {type_name(cfg.model.get('model_type', cfg.model.type))} with {loss}"
    plot_curve(train, val, task, title, args.work_dir / "curve.png")
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
    if has_pictures:
        print(f"  pictures    {pictures} (ground truth left, prediction right)")
