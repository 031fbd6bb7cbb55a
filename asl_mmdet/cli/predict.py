"""Detect objects in a folder of images: python tools/predict.py CONFIG CHECKPOINT FOLDER OUT.json."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from asl_mmdet.checks import preflight
from asl_mmdet.cli.common import add_cfg_options_argument, fail, load_config, need, need_new_file, stop_on
from asl_mmdet.deploy.detector import Detector, load_detector
from asl_mmdet.deploy.folder import Ids, check_images, find_images, predict_images, to_coco
from asl_mmdet.errors import UserError


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(description="Detect objects in a folder of images; write COCO's JSON.")
    command.add_argument("config", help="config file of a detector")
    command.add_argument("checkpoint", help="checkpoint file, or an .onnx file of tools/export_onnx.py")
    command.add_argument("folder", type=Path, help="folder of images; those in folders below it count")
    command.add_argument("out", type=Path, metavar="OUT.json", help="images, categories and annotations with scores")
    command.add_argument("--thresholds", metavar="FILE.json", help="of tools/tune_thresholds.py; cuts predictions")
    command.add_argument("--score-thr", type=float, default=0.0, help="leave out lower scores")
    command.add_argument(
        "--ids-of",
        type=Path,
        metavar="FILE.json",
        help="the images and ids of this annotation file; OUT.json is the list of results that pycocotools takes",
    )
    command.add_argument("--batch-size", type=int, default=8, help="images at a time")
    command.add_argument("--num-workers", type=int, default=2, help="processes that load images; 0 is this one")
    command.add_argument("--device", help="cpu, cuda, cuda:1, ...; by default the accelerator if there is one")
    command.add_argument("--force", action="store_true", help="overwrite OUT.json")
    add_cfg_options_argument(command)
    command.set_defaults(launcher="none", local_rank=0, work_dir=None)
    return command


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    command = parser()
    args = command.parse_args(argv)
    need_new_file(command, args.out, ".json", args.force)
    if not 0 <= args.score_thr <= 1:
        command.error(f"--score-thr {args.score_thr:g}: use a number in [0, 1]")
    if args.batch_size < 1 or args.num_workers < 0:
        command.error("--batch-size, --num-workers: use whole numbers from 1 and from 0")
    return args


def main(argv: Sequence[str] | None = None) -> None:
    """Check what can be checked now, predict, and write."""
    args = parse(argv)
    cfg = load_config(args)
    try:
        names = find_images(args.folder) if args.ids_of is None else []
        model = load(cfg, args)
        classes = model.dataset_meta["classes"]
        ids = Ids(args.ids_of, classes) if args.ids_of else None
        if ids:
            names = list(ids.images)
            check_images(args.folder, names)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        found = predict_images(model, args.folder, names, batch_size=args.batch_size, num_workers=args.num_workers)
        coco = to_coco(found, names, classes, args.score_thr)
    except (UserError, OSError) as error:
        fail(str(error))
    partial = args.out.with_name(f"{args.out.name}.partial")
    partial.write_text(json.dumps(ids.results(coco) if ids else coco))
    partial.replace(args.out)
    print(f"{args.out}: {len(coco['annotations'])} objects in {len(coco['images'])} images")


def load(cfg: Config, args: argparse.Namespace) -> Detector:
    """The detector, of either kind of file."""
    if args.checkpoint.endswith(".onnx"):
        need("onnxruntime")
        from asl_mmdet.deploy.runtime import load_onnx

        return load_onnx(cfg, args.checkpoint, thresholds=args.thresholds)
    stop_on(preflight.check_checkpoint(args.checkpoint))
    return load_detector(cfg, args.checkpoint, device=args.device, thresholds=args.thresholds)
