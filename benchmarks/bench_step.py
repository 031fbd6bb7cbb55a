"""A whole training step with ASL against one with focal loss: python benchmarks/bench_step.py [CONFIG FOCAL_CONFIG].

Both models start from the same weights and take the same batches in turn; the medians and their ratio are printed.
Needs the shapes data: python tools/make_shapes.py data/shapes.
"""

import argparse
import copy
import itertools
import statistics
import time

import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner


def main() -> None:
    """Alternate the two and print."""
    parser = argparse.ArgumentParser(description="Time a training step with ASL against one with focal loss.")
    parser.add_argument("config", nargs="?", default="configs/shapes/atss_r18_asl_shapes.py")
    parser.add_argument("focal", nargs="?", default="configs/shapes/atss_r18_focal_shapes.py")
    parser.add_argument("--steps", type=int, default=60, help="counted steps of each")
    args = parser.parse_args()
    configs = [Config.fromfile(path) for path in (args.config, args.focal)]
    register_all_modules()
    models = [MODELS.build(cfg.model).train() for cfg in configs]
    models[0].init_weights()
    models[1].load_state_dict(models[0].state_dict())
    optimizers = [build_optim_wrapper(model, configs[i].optim_wrapper) for i, model in enumerate(models)]
    batches = list(itertools.islice(Runner.build_dataloader(configs[0].train_dataloader, seed=0), 8))
    seconds: list[list[float]] = [[], []]
    for step in range(-4, args.steps):
        for which in (0, 1) if step % 2 else (1, 0):
            batch = copy.deepcopy(batches[step % len(batches)])
            start = time.perf_counter()
            models[which].train_step(batch, optimizers[which])
            if step >= 0:
                seconds[which].append(time.perf_counter() - start)
    asl, focal = (1e3 * statistics.median(times) for times in seconds)
    print(f"{torch.get_num_threads()} CPU threads, torch {torch.__version__}, medians of {args.steps} steps:")
    print(f"  {args.config}: {asl:.1f} ms\n  {args.focal}: {focal:.1f} ms\n  ratio {asl / focal:.3f}")


if __name__ == "__main__":
    main()
