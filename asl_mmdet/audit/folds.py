"""Models of parts of the training images, so that no image is judged by one that learned what its labels lack.

The trainings go through the benchmark's runner: a stopped one continues, and a finished one is kept.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from mmengine import load
from mmengine.config import Config

from asl_mmdet.audit.labels import Labels
from asl_mmdet.audit.predict import Prediction, id_of, image_ids, test_on_training_images, to_record
from asl_mmdet.coco.format import LISTS, of_images, write_json
from asl_mmdet.config.task import build_dataset
from asl_mmdet.config.tree import find_blocks, find_datasets
from asl_mmdet.errors import UserError
from asl_mmdet.runs.jobs import Job, run_jobs
from asl_mmdet.runs.key import Key, key_of


def split(classes: Mapping[int, set[int]], folds: int, seed: int = 0) -> list[list[int]]:
    """Deal images into parts of equal size, the images of each class as evenly as one deal can.

    The images are dealt in turn, in the order of their rarest class, and in random order among those of one.

    Args:
        classes: The classes that each image has labels of, by its id.
        folds: The number of parts, from 2 to the number of images.
        seed: Of the random order, >= 0; nothing depends on the order of ``classes``.

    Returns:
        The ids of each part, sorted.

    Raises:
        UserError: If there are fewer images than parts, or less than 2 parts.

    Example:
        >>> split({1: {0}, 2: {0}, 3: {1}, 4: {1}, 5: set(), 6: set()}, 2)
        [[2, 4, 5], [1, 3, 6]]
    """
    if not 2 <= folds <= len(classes):
        raise UserError(f"folds={folds}: use a whole number from 2 to the number of images, {len(classes)}")
    number = Counter(label for labels in classes.values() for label in labels)
    draws = dict(zip(sorted(classes), np.random.default_rng(seed).random(len(classes)).tolist(), strict=True))

    def place(image: int) -> tuple[tuple[int, int], float]:
        rarest = min(((number[label], label) for label in classes[image]), default=(len(classes) + 1, 0))
        return rarest, draws[image]

    dealt = sorted(classes, key=place)
    return [sorted(dealt[first::folds]) for first in range(folds)]


class Folds:
    """The parts of a training set, and what is trained and predicted for each.

    Args:
        cfg: The config.
        labels: Its training annotations.
        number: Of parts, K. Each is predicted by a model that is trained on the K - 1 others.
        folder: Where the parts and the models go.
        tta: Predict with test-time augmentation.

    Raises:
        UserError: As :func:`split`.
    """

    def __init__(self, cfg: Config, labels: Labels, number: int, folder: Path, tta: bool) -> None:
        self.cfg, self.labels, self.folder, self.tta = cfg, labels, folder, tta
        self.classes = {
            image.id: {labels.index[a["category_id"]] for a in image.annotations if a["category_id"] in labels.index}
            for image in labels.images.values()
        }
        self.parts = split(self.classes, number)

    def source(self) -> Key:
        """What the predictions depend on: the parts, the labels, and all that a training depends on."""
        return key_of(self.cfg, folds=len(self.parts), tta=self.tta)

    def classes_absent_from_training(self) -> Iterator[str]:
        """The classes that a fold's model does not learn, since all of their images are in its part."""
        for label, name in enumerate(self.labels.classes):
            having = {image for image, labels in self.classes.items() if label in labels}
            if any(having and having <= set(part) for part in self.parts):
                yield name

    def run(self, at_a_time: int) -> list[str]:
        """Train and predict what is not finished, and return what failed.

        Raises:
            BlockingIOError: If another audit holds the folder.
        """
        jobs = [self._job(k) for k in range(len(self.parts))]
        return run_jobs(jobs, self.folder, at_a_time, [sys.executable], [])

    def predictions(self) -> dict[int, Prediction]:
        """Those of the finished folds, by image."""
        found: dict[int, Prediction] = {}
        for k in range(len(self.parts)):
            job = self._job(k)
            if job.is_finished(self.folder):
                cfg = Config.fromfile(job.folder(self.folder) / "config.py")
                ids = image_ids(build_dataset(cfg, cfg.test_dataloader.dataset))
                samples = load(job.folder(self.folder) / "predictions.pkl")
                found |= {id_of(sample, ids, place): to_record(sample) for place, sample in enumerate(samples)}
        return found

    def _job(self, k: int) -> Job:
        def collect(cfg: Config, work_dir: Path, predictions: Path) -> dict[str, Any]:
            if len(load(predictions)) != len(self.parts[k]):
                raise UserError(f"{predictions} has {len(load(predictions))} of {len(self.parts[k])} images")
            return dict(fold=k + 1, images=len(self.parts[k]))

        return Job(
            f"fold{k + 1}",
            partial(self.config_of, k),
            collect,
            lambda result: f"{result['images']} images predicted",
            ("--tta",) if self.tta else (),
        )

    def config_of(self, k: int) -> Config:
        """The config of a fold; its two annotation files are written. It does not validate: its test is what counts."""
        part = set(self.parts[k])
        folder = self.folder.resolve() / f"fold{k + 1}"
        rest_file, part_file = folder / "train.json", folder / "part.json"
        write_json(rest_file, _only(self.labels.content, self.labels.images.keys() - part))
        write_json(part_file, _only(self.labels.content, part))
        cfg = deepcopy(self.cfg)
        test_on_training_images(cfg, self.labels)
        for key, path in (("train_dataloader", rest_file), ("test_dataloader", part_file)):
            for _, dataset in find_datasets(cfg[key], key):
                dataset.ann_file = str(path)
        for _, evaluator in find_blocks(cfg, "test_evaluator"):
            if "ann_file" in evaluator:
                evaluator.ann_file = str(part_file)
        cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
        cfg.merge_from_dict({"default_hooks.checkpoint.max_keep_ckpts": 2})
        return cfg


def _only(coco: dict[str, Any], images: set[int]) -> dict[str, Any]:
    """The same for some of its images, without what audits and other tools noted of the whole."""
    return of_images({key: coco[key] for key in ("info", "licenses", *LISTS) if key in coco}, images)
