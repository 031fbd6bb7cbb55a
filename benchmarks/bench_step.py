"""A whole training step with ASL against one with focal loss: python benchmarks/bench_step.py [CONFIG FOCAL_CONFIG].

--threads, --busy and --low-priority say what else the machine does. With --gap, a step under ProbabilityGapHook against
one of the same config without it. Both models start from the same weights and take the same batches in turn; the
medians and their ratio are printed. Needs the shapes data: python tools/make_shapes.py --out data/shapes.
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
from mmengine.config import Config
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
    parser.add_argument("--steps", type=int, default=60, help="counted steps of each")
    parser.add_argument("--keep-memory", action="store_true", help="as tools/train.py has it on a CPU")
    parser.add_argument("--csv", type=Path, help="add a row to this file")
    busy.add_arguments(parser)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.gap and args.csv:
        parser.error("--csv has no column for --gap: leave one of them out")
    row = {"allocator": allocator(args.keep_memory and keep_memory()), **busy.state(args)}
    row["spin"] = os.environ.get("GOMP_SPINCOUNT", "default")
    if args.gap:
        args.focal = args.config
    for path in (args.config, args.focal):
        need_config(path)
    configs = [Config.fromfile(path) for path in (args.config, args.focal)]
    stop_on(check_data(configs[0], ["train"]))
    register_all_modules()
    models = [MODELS.build(cfg.model).train() for cfg in configs]
    models[0].init_weights()
    models[1].load_state_dict(models[0].state_dict())
    optimizers = [build_optim_wrapper(model, configs[i].optim_wrapper) for i, model in enumerate(models)]
    batches = list(itertools.islice(Runner.build_dataloader(configs[0].train_dataloader, seed=0), 8))
    hook = ProbabilityGapHook()
    runner = SimpleNamespace(model=models[0], message_hub=MessageHub("bench"), log_processor=LogProcessor())
    if args.gap:
        hook.before_train(runner)
    with busy.beside(args):
        seconds = take_turns(
            models, optimizers, batches, args.steps, (lambda: hook.after_train_iter(runner)) if args.gap else None
        )
    asl, focal = (1e3 * statistics.median(times) for times in seconds)
    conditions = f"{row['threads']} CPU threads, {row['machine']}, torch {torch.__version__}, {row['allocator']}"
    print(f"{conditions}, medians of {args.steps} steps:")
    print(f"  {args.config}: {asl:.1f} ms\n  {args.focal}: {focal:.1f} ms\n  ratio {asl / focal:.3f}")
    if args.csv:
        row.update(config_ms=round(asl, 1), focal_ms=round(focal, 1), config=args.config, focal_config=args.focal)
        append_csv(args.csv, [{**row, "torch": torch.__version__, "date": datetime.date.today().isoformat()}])


def take_turns(
    models: list[Any], optimizers: list[Any], batches: list[Any], steps: int, after_first: Callable[[], None] | None
) -> list[list[float]]:
    """The seconds of every counted step of both models."""
    seconds: list[list[float]] = [[], []]
    for step in range(-4, steps):
        for which in (0, 1) if step % 2 else (1, 0):
            batch = copy.deepcopy(batches[step % len(batches)])
            start = time.perf_counter()
            models[which].train_step(batch, optimizers[which])
            if after_first and which == 0:
                after_first()
            if step >= 0:
                seconds[which].append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    main()
