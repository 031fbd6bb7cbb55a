"""The share of the classification loss in a training step of the R-50 detectors: python benchmarks/bench_share.py.

A step is forward and backward of one image of noise of 800 x 1344 with 10 boxes, at the first weights. What its
head gives to the loss is kept; forward and backward of the loss alone are then timed on that, with focal loss and with
the one of the config. No data is needed.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.structures import InstanceData
from tables import Measurement, allocator, write_micro
from torch import nn

from asl_mmdet.cli.common import need_config
from asl_mmdet.compat.allocator import keep_memory

CONFIGS = [f"configs/{name}_r50_asl.py" for name in ("atss", "fcos", "retinanet")]
FOCAL = dict(type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0)


def step(model: nn.Module) -> None:
    """Forward and backward of one image."""
    corner = torch.rand(10, 2) * torch.tensor([1000.0, 500.0])
    boxes = torch.cat([corner, corner + 50 + 200 * torch.rand(10, 2)], dim=1)
    sample = DetDataSample(metainfo=dict(img_shape=(800, 1344), pad_shape=(800, 1344), batch_input_shape=(800, 1344)))
    sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.randint(0, 80, (10,)))
    losses = model.loss(torch.randn(1, 3, 800, 1344), [sample])  # type: ignore[operator]
    model.parse_losses(losses)[0].backward()  # type: ignore[operator]


def milliseconds(function: Any, repeats: int) -> float:
    """The median of some calls after a first one."""
    times = []
    for counted in range(-1, repeats):
        start = time.perf_counter()
        function()
        if counted >= 0:
            times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def measure(path: str, steps: int) -> Measurement:
    """One model: its config and number of anchors, and milliseconds."""
    cfg = Config.fromfile(path).model
    cfg.backbone.init_cfg = None
    torch.manual_seed(0)
    model = MODELS.build(cfg).train()
    model.init_weights()
    ours = model.bbox_head.loss_cls
    calls: list[tuple[Any, dict[str, Any]]] = []
    handle = ours.register_forward_pre_hook(lambda _, args, kwargs: calls.append((args, kwargs)), with_kwargs=True)
    step(model)
    handle.remove()
    inputs = [((args[0].detach().requires_grad_(), *args[1:]), kwargs) for args, kwargs in calls]

    def alone(loss: nn.Module) -> None:
        for args, _ in inputs:
            args[0].grad = None
        sum(loss(*args, **kwargs) for args, kwargs in inputs).backward()  # type: ignore[union-attr]

    row: dict[str, Any] = {}
    for name, loss in (("focal", MODELS.build(FOCAL)), ("asl", ours)):
        model.bbox_head.loss_cls = loss
        row[f"{name}_step_ms"] = round(milliseconds(lambda: step(model), steps), 1)
        row[f"{name}_loss_ms"] = round(milliseconds(lambda loss=loss: alone(loss), 9), 2)  # type: ignore[misc]
        row[f"{name}_share_percent"] = round(100 * row[f"{name}_loss_ms"] / row[f"{name}_step_ms"], 2)
    return dict(case=path, size=sum(len(args[0]) for args, _ in inputs)), row


def main() -> None:
    """Measure and print every model."""
    parser = argparse.ArgumentParser(description="The share of the loss in a training step.")
    parser.add_argument("configs", nargs="*", default=CONFIGS)
    parser.add_argument("--steps", type=int, default=2, help="counted steps with each loss, after one")
    parser.add_argument("--keep-memory", action="store_true", help="as tools/train.py has it on a CPU")
    parser.add_argument("--csv", type=Path, help="add the rows to this file")
    args = parser.parse_args()
    for path in args.configs:
        need_config(path)
    register_all_modules()
    MMLogger.get_current_instance().setLevel("WARNING")  # not a line a weight
    conditions = dict(allocator=allocator(args.keep_memory and keep_memory()), threads=torch.get_num_threads())
    rows = []
    for path in args.configs:
        case, values = measure(path, args.steps)
        rows.append((case | conditions, values))
        print(*rows[-1], flush=True)
    if args.csv:
        write_micro(args.csv, "share", rows)


if __name__ == "__main__":
    main()
