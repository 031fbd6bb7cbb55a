"""A mean teacher for sparsely annotated detection: what it scores high and no label covers is not background.

The family of Calibrated Teacher (https://arxiv.org/abs/2303.07582) and Co-mining (https://arxiv.org/abs/2012.01950),
reduced to what they share: the average of the weights over the iterations (https://arxiv.org/abs/1703.01780) looks at
every batch first. Both see the same view of an image; the papers' stronger augmentation of the student's is left out.
"""

from typing import Any

import torch
from mmdet.structures.bbox import bbox_overlaps
from mmengine.hooks import EMAHook, Hook
from mmengine.registry import HOOKS
from mmengine.structures import InstanceData
from torch import Tensor
from torchvision.ops import nms


def unlabelled(found: InstanceData, labelled: Tensor, score_thr: float) -> InstanceData:
    """The predictions of an image that a teacher scores high, and that overlap neither a label nor a better one.

    Args:
        found: ``bboxes`` (N, 4), ``scores`` (N,), ``labels`` (N,).
        labelled: The boxes with a label, (M, 4).
        score_thr: The least score.

    Returns:
        Those of ``found`` whose IoU with all others that are left, of any class, is below 0.5.
    """
    found = found[found.scores >= score_thr]
    if len(found) and len(labelled):
        found = found[bbox_overlaps(found.bboxes, labelled).amax(1) < 0.5]
    return found[nms(found.bboxes, found.scores, 0.5)]


@HOOKS.register_module()
class TeacherBoxesHook(Hook):
    """Give every batch the boxes that the model's average finds where no label is. The average is ``EMAHook``'s.

    Args:
        score_thr: The least score of a box.
        teach: Train on the boxes as if they were labels; False marks them as ignored regions, which the assigner must
            respect (``ignore_iof_thr``).
    """

    def __init__(self, score_thr: float = 0.4, teach: bool = False) -> None:
        self.score_thr, self.teach = score_thr, teach
        self._teacher: Any = None

    def before_train(self, runner: Any) -> None:
        """Take the average that the other hook keeps."""
        averages = [hook.ema_model for hook in runner.hooks if isinstance(hook, EMAHook)]
        if not averages:
            raise ValueError("TeacherBoxesHook needs the weights' average: add dict(type='EMAHook') to custom_hooks")
        self._teacher = averages[0].module.eval()

    @torch.no_grad()
    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Add the boxes to the batch's samples."""
        data = self._teacher.data_preprocessor(data_batch, False)  # copies of the samples
        predicted = self._teacher.predict(data["inputs"], data["data_samples"], rescale=False)
        for sample, prediction in zip(data_batch["data_samples"], predicted, strict=True):
            field = "gt_instances" if self.teach else "ignored_instances"
            known = getattr(sample, field)
            found = unlabelled(prediction.pred_instances, prediction.gt_instances.bboxes, self.score_thr)
            found = found.to(known.bboxes.device)
            new = InstanceData(bboxes=type(known.bboxes)(found.bboxes), labels=found.labels.to(known.labels))
            setattr(sample, field, InstanceData.cat([known, new]))
