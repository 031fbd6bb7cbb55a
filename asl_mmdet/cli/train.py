"""Train the model of a config."""

import argparse
from collections.abc import Sequence

from mmengine.config import Config
from mmengine.device import get_device

from asl_mmdet.checks import check_config, check_datasets, preflight
from asl_mmdet.checks.loaders import check_loader
from asl_mmdet.checks.start_weights import check_packaged_weights, check_weights
from asl_mmdet.cli.common import (
    build_runner,
    end_processes,
    fail,
    is_first_process,
    load_config,
    need_whole_parts,
    prepare_start,
    say_findings,
    stop_on,
    tell,
    user_errors_end_the_program,
)
from asl_mmdet.config.tree import add_hooks, type_name
from asl_mmdet.runs.pictures import plain_text


def main(args: argparse.Namespace) -> None:
    """Parse the options, check what can be checked now, and hand over to MMEngine's runner."""
    cfg = load_config(args, "model", "train_dataloader", "train_cfg", "optim_wrapper")
    need_whole_parts(cfg)
    if args.amp:
        cfg.optim_wrapper.type = "AmpOptimWrapper"
        cfg.optim_wrapper.loss_scale = "dynamic"
    if type_name(cfg.get("optim_wrapper", {}).get("type")) == "AmpOptimWrapper" and get_device() == "cpu":
        tell("mixed precision on a CPU: bfloat16 (MMEngine's AmpOptimWrapper needs an accelerator)")
        cfg.optim_wrapper.type = "BFloat16OptimWrapper"
        for key in ("loss_scale", "dtype", "use_fsdp"):
            cfg.optim_wrapper.pop(key, None)
    if args.auto_scale_lr:
        if "base_batch_size" not in cfg.get("auto_scale_lr", {}):
            fail(
                "--auto-scale-lr: the config must say auto_scale_lr=dict(base_batch_size=...), the batch size of its lr"
            )
        cfg.auto_scale_lr.enable = True
    prepare_start(cfg, args.resume, args.ignore)
    stop_on([*preflight.check_labels(cfg), *check_packaged_weights(cfg)], args.ignore)
    stop_on(preflight.check_data(cfg, ("train", "val")), args.ignore)
    if not args.skip_checks and is_first_process():
        check(cfg, args.ignore)
    add_hooks(cfg, "NonFiniteLossHook")
    if cfg.get("resume"):
        add_hooks(cfg, "EvaluateOnResumeHook", "ResumedSettingsHook")
    stop_on([*preflight.check_work_dir(cfg.work_dir), *preflight.check_rerun(cfg)], args.ignore)
    runner = build_runner(cfg)
    stop_on(preflight.check_space(cfg.work_dir, runner.model), args.ignore)
    if cfg.get("load_from") and not cfg.get("resume"):
        stop_on(check_weights(cfg.load_from, getattr(runner.model, "module", runner.model)), args.ignore)
    stop_on(check_loader("train_dataloader", runner.train_dataloader), args.ignore)
    with plain_text(), user_errors_end_the_program():  # a visualization hook may draw
        runner.train()
    del runner
    end_processes()


def check(cfg: Config, ignored: Sequence[str]) -> None:
    """Say what is wrong with the config and the annotations; end if training would fail or learn nothing useful."""
    found = dict(check_datasets(cfg, ("train", "val"), read_images=False), config=check_config(cfg))
    place = f"see above, and tools/check_dataset.py {cfg.filename}"
    say_findings(found, ignored, f"training would fail or learn nothing useful; {place}")
