"""An experiment: must ``ignore_above`` be a constant?"""

from typing import Any

import torch
from mmdet.registry import MODELS
from mmengine.logging import MessageHub
from torch import Tensor

from asl_mmdet.losses import AsymmetricLoss


def current_epoch() -> int:
    """The running epoch, from 0, as MMEngine's RuntimeInfoHook notes it; 0 outside of a runner."""
    return int(MessageHub.get_current_instance().get_info("epoch", 0))


@MODELS.register_module()
class ScheduledAsymmetricLoss(AsymmetricLoss):
    """``AsymmetricLoss`` of a detector whose ``ignore_above`` starts later, or follows the scores.

    Args:
        start_epoch: The first epoch, from 0, that ignores anything.
        rate: Percent of the background rows of a call that are ignored in epoch ``start_epoch``, and as many more in
            each that follows, as LL-R (https://arxiv.org/abs/2206.03740) does: those with the highest scores, but none
            below ``ignore_above``, which is the least threshold then. None leaves the threshold as it is.
        **kwargs: As ``AsymmetricLoss``.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, *args: Any, start_epoch: int = 0, rate: float | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if start_epoch < 0:
            raise ValueError(f"ScheduledAsymmetricLoss got start_epoch={start_epoch}: use a whole number from 0")
        if rate is not None and not 0 < rate <= 100:
            raise ValueError(f"ScheduledAsymmetricLoss got rate={rate}: use percent in (0, 100], or None")
        self.start_epoch, self.rate = start_epoch, rate

    def threshold(self, pred: Tensor, target: Tensor) -> float:
        """The ``ignore_above`` of logits (N, C) and class indices (N,) in the running epoch."""
        epochs = current_epoch() - self.start_epoch + 1
        if epochs < 1:
            return 1.0
        if self.rate is None:
            return self.ignore_above
        scores = pred.detach().float().sigmoid().amax(1)[target == pred.shape[1]]
        number = int(len(scores) * min(1.0, self.rate * epochs / 100))
        if not number or number == len(scores):
            return 1.0 if not number else self.ignore_above
        between = torch.topk(scores, number + 1).values[-2:].mean()  # the last ignored one and the next
        return max(self.ignore_above, float(between))

    def forward(self, pred: Tensor, target: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The loss of ``AsymmetricLoss``, with the threshold of the running epoch."""
        given = self.ignore_above
        self.ignore_above = self.threshold(pred, target)
        try:
            return super().forward(pred, target, *args, **kwargs)
        finally:
            self.ignore_above = given
