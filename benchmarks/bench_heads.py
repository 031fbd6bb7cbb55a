"""Cost of the multi-label heads: python benchmarks/bench_heads.py [OUT.csv].

Forward and backward of one batch of feature maps (8, 2048, 14, 14), as a ResNet gives for images of 448 x 448, through
the linear head (with its pooling), CSRA and ML-Decoder, for 80 and 9,605 classes, with ASL. The heads take turns; the
medians of 15 rounds are written, how many times the linear head's time that is, and what part of the time of a
ResNet-101 (the median of 3 forward and backward passes of the 8 images).
"""

import csv
import statistics
import sys
import time
from datetime import date
from pathlib import Path

import torch

from asl_mmdet.cli.common import need

ASL = dict(type="mmdet.AsymmetricLoss", use_sigmoid=True, gamma_pos=0.0, gamma_neg=4.0, clip=0.05, alpha=None)
HEADS = dict(
    linear=dict(type="MultiLabelLinearClsHead"),
    csra=dict(type="CSRAClsHead", num_heads=1, lam=0.1),
    mldecoder=dict(type="MLDecoderClsHead"),
)
BATCH, CHANNELS, SIZE, ROUNDS = 8, 2048, 14, 15


def main() -> None:
    """Measure and print the table as CSV."""
    need("mmpretrain")
    from mmpretrain.registry import MODELS
    from mmpretrain.structures import DataSample
    from mmpretrain.utils import register_all_modules

    import asl_mmdet.multilabel  # noqa: F401

    register_all_modules()
    torch.manual_seed(0)
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "benchmarks/bench_heads.csv")
    rows: list[list[object]] = [
        ["head", "classes", "million_parameters", "ms", "times_linear", "of_resnet101", "threads", "torch", "date"]
    ]
    resnet101 = resnet_seconds()
    features = torch.randn(BATCH, CHANNELS, SIZE, SIZE)
    for classes in (80, 9605):
        samples = [DataSample().set_gt_score((torch.rand(classes) < 0.03).float()) for _ in range(BATCH)]
        heads = {
            name: MODELS.build(dict(num_classes=classes, in_channels=CHANNELS, loss=ASL, **head))
            for name, head in HEADS.items()
        }
        times: dict[str, list[float]] = {name: [] for name in heads}
        for repeat in range(ROUNDS + 2):
            for name, head in heads.items():
                head.zero_grad()
                maps = features.clone().requires_grad_()
                start = time.perf_counter()
                head.loss((maps.mean((2, 3)) if name == "linear" else maps,), samples)["loss"].backward()
                if repeat >= 2:
                    times[name].append(time.perf_counter() - start)
        medians = {name: statistics.median(values) for name, values in times.items()}
        for name, head in heads.items():
            parameters = sum(p.numel() for p in head.parameters()) / 1e6
            ratio = medians[name] / medians["linear"]
            row = [name, classes, f"{parameters:.2f}", f"{1000 * medians[name]:.1f}", f"{ratio:.2f}"]
            part = f"{medians[name] / resnet101:.4f}"
            rows.append([*row, part, torch.get_num_threads(), torch.__version__, date.today().isoformat()])
    with out.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    print(out.read_text(encoding="utf-8"))


def resnet_seconds() -> float:
    """A forward and backward pass of the batch through a ResNet-101."""
    from mmpretrain.registry import MODELS

    backbone = MODELS.build(dict(type="ResNet", depth=101, out_indices=(3,)))
    images = torch.randn(BATCH, 3, 32 * SIZE, 32 * SIZE)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        backbone(images)[0].sum().backward()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
