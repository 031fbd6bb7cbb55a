"""Show a finished run: a curve, pictures and a summary: python tools/report.py CONFIG WORK_DIR.

Reads the logs that MMEngine keeps in the work directory and the ``predictions.pkl`` of ``tools/test.py --out``.
"""

import argparse
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import mmcv
import numpy as np
import torch
from mmengine import Config, load
from mmengine.structures import InstanceData

from asl_mmdet.cli import fail, read_log


def plot_curve(train: dict[int, dict[str, float]], val: dict[int, dict[str, float]], title: str, path: Path) -> None:
    """Loss terms and AP against epochs."""
    iters_per_epoch = max(train) / max(row["epoch"] for row in train.values())
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.5), layout="constrained")
    for name in [name for name in next(iter(train.values())) if name.startswith("loss")]:
        steps = [step for step in train if name in train[step]]
        left.plot([s / iters_per_epoch for s in steps], [train[s][name] for s in steps], label=name)
    left.set(xlabel="epoch", ylabel="training loss", ylim=(0, None))
    for name, label in (("bbox_mAP", "AP"), ("bbox_mAP_50", "AP50"), ("bbox_mAP_75", "AP75")):
        right.plot(list(val), [row[f"coco/{name}"] for row in val.values()], marker="o", label=label)
    right.set(xlabel="epoch", ylabel="box AP on the validation set", ylim=(0, 1))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(title)
    figure.savefig(path, dpi=120)


def draw_pictures(cfg: Config, predictions: list[dict[str, Any]], folder: Path) -> Path:
    """Images of the test set, enlarged to 320 pixels, with ground truth (left) and predictions (right)."""
    from mmdet.registry import DATASETS, VISUALIZERS
    from mmdet.structures import DetDataSample
    from mmdet.utils import register_all_modules

    register_all_modules()
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    visualizer = VISUALIZERS.build(dict(type="DetLocalVisualizer", name="report"))
    visualizer.dataset_meta = dataset.metainfo
    folder.mkdir(parents=True, exist_ok=True)
    sheet = []
    for i, prediction in enumerate(predictions):  # in the order of the data set
        instances = dataset.get_data_info(i)["instances"]
        image = mmcv.imread(prediction["img_path"], channel_order="rgb")
        scale = 320 / max(image.shape[:2])
        sample = DetDataSample(
            gt_instances=InstanceData(
                bboxes=scale * torch.tensor([i["bbox"] for i in instances]).reshape(-1, 4),
                labels=torch.tensor([i["bbox_label"] for i in instances], dtype=torch.long),
            ),
            pred_instances=InstanceData(**prediction["pred_instances"]),
        )
        sample.pred_instances.bboxes = sample.pred_instances.bboxes * scale
        path = folder / Path(prediction["img_path"]).name
        visualizer.add_datasample("", mmcv.imrescale(image, scale), sample, out_file=str(path), pred_score_thr=0.3)
        sheet.append(mmcv.imread(path))
    height, width = np.max([picture.shape[:2] for picture in sheet], axis=0)
    padded = [mmcv.impad(picture, shape=(height, width)) for picture in sheet]
    columns = min(2, len(padded))
    rows = [np.hstack(padded[i : i + columns]) for i in range(0, len(padded) // columns * columns, columns)]
    mmcv.imwrite(np.vstack(rows), str(folder.parent / "pictures.jpg"))
    return folder.parent / "pictures.jpg"


def main() -> None:
    """Write the curve and the pictures into the work directory, and print where everything is."""
    parser = argparse.ArgumentParser(description="Show a finished detection run: a curve, pictures and a summary.")
    parser.add_argument("config", help="config file of the run")
    parser.add_argument(
        "work_dir", type=Path, help="its work directory, with the predictions.pkl of tools/test.py --out"
    )
    parser.add_argument("--images", type=int, default=8, help="number of pictures")
    args = parser.parse_args()
    train, val = read_log(args.work_dir)
    val = {step: row for step, row in val.items() if "coco/bbox_mAP" in row}
    if not train or not val:
        fail(f"there is no log of a training run with evaluation in {args.work_dir}")
    cfg = Config.fromfile(args.config)
    loss = cfg.model.bbox_head.loss_cls.type
    plot_curve(train, val, f"{Path(args.config).stem}: {cfg.model.type} with {loss}", args.work_dir / "curve.png")
    predictions = args.work_dir / "predictions.pkl"
    pictures = None
    if predictions.is_file():
        pictures = draw_pictures(cfg, load(predictions)[: args.images], args.work_dir / "pictures")
    last = val[max(val)]
    print(f"\n{args.config}, epoch {max(val)}: box AP {last['coco/bbox_mAP']:.3f}", end="")
    print(f" (AP50 {last['coco/bbox_mAP_50']:.3f}, AP75 {last['coco/bbox_mAP_75']:.3f})")
    log = max(p for p in args.work_dir.glob("*/*.log") if (p.parent / "vis_data" / "scalars.json").exists())
    checkpoint = Path((args.work_dir / "last_checkpoint").read_text().strip())
    print(f"  checkpoint  {args.work_dir / checkpoint.name}")
    print(f"  log         {log}")
    print(f"  curve       {args.work_dir / 'curve.png'}")
    if pictures:
        print(f"  pictures    {pictures} (ground truth left, prediction right)")


if __name__ == "__main__":
    main()
