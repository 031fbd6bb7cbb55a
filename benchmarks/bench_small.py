"""Where the time of an iteration of configs/small goes, in CPU milliseconds an image: python benchmarks/bench_small.py.

Random weights and images, four images of seven boxes, one thread. Only CPU time is counted, so that other work on the
machine disturbs little. For the rows of micro.csv with the allocator 'kept' set the variables that
docs/results/small.md names.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmdet.utils import register_all_modules
from mmengine.config import Config
from tables import allocator, write_micro

import asl_mmdet  # noqa: F401

ROOT = Path(__file__).parents[1]
BATCH, BOXES, CLASSES = 4, 7, 7
PARTS = ("backbone", "neck", "head", "loss", "backward", "optimizer")


def measure(size: int, frozen_stages: int, stacked_convs: int, memory_format: str, iterations: int) -> dict[str, float]:
    """Milliseconds an image of every part; the first iteration is left out."""
    cfg = Config.fromfile(ROOT / "configs/small/atss_mnv2_focal.py").model
    cfg.backbone.update(frozen_stages=frozen_stages, init_cfg=None)
    cfg.bbox_head.update(stacked_convs=stacked_convs, num_classes=CLASSES)
    layout = dict(contiguous=torch.contiguous_format, channels_last=torch.channels_last)[memory_format]
    torch.manual_seed(0)
    model = MODELS.build(cfg).train().to(memory_format=layout)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    inputs = demo_mm_inputs(BATCH, [[3, size, size]] * BATCH, num_items=[BOXES] * BATCH, num_classes=CLASSES)
    data = model.data_preprocessor(inputs, training=True)
    images = data["inputs"].to(memory_format=layout)
    boxes, metas = ([getattr(sample, name) for sample in data["data_samples"]] for name in ("gt_instances", "metainfo"))
    seconds: dict[str, float] = defaultdict(float)

    def timed(part: str, function: Callable[..., Any], *args: Any) -> Any:
        start = time.process_time()
        result = function(*args)
        seconds[part] += time.process_time() - start
        return result

    for i in range(iterations + 1):
        if i == 1:
            seconds.clear()
        features = timed("neck", model.neck, timed("backbone", model.backbone, images))
        outputs = timed("head", model.bbox_head.forward, features)
        losses = timed("loss", model.bbox_head.loss_by_feat, *outputs, boxes, metas)
        loss, _ = model.parse_losses(losses)
        optimizer.zero_grad()
        timed("backward", loss.backward)
        timed("optimizer", optimizer.step)
    return {part: 1000 * seconds[part] / iterations / BATCH for part in PARTS}


def main() -> None:
    """Print the parts, and write the rows."""
    parser = argparse.ArgumentParser(description="Where the time of an iteration of configs/small goes.")
    parser.add_argument("--size", type=int, default=320, help="height and width of the images")
    parser.add_argument("--frozen-stages", type=int, default=4, help="of the backbone's seven")
    parser.add_argument("--stacked-convs", type=int, default=2, help="of the head's towers")
    parser.add_argument("--memory-format", choices=["contiguous", "channels_last"], default="contiguous")
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("--csv", type=Path, help="add the rows to this file")
    args = parser.parse_args()
    torch.set_num_threads(1)
    register_all_modules()
    parts = measure(args.size, args.frozen_stages, args.stacked_convs, args.memory_format, args.iterations)
    values = {f"{part}_ms": round(value, 1) for part, value in {**parts, "total": sum(parts.values())}.items()}
    print("  ".join(f"{name} {value}" for name, value in values.items()))
    if args.csv:
        conditions = {name: getattr(args, name) for name in ("size", "frozen_stages", "stacked_convs", "memory_format")}
        write_micro(args.csv, "small", [(conditions | dict(allocator=allocator(), threads=1), values)])


if __name__ == "__main__":
    main()
