"""Show a finished run: a curve, pictures and a summary: python tools/report.py CONFIG WORK_DIR.

Reads the logs that MMEngine keeps in the work directory and the ``predictions.pkl`` of ``tools/test.py --out``. There
are no pictures of a multi-label run.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import mmcv
from mmengine import Config, load

from asl_mmdet.cli import Rows, fail, read_log
from asl_mmdet.pictures import draw_detections

# What is drawn and printed, by its name in the log; the first is what the run is judged by.
DETECTION = {"coco/bbox_mAP": "box AP", "coco/bbox_mAP_50": "AP50", "coco/bbox_mAP_75": "AP75"}
MULTI_LABEL = {"multi-label/mAP": "mAP"}


def plot_curve(train: Rows, val: Rows, metrics: dict[str, str], ylabel: str, title: str, path: Path) -> None:
    """Loss terms and metrics against epochs."""
    iters_per_epoch = max(train) / max(row["epoch"] for row in train.values())
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.5), layout="constrained")
    for name in [name for name in next(iter(train.values())) if name.startswith("loss")]:
        steps = [step for step in train if name in train[step]]
        left.plot([s / iters_per_epoch for s in steps], [train[s][name] for s in steps], label=name)
    left.set(xlabel="epoch", ylabel="training loss", ylim=(0, None))
    for name, label in metrics.items():
        right.plot(list(val), [row[name] for row in val.values()], marker="o", label=label)
    right.set(xlabel="epoch", ylabel=ylabel, ylim=(0, None))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(title)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Write the curve and the pictures into the work directory, and print where everything is."""
    parser = argparse.ArgumentParser(description="Show a finished run: a curve, pictures and a summary.")
    parser.add_argument("config", help="config file of the run")
    parser.add_argument(
        "work_dir", type=Path, help="its work directory, with the predictions.pkl of tools/test.py --out"
    )
    parser.add_argument("--images", type=int, default=8, help="number of images to draw")
    args = parser.parse_args()
    if not Path(args.config).is_file():
        fail(f"there is no config {args.config}")
    cfg = Config.fromfile(args.config)
    is_detector = "bbox_head" in cfg.model
    metrics, ylabel = (DETECTION, "AP") if is_detector else (MULTI_LABEL, "mAP in percent")
    main_metric = next(iter(metrics))
    train, val = read_log(args.work_dir)
    val = {step: row for step, row in val.items() if main_metric in row}
    if not train or not val:
        fail(f"there is no log of a training run with evaluation in {args.work_dir}")
    loss = (cfg.model.bbox_head.loss_cls if is_detector else cfg.model.head.loss).type
    title = f"{Path(args.config).stem}: {cfg.model.type} with {loss}"
    plot_curve(train, val, metrics, f"{ylabel} on the validation set", title, args.work_dir / "curve.png")
    predictions, pictures = args.work_dir / "predictions.pkl", args.work_dir / "pictures.jpg"
    has_pictures = is_detector and predictions.is_file()
    if has_pictures:
        mmcv.imwrite(draw_detections(cfg, {loss: load(predictions)}, args.images, columns=2), str(pictures))
    last = val[max(val)]
    print(f"\n{args.config}, epoch {max(val)}: " + ", ".join(f"{metrics[name]} {last[name]:.3f}" for name in metrics))
    log = max(p for p in args.work_dir.glob("*/*.log") if (p.parent / "vis_data" / "scalars.json").exists())
    checkpoint = Path((args.work_dir / "last_checkpoint").read_text().strip())
    print(f"  checkpoint  {args.work_dir / checkpoint.name}")
    print(f"  log         {log}")
    print(f"  curve       {args.work_dir / 'curve.png'}")
    if has_pictures:
        print(f"  pictures    {pictures} (ground truth left, prediction right)")


if __name__ == "__main__":
    main()
