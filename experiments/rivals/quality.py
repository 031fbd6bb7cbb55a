"""Any classification loss in the head of Generalized Focal Loss, so that a comparison changes only the loss."""

from typing import Any

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class QualityTargets(nn.Module):
    """Give a loss the labels of a head that hands out labels with IoUs, such as MMDetection's ``GFLHead``.

    ``QualityFocalLoss`` takes them as they come and needs none of this.

    Args:
        loss: The loss.
        soft: Give the IoU of an object's box with the truth as its label, (N, C), as varifocal loss
            (https://arxiv.org/abs/2008.13367) takes it. False leaves the IoUs out.
        use_sigmoid: Must be True; MMDetection's heads read it here.
    """

    def __init__(self, loss: dict[str, Any], soft: bool, use_sigmoid: bool = True) -> None:
        super().__init__()
        if not use_sigmoid:
            raise ValueError("QualityTargets got use_sigmoid=False: write use_sigmoid=True")
        self.loss = MODELS.build(loss)
        self.soft, self.use_sigmoid = soft, use_sigmoid

    def forward(self, pred: Tensor, target: tuple[Tensor, Tensor], weight: Tensor, **kwargs: Any) -> Tensor:
        """The loss of logits (N, C), with the labels and the IoUs, (N,) both, and weights (N,)."""
        labels, quality = target
        if not self.soft:
            return self.loss(pred, labels, weight, **kwargs)
        classes = torch.arange(pred.shape[1], device=pred.device)
        dense = (labels[:, None] == classes) * quality[:, None].to(pred.dtype)
        return self.loss(pred, dense, weight[:, None].expand_as(pred), **kwargs)
