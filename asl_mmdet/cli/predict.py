"""Detect objects in a folder of images."""

import argparse
import json

from mmengine.config import Config

from asl_mmdet.checks import preflight
from asl_mmdet.cli.common import fail, load_config, need, stop_on
from asl_mmdet.deploy.detector import Detector, load_detector
from asl_mmdet.deploy.folder import Ids, check_images, find_images, predict_images, to_coco


def main(args: argparse.Namespace) -> None:
    """Check what can be checked now, predict, and write."""
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
    except (ValueError, OSError) as error:
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
