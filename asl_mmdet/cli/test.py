"""Evaluate a checkpoint: python tools/test.py CONFIG CHECKPOINT [options]. The options are MMDetection's."""

import argparse
import os
from collections.abc import Sequence
from copy import deepcopy

from mmdet.engine.hooks.utils import trigger_visualization_hook
from mmdet.evaluation import DumpDetResults
from mmengine.config import Config, ConfigDict
from mmengine.evaluator import DumpResults
from mmengine.model import BaseTTAModel

from asl_mmdet.checks import preflight
from asl_mmdet.cli.common import (
    add_common_arguments,
    build_runner,
    check_data,
    end_processes,
    load_config,
    stop_on,
)
from asl_mmdet.task import MULTI_LABEL, task_of


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the options, check what can be checked now, and hand over to MMEngine's runner."""
    parser = argparse.ArgumentParser(description="Evaluate a checkpoint on the test set of a config.")
    parser.add_argument("config", help="config file")
    parser.add_argument("checkpoint", help="checkpoint file")
    parser.add_argument("--out", metavar="FILE.pkl", help="dump the predictions")
    parser.add_argument("--dump-only", action="store_true", help="with --out: do not evaluate the predictions")
    parser.add_argument("--show", action="store_true", help="show the predictions in a window")
    parser.add_argument("--show-dir", help="save the images with ground truth and prediction drawn in this folder")
    parser.add_argument("--wait-time", type=float, default=2, help="seconds between images for --show")
    parser.add_argument("--tta", action="store_true", help="test-time augmentation")
    add_common_arguments(parser)
    args = parser.parse_args(argv)

    if args.out and not args.out.endswith((".pkl", ".pickle")):
        parser.error(f"--out {args.out}: the file must end in .pkl or .pickle")
    if args.dump_only and not args.out:
        parser.error("--dump-only: name the file by --out FILE.pkl")
    cfg = load_config(args)
    stop_on(preflight.check_checkpoint(args.checkpoint))
    check_data(cfg, "test")
    cfg.load_from = args.checkpoint
    is_classifier = task_of(cfg) is MULTI_LABEL
    if is_classifier and args.tta and (args.show or args.show_dir):
        parser.error("--tta: mmpretrain draws no pictures with it; leave out --tta, or --show and --show-dir")
    backbone = cfg.model.get("backbone", {})
    if backbone.get("pretrained") is True:  # timm would download weights that the checkpoint then replaces
        backbone.pretrained = False
    if args.show or args.show_dir:
        if args.show_dir:  # MMDetection's hook puts a relative folder below itself again at every batch
            args.show_dir = os.path.abspath(args.show_dir)
        if is_classifier:
            options = dict(enable=True, interval=1, show=args.show, wait_time=args.wait_time, out_dir=args.show_dir)
            cfg.default_hooks.visualization.update(options)
        else:
            cfg = trigger_visualization_hook(cfg, args)
    if args.tta:
        add_test_time_augmentation(cfg)
    runner = build_runner(cfg)
    model = getattr(runner.model, "module", runner.model)  # without DistributedDataParallel
    bare_model = model.module if isinstance(model, BaseTTAModel) else model
    stop_on(preflight.check_checkpoint(args.checkpoint, bare_model))
    if args.out:
        dump = DumpResults if is_classifier else DumpDetResults
        metrics = [] if args.dump_only else runner.test_evaluator.metrics
        runner.test_evaluator.metrics = [*metrics, dump(out_file_path=args.out)]
    runner.test()
    end_processes()


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
        if pack.type == "PackDetInputs":
            pack.meta_keys = keys
        cfg.tta_pipeline[-1] = dict(type="TestTimeAug", transforms=[flips, [pack]])
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
