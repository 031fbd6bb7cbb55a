"""Predictions for the training images, kept in a file: what is there is not predicted again."""

import hashlib
import json
from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from mmengine.utils import ProgressBar
from torch.utils.data import Subset

from asl_mmdet.audit.labels import Labels
from asl_mmdet.config.tree import find_datasets
from asl_mmdet.errors import UserError
from asl_mmdet.runs.key import Key, differences, digest_of, flattened, versions

_WORKERS = ("num_workers", "persistent_workers", "pin_memory", "prefetch_factor")
_FOR_LABELS = ("ann_file", "filter_cfg", "test_mode")  # the images and ids that they give are compared instead
Prediction = dict[str, Any]  # boxes (N, 4), scores (N,) and labels (N,), or of a classifier scores (C,) alone


class PredictionFile:
    """Predictions, an image a line; a line that a stop left incomplete is dropped.

    Args:
        path: The file; it need not exist.
        source: What the predictions depend on. It is the first line of the file.

    Raises:
        UserError: If the file is of another source; the message says what differs.
    """

    def __init__(self, path: Path, source: dict[str, Any]) -> None:
        self.path = path
        self.predictions: dict[int, Prediction] = {}
        self._first = dict(source=source)
        if not path.exists():
            return
        good = 0
        for number, line in enumerate(path.read_bytes().splitlines(keepends=True)):
            try:
                entry = json.loads(line)
            except ValueError:
                break
            if not line.endswith(b"\n"):
                break
            if number:
                self.predictions[entry.pop("image_id")] = entry
            elif lines := differences(entry.get("source"), source):
                raise UserError(
                    f"{path} has predictions of something else: {'; '.join(lines)}. Remove it, or name another folder "
                    "by --out"
                )
            good += len(line)
        with path.open("r+b") as file:
            file.truncate(good)

    def append(self, predictions: dict[int, Prediction]) -> None:
        """Add predictions, to the file as well."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            if file.tell() == 0:
                file.write(json.dumps(self._first) + "\n")
            for image_id, prediction in predictions.items():
                file.write(json.dumps(dict(image_id=image_id, **prediction)) + "\n")
        self.predictions.update(predictions)


def source_of(cfg: Config, checkpoint: str, labels: Labels, tta: bool) -> Key:
    """What the predictions of a checkpoint depend on: not on the labels, but on the images and on their ids."""
    cfg = deepcopy(cfg)
    test_on_training_images(cfg, labels)
    loader = {key: value for key, value in cfg.test_dataloader.items() if key not in _WORKERS}
    loader["dataset"] = {key: value for key, value in loader["dataset"].items() if key not in _FOR_LABELS}
    parts = dict(model=cfg.model, test_dataloader=loader, default_scope=cfg.get("default_scope"))
    if tta:
        parts |= {key: cfg.get(key) for key in ("tta_model", "tta_pipeline")}
    images = json.dumps([[image.id, image.file_name] for image in labels.images.values()]).encode()
    return {
        "checkpoint": digest_of(checkpoint),
        "list of images": hashlib.sha256(images).hexdigest(),
        "classes": ", ".join(labels.classes),
        "config": flattened(parts),
        "tta": tta,
        "versions": versions(),
    }


def test_on_training_images(cfg: Config, labels: Labels) -> None:
    """Have the config test its model on all training images, those without a label too, by the pipeline of its test."""
    pipelines = [dataset.pipeline for _, dataset in find_datasets(cfg.get("test_dataloader"), "test_dataloader")]
    if not pipelines:
        raise UserError("the config has no test_dataloader, whose pipeline the audit predicts by: write one")
    dataset = deepcopy(labels.dataset)
    dataset.pop("indices", None)
    dataset.update(pipeline=pipelines[0], test_mode=True, filter_cfg=dict(filter_empty_gt=False))
    cfg.test_dataloader.dataset = dataset


def predict(runner: Runner, cfg: Config, file: PredictionFile, wanted: Iterable[int]) -> None:
    """Predict the ``wanted`` images that ``file`` has not; batch by batch they go into the file.

    Args:
        runner: With the model, which gets the weights of ``cfg.load_from``.
        cfg: After :func:`test_on_training_images`.
        file: Where the predictions go.
        wanted: Ids of images.
    """
    left = set(wanted) - file.predictions.keys()
    if not left:
        return
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    dataset.full_init()
    ids = image_ids(dataset)
    places = [i for i, image_id in enumerate(ids) if image_id in left]
    waiting = iter(places)
    loader = Runner.build_dataloader({**cfg.test_dataloader, "dataset": Subset(dataset, places)})
    runner.load_or_resume()
    runner.model.eval()
    bar = ProgressBar(len(places))
    with torch.no_grad():
        for batch in loader:
            samples = [sample.to_dict() for sample in runner.model.test_step(batch)]
            file.append({id_of(sample, ids, next(waiting)): to_record(sample) for sample in samples})
            bar.update(len(samples))
    print()


def image_ids(dataset: Any) -> list[int]:
    """The ids of the images of a data set that is built, in its order."""
    return [int(dataset.get_data_info(i)["img_id"]) for i in range(len(dataset))]


def id_of(sample: dict[str, Any], ids: list[int], place: int) -> int:
    """The id of the image that a data sample is of.

    Args:
        sample: Detectors give ``img_id``, and classifiers ``sample_idx``, the place in the data set.
        ids: Those of the data set, in its order.
        place: The place in the data set of a sample that says neither: its pipeline packs other keys.
    """
    return int(sample["img_id"]) if "img_id" in sample else ids[int(sample.get("sample_idx", place))]


def to_record(sample: dict[str, Any]) -> Prediction:
    """A data sample with a prediction as rounded numbers: boxes in 0.01 pixels, scores in 0.00001."""
    if "pred_score" in sample:
        return dict(scores=_rounded(sample["pred_score"], 5))
    found = sample["pred_instances"]
    return dict(
        boxes=_rounded(found["bboxes"], 2), scores=_rounded(found["scores"], 5), labels=found["labels"].tolist()
    )


def _rounded(values: Any, digits: int) -> list[Any]:
    return np.round(torch.as_tensor(values).double().cpu().numpy(), digits).tolist()
