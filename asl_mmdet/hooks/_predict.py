"""What the hooks that predict images in the middle of a training share."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from torch import nn

from asl_mmdet.audit.findings import Boxes
from asl_mmdet.coco.boxes import Array
from asl_mmdet.coco.known_categories import COMPLETE
from asl_mmdet.thresholds.matching import truth_of
from asl_mmdet.thresholds.model import lower_score_thr


def parts_of_training(hook: Hook, at: Sequence[float]) -> tuple[float, ...]:
    """When a hook predicts.

    Raises:
        ValueError: If there is none, or one outside of (0, 1).
    """
    if not at or not all(0 < part < 1 for part in at):
        raise ValueError(f"{type(hook).__name__} got at={at!r}: use parts of the training, numbers in (0, 1)")
    return tuple(at)


def number_of_boxes(info: dict[str, Any]) -> int:
    """The boxes of an image's record, 0 where it is known to lack none."""
    return 0 if info.get(COMPLETE) else sum(not instance.get("ignore_flag") for instance in info.get("instances", ()))


@contextmanager
def predicting(model: nn.Module, score_thr: float) -> Iterator[None]:
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


def boxes_of(sample: Any, info: dict[str, Any]) -> tuple[Boxes, Boxes, Array]:
    """The detections of an image, its annotations and its ignored regions (K, 4).

    Args:
        sample: The predicted data sample.
        info: The image's record in the data set.
    """
    found = sample.pred_instances.cpu().numpy()
    boxes, labels, ignored = truth_of(info)
    given = Boxes(boxes[~ignored], labels[~ignored], ids=np.flatnonzero(~ignored))
    return Boxes(found.bboxes, found.labels, found.scores), given, boxes[ignored]
