"""Detect objects in a folder of images."""

import argparse
from pathlib import Path

from mmengine.config import Config

from asl_mmdet.checks import preflight
from asl_mmdet.checks.finding import EXAMPLES
from asl_mmdet.cli.common import fail, load_config, need, stop_on, tell
from asl_mmdet.coco.format import write_json
from asl_mmdet.deploy.detector import Detector, load_detector
from asl_mmdet.deploy.folder import DOUBT, CocoResult, Failed, Ids, find_images, predict_images
from asl_mmdet.runs.locks import signals_end_the_program


def main(args: argparse.Namespace) -> None:
    """Check what can be checked now, predict, and write."""
    cfg = load_config(args, "model", "test_dataloader")
    names = images_in(args.folder) if args.ids_of is None else []
    model = load(cfg, args)
    ids = Ids(args.ids_of, model.dataset_meta["classes"]) if args.ids_of else None
    names = list(ids.images) if ids else names
    result = CocoResult(model.dataset_meta["classes"], args.score_thr)
    failed, doubted = predict(model, args, names, result)
    if not result.content["images"]:
        shown = "\n".join(map(str, failed))
        fail(f"FOLDER {args.folder}: missing there, or no images. Mend or remove them\n{shown}")
    write_json(args.out, ids.results(result.content) if ids else result.content)
    print(f"{args.out}: {len(result.content['annotations'])} objects in {len(result.content['images'])} images")
    if doubted:
        what = f"warning: of {len(doubted)} images of more than 8 bits the model sees next to nothing"
        tell("\n".join([what, *doubted, "Convert them to 8 bits over the range of their values"]))
    if failed:
        fail("\n".join([f"{len(failed)} of {len(names)} images have no prediction", *map(str, failed)]))


def images_in(folder: Path) -> list[str]:
    """The images of the folder; says what is passed over."""
    found = find_images(folder)
    for names, what in ((found.hidden, "hidden files"), (found.others, "files that are not named as images")):
        if names:
            more = ", ..." if len(names) > EXAMPLES else ""
            tell(f"{len(names)} {what} are passed over: {', '.join(names[:EXAMPLES])}{more}")
    return found.images


def predict(
    model: Detector, args: argparse.Namespace, names: list[str], result: CocoResult
) -> tuple[list[Failed], list[str]]:
    """Add what is found to the result; the images that failed, and in words those of which little is seen.

    If something stops it, what was found so far is written beside OUT.json.
    """
    failed, doubted, number = [], [], 0
    samples = predict_images(model, args.folder, names, batch_size=args.batch_size, num_workers=args.num_workers)
    try:
        with signals_end_the_program():
            for number, (name, sample) in enumerate(zip(names, samples, strict=True), start=1):
                if isinstance(sample, Failed):
                    failed.append(sample)
                    continue
                result.add(number, name, sample)
                if doubt := sample.get(DOUBT):
                    doubted.append(f"{name}: {doubt}")
    except BaseException:  # a signal too
        if result.content["images"]:
            partial = args.out.with_name(f"{args.out.stem}.stopped.json")
            write_json(partial, result.content)
            tell(f"\nstopped after {number} of {len(names)} images; what was found in them is in {partial}")
        raise
    return failed, doubted


def load(cfg: Config, args: argparse.Namespace) -> Detector:
    """The detector, of either kind of file."""
    if args.checkpoint.endswith(".onnx"):
        need("onnxruntime")
        from asl_mmdet.deploy.runtime import load_onnx

        return load_onnx(cfg, args.checkpoint, thresholds=args.thresholds)
    stop_on(preflight.check_checkpoint(args.checkpoint))
    return load_detector(cfg, args.checkpoint, device=args.device, thresholds=args.thresholds)
