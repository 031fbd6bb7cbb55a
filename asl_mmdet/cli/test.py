"""Evaluate a checkpoint."""

import argparse
import functools
import os
from collections.abc import Callable
from typing import Any

from mmdet.engine.hooks.utils import trigger_visualization_hook
from mmengine.config import Config
from mmengine.runner import Runner

from asl_mmdet.checks import check_datasets, preflight
from asl_mmdet.checks.start_weights import check_classes
from asl_mmdet.cli.common import (
    check_data,
    end_processes,
    fail,
    is_first_process,
    load_config,
    say_findings,
    stop_on,
    user_errors_end_the_program,
)
from asl_mmdet.cli.inference import dump_to, runner_of, use_thresholds
from asl_mmdet.config.task import MULTI_LABEL, task_of
from asl_mmdet.config.tree import find_blocks
from asl_mmdet.runs.pictures import plain_text


def main(args: argparse.Namespace) -> None:
    """Parse the options, check what can be checked now, and hand over to MMEngine's runner."""
    cfg = load_config(args, "model", "test_dataloader", "test_evaluator", "test_cfg")
    stop_on(preflight.check_checkpoint(args.checkpoint))
    stop_on(check_classes(args.checkpoint, cfg, "test"), args.ignore)
    check_data(cfg, "test")
    if not args.skip_checks and not args.dump_only and is_first_process() and _is_evaluated(cfg):
        found = check_datasets(cfg, ("test",), read_images=False)
        say_findings(found, args.ignore, "the evaluation would fail or give wrong numbers; see above")
    if args.thresholds:
        use_thresholds(cfg, args.thresholds)
    if args.show or args.show_dir:
        cfg = _with_pictures(cfg, args)
    runner = runner_of(cfg, args.checkpoint, args.tta)
    if args.show_dir:
        keep_folders(runner)
    if args.out:
        metrics = [] if args.dump_only else runner.test_evaluator.metrics
        runner.test_evaluator.metrics = [*metrics, dump_to(args.out, cfg)]
    with plain_text(), user_errors_end_the_program():
        runner.test()
    del runner
    end_processes()


def _with_pictures(cfg: Config, args: argparse.Namespace) -> Config:
    """The config with the hook of its task that draws."""
    is_classifier = task_of(cfg) is MULTI_LABEL
    if is_classifier and args.tta:
        fail("--tta: mmpretrain draws no pictures with it; leave out --tta, or --show and --show-dir")
    if args.show_dir:  # MMDetection's hook puts a relative folder below itself again at every batch
        args.show_dir = os.path.abspath(args.show_dir)
    if is_classifier:
        options = dict(enable=True, interval=1, show=args.show, wait_time=args.wait_time, out_dir=args.show_dir)
        cfg.default_hooks.visualization.update(options)
        return cfg
    cfg = trigger_visualization_hook(cfg, args)
    if args.thresholds:  # they decide what is drawn
        cfg.default_hooks.visualization.score_thr = 0.0
    return cfg


def keep_folders(runner: Runner) -> None:
    """Have pictures lie in folders as their images do: those of images with one name would overwrite each other."""
    dataset = runner.test_dataloader.dataset
    paths = [dataset.get_data_info(i).get("img_path") for i in range(len(dataset))]
    folders = {os.path.dirname(os.path.abspath(path)) for path in paths if path}
    if len({os.path.splitdrive(folder)[0] for folder in folders}) != 1:  # none, or several drives of Windows
        return
    top = os.path.commonpath(folders)

    def below(draw: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(draw)
        def draw_below(*args: Any, data_sample: Any, out_file: str | None = None, **kwargs: Any) -> Any:
            if out_file and "img_path" in data_sample:
                folder, name = os.path.split(out_file)
                inner = os.path.relpath(os.path.dirname(os.path.abspath(data_sample.img_path)), top)
                out_file = os.path.join(folder, inner, name)
                os.makedirs(os.path.dirname(out_file), exist_ok=True)
            return draw(*args, data_sample=data_sample, out_file=out_file, **kwargs)

        return draw_below

    for name in ("add_datasample", "visualize_cls"):  # as MMDetection's and mmpretrain's hooks call it
        if hasattr(runner.visualizer, name):
            setattr(runner.visualizer, name, below(getattr(runner.visualizer, name)))


def _is_evaluated(cfg: Config) -> bool:
    """Whether an evaluator compares the predictions with something, rather than write them down."""
    blocks = [block for _, block in find_blocks(cfg, "test_evaluator")]
    return not blocks or not all(block.get("format_only") for block in blocks)
