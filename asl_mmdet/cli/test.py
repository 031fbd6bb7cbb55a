"""Evaluate a checkpoint."""

import argparse
import functools
import os
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

from mmdet.engine.hooks.utils import trigger_visualization_hook
from mmdet.evaluation import DumpDetResults
from mmengine.config import Config, ConfigDict
from mmengine.evaluator import DumpResults
from mmengine.model import BaseTTAModel
from mmengine.runner import Runner

from asl_mmdet.checks import preflight
from asl_mmdet.cli.common import (
    build_runner,
    check_data,
    check_test_set,
    end_processes,
    fail,
    load_config,
    stop_on,
    tell,
)
from asl_mmdet.config_tree import find_blocks, type_name
from asl_mmdet.errors import UserError
from asl_mmdet.task import DETECTION, MULTI_LABEL, build_dataset, task_of
from asl_mmdet.thresholds import ThresholdFile
from asl_mmdet.thresholds.model import wrap_model
from asl_mmdet.visualization import plain_text


def main(args: argparse.Namespace) -> None:
    """Parse the options, check what can be checked now, and hand over to MMEngine's runner."""
    cfg = load_config(args, "model", "test_dataloader", "test_evaluator", "test_cfg")
    stop_on(preflight.check_checkpoint(args.checkpoint))
    check_data(cfg, "test")
    if not args.skip_checks and not args.dump_only and _is_evaluated(cfg):
        check_test_set(cfg, args.ignore)
    if args.thresholds:
        use_thresholds(cfg, args.thresholds)
    if args.show or args.show_dir:
        cfg = _with_pictures(cfg, args)
    backbone = cfg.model.get("backbone", {})
    if args.tta:
        add_test_time_augmentation(cfg)
    runner = runner_of(cfg, args.checkpoint, backbone)
    if args.show_dir:
        keep_folders(runner)
    if args.out:
        metrics = [] if args.dump_only else runner.test_evaluator.metrics
        runner.test_evaluator.metrics = [*metrics, dump_to(args.out, cfg)]
    with plain_text():
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


def runner_of(cfg: Config, checkpoint: str, backbone: ConfigDict | None = None) -> Runner:
    """The runner that tests a checkpoint, or an error if the checkpoint is of another model.

    Args:
        cfg: The config.
        checkpoint: The file.
        backbone: The model's block of that name, where the model is wrapped.
    """
    keep_config_of_training(cfg)
    cfg.load_from = checkpoint
    backbone = cfg.model.get("backbone", {}) if backbone is None else backbone
    if backbone.get("pretrained") is True:  # timm would download weights that the checkpoint then replaces
        backbone.pretrained = False
    runner = build_runner(cfg)
    model = getattr(runner.model, "module", runner.model)  # without DistributedDataParallel
    stop_on(preflight.check_checkpoint(checkpoint, model.module if isinstance(model, BaseTTAModel) else model))
    return runner


def keep_config_of_training(cfg: Config) -> None:
    """Have the runner write its config as ``<name>_test.py``: in the folder of the run it would replace the run's."""
    path = Path(cfg.filename or "config.py")
    object.__setattr__(cfg, "_filename", str(path.with_name(f"{path.stem}_test{path.suffix}")))


def dump_to(path: str | Path, cfg: Config) -> DumpResults:
    """The metric that writes the predictions of the config's task."""
    return (DumpResults if task_of(cfg) is MULTI_LABEL else DumpDetResults)(out_file_path=str(path))


def use_thresholds(cfg: Config, path: str) -> None:
    """Have the model cut its predictions by a thresholds file that is for the classes of the test set."""
    if type_name(cfg.model.type) == "WithThresholds":
        fail(f"--thresholds {path}: the config has model.thresholds={cfg.model.thresholds!r} already; leave one out")
    classes = build_dataset(cfg, cfg.test_dataloader.dataset).metainfo["classes"]
    try:
        content = ThresholdFile.read(path)
        if content.task != task_of(cfg).name:
            raise UserError(f"task={content.task!r}: the config is for {task_of(cfg).name}")
        content.check_classes(classes, "the test set")
    except UserError as error:
        fail(f"--thresholds {path}: {error}")
    wrap_model(cfg.model, path)
    if content.task == DETECTION.name:
        tell("--thresholds: AP needs the detections below the thresholds too, so it is lower than without them")


def add_test_time_augmentation(cfg: Config) -> None:
    """The config's own ``tta_model`` and ``tta_pipeline``, or the libraries' defaults: both ways round, merged."""
    if "tta_model" not in cfg and task_of(cfg) is MULTI_LABEL:
        cfg.tta_model = dict(type="AverageClsScoreTTA")
    elif "tta_model" not in cfg:
        nms = dict(nms=dict(type="nms", iou_threshold=0.5), max_per_img=100)
        cfg.tta_model = dict(type="DetTTAModel", tta_cfg=nms)
    if "tta_pipeline" not in cfg:
        dataset = cfg.test_dataloader.dataset
        while "dataset" in dataset:
            dataset = dataset.dataset
        keys = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "flip", "flip_direction")
        flips = [dict(type="RandomFlip", prob=1.0), dict(type="RandomFlip", prob=0.0)]
        cfg.tta_pipeline = deepcopy(dataset.pipeline)
        pack = cfg.tta_pipeline[-1]
        if type_name(pack.type) == "PackDetInputs":
            pack.meta_keys = keys
        cfg.tta_pipeline[-1] = dict(type="TestTimeAug", transforms=[flips, [pack]])
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
