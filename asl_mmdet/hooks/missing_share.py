"""The share of missing boxes, estimated while a detector trains, for the loss that needs it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_world_size
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn

from asl_mmdet.audit.findings import Boxes
from asl_mmdet.audit.missing_share import Places, join, missing_share, places_of
from asl_mmdet.hooks._common import unwrapped_model
from asl_mmdet.losses.missing_rate import MissingRateLoss
from asl_mmdet.thresholds.model import lower_score_thr

KEY = "missing_rate"  # in the message hub, and so in checkpoints
HIGHEST = 0.95  # of what a loss is told


@HOOKS.register_module()
class MissingShareHook(Hook):
    """Tell :class:`~asl_mmdet.losses.MissingRateLoss` what share of the objects has no box.

    A few times in a training it predicts validation images, which must lack boxes as the training images do, and
    estimates the share by :func:`asl_mmdet.audit.missing_share.missing_share`. Training images would not do: a detector
    soon learns what they lack. Until the first estimate the loss has the share that the config gives it. Where nothing
    is missing, the loss comes to ignore nothing.

    The share is in the log and, by the message hub, in checkpoints: ``--resume`` continues with it. All processes have
    the same.

    Args:
        at: When to estimate, as parts of the training in (0, 1).
        max_images: How many images to predict at most.
        score_thr: The detector's ``score_thr`` meanwhile.

    Raises:
        ValueError: If an argument is out of range; when training starts, if the model has no ``MissingRateLoss`` or
            the config no validation.
    """

    def __init__(self, at: Sequence[float] = (0.1, 0.3, 0.6), max_images: int = 300, score_thr: float = 0.01) -> None:
        if not at or not all(0 < part < 1 for part in at):
            raise ValueError(f"MissingShareHook got at={at!r}: use parts of the training, numbers in (0, 1)")
        if max_images < 1:
            raise ValueError(f"MissingShareHook got max_images={max_images}: use a whole number from 1")
        self.at, self.max_images, self.score_thr = tuple(at), max_images, score_thr

    def before_train(self, runner: Runner) -> None:
        """Find the losses, and what was estimated before a resume."""
        self.losses = [one for one in unwrapped_model(runner).modules() if isinstance(one, MissingRateLoss)]
        if not self.losses:
            raise ValueError("MissingShareHook finds no MissingRateLoss in the model: use one, or drop the hook")
        if runner.val_loop is None:
            raise ValueError(
                "MissingShareHook estimates on the validation images, and the config has no val_dataloader: write one, "
                "or drop the hook and give MissingRateLoss its missing_rate"
            )
        self._iterations = {max(1, round(part * runner.max_iters)) for part in self.at}
        if KEY in runner.message_hub.runtime_info:
            self._tell(runner.message_hub.get_info(KEY))

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Estimate, if it is time."""
        if runner.iter + 1 not in self._iterations:
            return
        parts = [part for parts in all_gather_object(_places(self, runner)) for part in parts]
        if not parts:
            return
        found = missing_share(join(parts))
        runner.logger.info(f"objects without a box, by {len(parts)} validation images: {found}")
        if found.places:
            share = min(found.share, HIGHEST)
            runner.message_hub.update_info(KEY, share)
            self._tell(share)

    def _tell(self, share: float) -> None:
        """The losses' share from now on."""
        for loss in self.losses:
            loss.missing_rate = share


def _places(hook: MissingShareHook, runner: Runner) -> list[Places]:
    """The places of this process's images: the first ones of the loader, in every call."""
    loader = runner.val_dataloader
    dataset = loader.dataset
    infos = {info["img_id"]: info for info in map(dataset.get_data_info, range(len(dataset)))}
    number = len(dataset.metainfo["classes"])
    wanted = -(-hook.max_images // get_world_size())
    model: Any = unwrapped_model(runner)
    places: list[Places] = []
    with _predicting(model, hook.score_thr):
        for batch in loader:
            places += [_of_sample(sample, infos[sample.img_id], number) for sample in model.val_step(batch)]
            if len(places) >= wanted:
                break
    return places[:wanted]


@contextmanager
def _predicting(model: nn.Module, score_thr: float) -> Iterator[None]:
    """Evaluation mode with a low ``score_thr``; what training draws at random stays what it would be."""
    heads = [one for one in model.modules() if getattr(one, "test_cfg", None)]
    before, was_training = [head.test_cfg for head in heads], model.training
    try:
        for head in heads:
            head.test_cfg = lower_score_thr(head.test_cfg, score_thr)
        model.eval()
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            yield
    finally:
        for head, test_cfg in zip(heads, before, strict=True):
            head.test_cfg = test_cfg
        model.train(was_training)


def _of_sample(sample: Any, info: dict[str, Any], num_classes: int) -> Places:
    found, instances = sample.pred_instances.cpu().numpy(), info["instances"]
    boxes = np.array([instance["bbox"] for instance in instances], float).reshape(-1, 4)
    labels = np.array([instance["bbox_label"] for instance in instances], int)
    ignored = np.array([bool(instance.get("ignore_flag")) for instance in instances], bool)
    given = Boxes(boxes[~ignored], labels[~ignored])
    return places_of(Boxes(found.bboxes, found.labels, found.scores), given, num_classes, boxes[ignored])
