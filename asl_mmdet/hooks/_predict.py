"""What the hooks that predict images in the middle of a training share."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from asl_mmdet.audit.findings import Boxes
from asl_mmdet.coco.boxes import Array
from asl_mmdet.thresholds.model import lower_score_thr


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
    found, instances = sample.pred_instances.cpu().numpy(), info["instances"]
    boxes = np.array([instance["bbox"] for instance in instances], float).reshape(-1, 4)
    labels = np.array([instance["bbox_label"] for instance in instances], int)
    ignored = np.array([bool(instance.get("ignore_flag")) for instance in instances], bool)
    given = Boxes(boxes[~ignored], labels[~ignored], ids=np.flatnonzero(~ignored))
    return Boxes(found.bboxes, found.labels, found.scores), given, boxes[ignored]
