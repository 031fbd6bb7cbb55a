"""A whole training step with ASL against one with focal loss: python benchmarks/bench_step.py [CONFIG FOCAL_CONFIG].

--threads, --busy and --low-priority say what else the machine does. With --gap, a step under ProbabilityGapHook against
one of the same config without it; with --against, a step of CONFIG against one of CONFIG with other options, such as
model.backbone.type=MobileNetV2; with --predict, the prediction of an image instead of a step. Both models start from
the same weights and take the same batches in turn; the medians and their ratio are printed. Needs the shapes data:
python tools/make_shapes.py --out data/shapes.
"""

import argparse
import copy
import datetime
import itertools
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import busy
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config, DictAction
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper
from mmengine.runner import LogProcessor, Runner
from tables import allocator, append_csv

from asl_mmdet.checks.preflight import check_data
from asl_mmdet.cli.common import need_config, stop_on
from asl_mmdet.compat.allocator import keep_memory
from asl_mmdet.hooks import ProbabilityGapHook


def main() -> None:
    """Alternate the two and print."""
    parser = argparse.ArgumentParser(description="Time a training step with ASL against one with focal loss.")
    parser.add_argument("config", nargs="?", default="configs/shapes/atss_r18_asl_shapes.py")
    parser.add_argument("focal", nargs="?", default="configs/shapes/atss_r18_focal_shapes.py")
    parser.add_argument("--gap", action="store_true", help="time ProbabilityGapHook instead")
    parser.add_argument("--against", nargs="+", action=DictAction, metavar="KEY=VALUE", help="options of the second")
    parser.add_argument("--predict", action="store_true", help="time the prediction of an image instead")
    parser.add_argument("--steps", type=int, default=60, help="counted steps of each")
    parser.add_argument("--keep-memory", action="store_true", help="as tools/train.py has it on a CPU")
    parser.add_argument("--csv", type=Path, help="add a row to this file")
    busy.add_arguments(parser)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.csv and (args.gap or args.against or args.predict):
        parser.error("--csv has no column for --gap, --against and --predict: leave it or them out")
    row = {"allocator": allocator(args.keep_memory and keep_memory()), **busy.state(args)}
    row["spin"] = os.environ.get("GOMP_SPINCOUNT", "default")
    if args.gap or args.against:
        args.focal = args.config
    for path in (args.config, args.focal):
        need_config(path)
    configs = [Config.fromfile(path) for path in (args.config, args.focal)]
    configs[1].merge_from_dict(args.against or {})
    stop_on(check_data(configs[0], ["train"]))
    register_all_modules()
    models = [MODELS.build(cfg.model).train(not args.predict) for cfg in configs]
    models[0].init_weights()
    models[1].load_state_dict(models[0].state_dict())
    optimizers = [build_optim_wrapper(model, configs[i].optim_wrapper) for i, model in enumerate(models)]
    loader = configs[0].test_dataloader if args.predict else configs[0].train_dataloader
    batches = list(itertools.islice(Runner.build_dataloader(loader, seed=0), 8))
    hook = ProbabilityGapHook()
    runner = SimpleNamespace(model=models[0], message_hub=MessageHub("bench"), log_processor=LogProcessor())
    if args.gap:
        hook.before_train(runner)
    after = (lambda: hook.after_train_iter(runner)) if args.gap else None
    with busy.beside(args):
        if args.predict:
            seconds = take_turns([predict(model) for model in models], batches, args.steps)
        else:
            seconds = take_turns(
                [train_step(*both) for both in zip(models, optimizers, strict=True)], batches, args.steps, after
            )
    asl, focal = (1e3 * statistics.median(times) for times in seconds)
    conditions = f"{row['threads']} CPU threads, {row['machine']}, torch {torch.__version__}, {row['allocator']}"
    second = f"with {args.against}" if args.against else args.focal
    print(f"{conditions}, medians of {args.steps} {'predictions' if args.predict else 'steps'}:")
    print(f"  {args.config}: {asl:.1f} ms\n  {second}: {focal:.1f} ms\n  ratio {asl / focal:.3f}")
    if args.csv:
        row.update(config_ms=round(asl, 1), focal_ms=round(focal, 1), config=args.config, focal_config=args.focal)
        append_csv(args.csv, [{**row, "torch": torch.__version__, "date": datetime.date.today().isoformat()}])


def train_step(model: Any, optimizer: Any) -> Callable[[Any], Any]:
    """A training step of a batch."""
    return lambda batch: model.train_step(batch, optimizer)


def predict(model: Any) -> Callable[[Any], Any]:
    """The prediction of a batch."""
    return torch.no_grad()(model.test_step)


def take_turns(
    steps: list[Callable[[Any], Any]], batches: list[Any], count: int, after_first: Callable[[], None] | None = None
) -> list[list[float]]:
    """The seconds of every counted step of both."""
    seconds: list[list[float]] = [[], []]
    for step in range(-4, count):
        for which in (0, 1) if step % 2 else (1, 0):
            batch = copy.deepcopy(batches[step % len(batches)])
            start = time.perf_counter()
            steps[which](batch)
            if after_first and which == 0:
                after_first()
            if step >= 0:
                seconds[which].append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    main()
