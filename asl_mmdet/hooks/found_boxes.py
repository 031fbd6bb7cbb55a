"""Boxes that a detector finds in its training images, ignored for the rest of the training."""

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import torch
from mmengine.dataset import BaseDataset, Compose, DefaultSampler, pseudo_collate
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from asl_mmdet.audit.findings import Limits, find_in_boxes
from asl_mmdet.coco.known_categories import COMPLETE, META_KEY
from asl_mmdet.config.tree import find_datasets
from asl_mmdet.hooks._common import unwrapped_model
from asl_mmdet.hooks._predict import boxes_of, number_of_boxes, parts_of_training, predicting
from asl_mmdet.losses.missing_rate import AUTO, MissingRateLoss

KEY = "found_boxes"  # in the message hub, and so in checkpoints
_IS_FOUND = "is_found"  # of an instance of a data set's record, that this hook put there
_LIMITS = Limits()
_Rows = list[tuple[float, ...]]  # place of the image in the data set, x1, y1, x2, y2, class index, score


@HOOKS.register_module()
class FoundBoxesHook(Hook):
    """Find boxes that the training images lack, within the training, and ignore them from then on.

    Before some epochs the detector predicts the training images, by the pipeline of the validation. Of what
    ``tools/audit_labels.py`` would call a missing box, the best ones become ignored boxes of the training set in
    memory. :class:`~asl_mmdet.hooks.IgnoredBoxesHook`, which comes along, leaves out of the loss what they would own.
    So it is the second training with ``--as-ignore`` within the first. Each time replaces what was found before. An
    image takes a forward pass.

    Where n boxes are annotated and a share r of the objects has none, ``margin`` r / (1 - r) n boxes are found. No
    score has to be chosen: scores depend on the loss, and fall while a detector learns what its training images lack.
    It is more than are missing, since some of the best ones are no objects.

    With ``missing_rate='auto'`` the share is estimated on the validation images, which must lack boxes as the training
    images do, by :class:`~asl_mmdet.hooks.MissingShareHook`, which the ``Runner`` gets by itself too. Where nothing is
    missing, and until an estimate can be trusted, nothing is looked for.

    Images that are known to be complete are left alone, and so are classes that an image was not labelled for
    (:class:`~asl_mmdet.known_classes.KnownClassesCoco`). Checkpoints have the boxes: ``--resume`` continues with them.
    All processes have the same.

    Args:
        missing_rate: r, the share of all objects that has no box, in (0, 1), or 'auto'.
        at: When to look, as parts of the training in (0, 1): before the first epoch that begins there or later.
        margin: How many boxes to find for each that is missing.

    Raises:
        ValueError: If an argument is out of range; when training starts, if the head computes its targets in a way that
            is not known (:class:`~asl_mmdet.hooks.IgnoredBoxesHook`), with ``MissingRateLoss``, which ignores as much
            by itself, if the training does not go by epochs, if a data set does not keep its boxes in memory as
            MMDetection's do, or if the config has no validation pipeline.
    """

    def __init__(
        self, missing_rate: float | str = AUTO, at: Sequence[float] = (0.25, 0.5, 0.75), margin: float = 1.5
    ) -> None:
        if missing_rate != AUTO and (isinstance(missing_rate, str) or not 0 < missing_rate < 1):
            raise ValueError(f"FoundBoxesHook got missing_rate={missing_rate!r}: use a number in (0, 1), or 'auto'")
        self.at = parts_of_training(self, at)
        if margin <= 0:
            raise ValueError(f"FoundBoxesHook got margin={margin}: use a number above 0")
        self.margin = margin
        self.is_auto = missing_rate == AUTO
        self.missing_rate = 0.0 if self.is_auto else float(missing_rate)

    def tell(self, share: float) -> None:
        """With ``missing_rate='auto'``: the share from now on, in [0, 1)."""
        self.missing_rate = share

    def before_train(self, runner: Runner) -> None:
        """Look whether it can be done, and ignore what was found before a resume."""
        loop = runner.train_loop
        if not isinstance(loop, EpochBasedTrainLoop):
            raise ValueError(
                f"FoundBoxesHook looks for boxes between epochs, and {type(loop).__name__} has none: use "
                "EpochBasedTrainLoop"
            )
        if any(isinstance(one, MissingRateLoss) for one in unwrapped_model(runner).modules()):
            raise ValueError(
                "FoundBoxesHook ignores what is missing, and so does MissingRateLoss: together they would ignore it "
                "twice. Use another loss, such as AsymmetricLoss, or drop the hook"
            )
        self._epochs = {math.ceil(part * loop.max_epochs) for part in self.at} - {loop.max_epochs}
        if not self._epochs:
            runner.logger.warning(f"FoundBoxesHook does nothing in a training of {loop.max_epochs} epochs")
        self._datasets = list(_single_datasets(runner.train_dataloader.dataset))
        self._pipeline = Compose(_test_pipeline(runner))
        self._places = [
            [i for i in range(len(one)) if not one.get_data_info(i).get(COMPLETE)] for one in self._datasets
        ]
        self._annotated = sum(number_of_boxes(one.get_data_info(i)) for one, some in self._pairs() for i in some)
        found = runner.message_hub.runtime_info.get(KEY)
        if found is not None:
            self._check(found["images"])
            self._ignore(runner, found["boxes"])

    def before_train_epoch(self, runner: Runner) -> None:
        """Find and ignore boxes, if it is time."""
        before = runner.message_hub.runtime_info.get(KEY) or {}
        if runner.epoch not in self._epochs or before.get("epoch") == runner.epoch:
            return
        boxes = self._find(runner)
        found = dict(epoch=runner.epoch, images=[len(dataset) for dataset in self._datasets], boxes=boxes)
        runner.message_hub.update_info(KEY, found)
        self._ignore(runner, boxes)
        text = "no box is looked for: the share of objects without a box is 0"
        if number := sum(map(len, boxes)):
            images = sum(len(rows[:, 0].unique()) for rows in boxes)
            lowest = float(torch.cat(boxes)[:, -1].min())
            text = f"found {number} missing boxes in {images} of {sum(found['images'])} training images, with scores "
            text += f"from {lowest:.2f} on: ignored from now on"
        runner.logger.info(text)

    def _find(self, runner: Runner) -> list[Tensor]:
        """What each data set lacks, the same in all processes: (N, 7), see ``_Rows``."""
        if not self.missing_rate:
            return [torch.zeros(0, 7)] * len(self._datasets)
        found = [self._of_all_processes(runner, *pair) for pair in self._pairs()]
        scores = torch.cat(found)[:, -1].sort(descending=True).values
        number = min(round(self.margin * self._annotated * self.missing_rate / (1 - self.missing_rate)), len(scores))
        lowest = scores[number - 1] if number else math.inf
        return [rows[rows[:, -1] >= lowest] for rows in found]

    def _pairs(self) -> Iterator[tuple[BaseDataset, list[int]]]:
        """The data sets, each with the places of its images that may lack boxes."""
        return zip(self._datasets, self._places, strict=True)

    def _of_all_processes(self, runner: Runner, dataset: BaseDataset, places: list[int]) -> Tensor:
        found: dict[int, _Rows] = {}
        for part in all_gather_object(self._of_this_process(runner, dataset, places) if places else {}):
            found.update(part)
        rows = [row for place in sorted(found) for row in found[place]]
        return torch.tensor(rows, dtype=torch.float64).reshape(-1, 7)

    def _of_this_process(self, runner: Runner, dataset: BaseDataset, places: list[int]) -> dict[int, _Rows]:
        images = Subset(_AsTested(dataset, self._pipeline), places)
        sampler, loader = DefaultSampler(images, shuffle=False), runner.train_dataloader
        options = dict(batch_size=loader.batch_size, num_workers=loader.num_workers, collate_fn=pseudo_collate)
        batches = DataLoader(images, sampler=sampler, **options)
        model: Any = unwrapped_model(runner)
        with predicting(model, _LIMITS.min_score):
            samples = chain.from_iterable(map(model.val_step, batches))
            predicted = zip((places[k] for k in sampler), samples, strict=True)
            return {k: self._missing(sample, dataset.get_data_info(k), k) for k, sample in predicted}

    def _missing(self, sample: Any, info: dict[str, Any], place: int) -> _Rows:
        detections, given, ignored = boxes_of(sample, {**info, "instances": _own(info)})
        findings = find_in_boxes(detections, given, _LIMITS, ignored, info.get(META_KEY))
        missing = [one for one in findings if one.kind == "missing" and not one.alternative]
        return [(place, *one.box, one.label, one.score) for one in missing if one.box is not None]

    def _ignore(self, runner: Runner, boxes: list[Tensor]) -> None:
        """Have the records of the data sets hold these boxes, and the workers of the next epoch these records."""
        for dataset, rows in zip(self._datasets, boxes, strict=True):
            _set_ignored(dataset, rows)
        if getattr(runner.train_dataloader, "persistent_workers", False):  # they have copies of the records
            runner.train_dataloader._iterator = None

    def _check(self, images: list[int]) -> None:
        there = [len(dataset) for dataset in self._datasets]
        if images != there:
            raise ValueError(
                f"FoundBoxesHook resumes with boxes that it found in {images} images, and the training set has "
                f"{there}: resume with the same images, or start a training of its own"
            )


class _AsTested(Dataset[Any]):
    """The images of a data set by the pipeline of a test."""

    def __init__(self, dataset: BaseDataset, pipeline: Compose) -> None:
        self.dataset, self.pipeline = dataset, pipeline

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, place: int) -> Any:
        return self.pipeline(self.dataset.get_data_info(place))


def _own(info: dict[str, Any]) -> list[dict[str, Any]]:
    """The instances of a record but for those that this hook put there."""
    return [instance for instance in info["instances"] if not instance.get(_IS_FOUND)]


def _set_ignored(dataset: BaseDataset, rows: Tensor) -> None:
    """Have the records of a data set hold these boxes as ignored ones, instead of those that it held before."""
    by_place: dict[int, list[dict[str, Any]]] = {}
    for place, x1, y1, x2, y2, label, _ in rows.tolist():
        box = dict(bbox=[x1, y1, x2, y2], bbox_label=int(label), mask=[], ignore_flag=1)
        by_place.setdefault(int(place), []).append({**box, _IS_FOUND: True})
    records = [dataset.get_data_info(i) for i in range(len(dataset))]
    dataset.data_list = [{**one, "instances": [*_own(one), *by_place.get(i, ())]} for i, one in enumerate(records)]
    if dataset.serialize_data:
        dataset.data_bytes, dataset.data_address = dataset._serialize_data()


def _single_datasets(node: Any) -> Iterator[BaseDataset]:
    """The data sets inside of wrappers."""
    if hasattr(node, "datasets"):
        for one in node.datasets:
            yield from _single_datasets(one)
    elif isinstance(node, BaseDataset):
        node.full_init()
        if not len(node) or "instances" not in node.get_data_info(0):
            raise ValueError(f"FoundBoxesHook: {type(node).__name__} has no image with instances: use CocoDataset")
        yield node
    elif hasattr(node, "dataset"):
        yield from _single_datasets(node.dataset)
    else:
        raise ValueError(
            f"FoundBoxesHook cannot put boxes into {type(node).__name__}: use a data set that derives from MMEngine's "
            "BaseDataset, such as CocoDataset"
        )


def _test_pipeline(runner: Runner) -> Any:
    for key in ("val_dataloader", "test_dataloader"):
        for _, dataset in find_datasets(runner.cfg.get(key), key):
            if dataset.get("pipeline"):
                return dataset.pipeline
    raise ValueError(
        "FoundBoxesHook predicts the training images by the pipeline of val_dataloader, and the config has none: write "
        "a val_dataloader"
    )
