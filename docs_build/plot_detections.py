r"""Draw what detectors find in a photograph, beside each other: a box for each detection, a cross where one is missing.

    python -m docs_build.plot_detections --image 7 --out docs/pictures/half_labelled.jpg \
        --panel "focal loss" CONFIG FOCAL.pth 0.5 --panel MissingRateLoss CONFIG AUTO.pth 0.5
    python -m docs_build.plot_detections --image 3 --out docs/pictures/tuned.jpg \
        --panel "score 0.5" CONFIG FOCAL.pth 0.5 --panel "score 0.28" CONFIG FOCAL.pth 0.28

The photograph is one of the validation images of the first config; those above are of the chess pieces, and the two
detectors are ``focal_tuned`` and ``MissingRateLoss`` with ``missing_rate="auto"``, trained with half of the boxes. A
detection is right where its class and the box (IoU 0.5) are those of an object.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mmcv
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from mmdet.apis import inference_detector, init_detector
from mmengine import Config
from torch import Tensor
from torchvision.ops import box_iou

from asl_mmdet.config.task import build_dataset

RIGHT, WRONG, MISSED = "#22d3ee", "#f97316", "#ef4444"


def draw_panel(axes: Axes, info: dict[str, Any], boxes: Tensor, labels: Tensor) -> tuple[int, int, int]:
    """A photograph with its detections, best first.

    Returns:
        How many objects are found, how many there are, and how many detections are wrong.
    """
    axes.imshow(mmcv.imread(info["img_path"], channel_order="rgb"))
    axes.set_axis_off()
    objects = [one for one in info["instances"] if not one.get("ignore_flag")]
    truth = torch.tensor([one["bbox"] for one in objects]).reshape(-1, 4)
    names = torch.tensor([one["bbox_label"] for one in objects])
    fits = (box_iou(boxes, truth) >= 0.5) & (labels[:, None] == names)
    found = torch.zeros(len(objects), dtype=torch.bool)
    for box, fitting in zip(boxes.tolist(), fits, strict=True):
        free = fitting & ~found
        if free.any():
            found[free.nonzero()[0]] = True
        _rectangle(axes, box, RIGHT if free.any() else WRONG)
    for box in truth[~found].tolist():
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        axes.plot(x, y, "x", color=MISSED, ms=9, mew=3)
    return int(found.sum()), len(objects), len(boxes) - int(found.sum())


def _rectangle(axes: Axes, box: Sequence[float], color: str) -> None:
    left, top, right, bottom = box
    axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, ec=color, lw=2.2))


def detect(config: str, checkpoint: str, image: str, score: float) -> tuple[Tensor, Tensor]:
    """The boxes and classes of a detector in an image from a score on, the best first."""
    found = inference_detector(init_detector(config, checkpoint, device="cpu"), image).pred_instances
    found = found[found.scores >= score]
    found = found[found.scores.argsort(descending=True)]
    return found.bboxes, found.labels


def main() -> None:
    """Predict and draw."""
    command = argparse.ArgumentParser(description="Draw what detectors find in a photograph, beside each other.")
    command.add_argument(
        "--panel",
        nargs=4,
        action="append",
        required=True,
        metavar=("TITLE", "CONFIG", "CHECKPOINT", "SCORE"),
        help="a picture of the row; may be given again",
    )
    command.add_argument("--image", type=int, default=0, metavar="N", help="index of the validation image")
    command.add_argument("--out", type=Path, required=True, metavar="FILE.jpg", help="file to write")
    args = command.parse_args()
    cfg = Config.fromfile(args.panel[0][1])
    info = build_dataset(cfg, cfg.val_dataloader.dataset).get_data_info(args.image)
    ratio = info["height"] / info["width"]
    figure = Figure(figsize=(4.4 * len(args.panel), 4.4 * ratio + 0.8), layout="constrained")
    for axes, (title, config, checkpoint, score) in zip(
        figure.subplots(1, len(args.panel), squeeze=False)[0], args.panel, strict=True
    ):
        found, objects, wrong = draw_panel(axes, info, *detect(config, checkpoint, info["img_path"], float(score)))
        text = f"{title}: {found} of {objects} found" + (f", {wrong} wrong" if wrong else "")
        axes.set_title(text, fontsize=13.5)
        print(text)
    legend = [
        Line2D([], [], color=RIGHT, lw=2.2, label="right"),
        Line2D([], [], color=WRONG, lw=2.2, label="wrong"),
        Line2D([], [], color=MISSED, marker="x", ms=9, mew=3, lw=0, label="not found"),
    ]
    figure.legend(handles=legend, ncols=3, loc="outside lower center", frameon=False, fontsize=13)
    figure.savefig(args.out, dpi=130, pil_kwargs=dict(quality=82))


if __name__ == "__main__":
    main()
