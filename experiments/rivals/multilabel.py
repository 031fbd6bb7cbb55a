"""Losses for multi-label classification with missing labels: an absent label may be one that nobody gave.

Hill and SPLC are of Zhang et al., 'Simple and Robust Loss Design for Multi-Label Learning with Missing Labels'
(https://arxiv.org/abs/2112.07368), LL-R, LL-Ct and LL-Cp of Kim et al., 'Large Loss Matters in Weakly Supervised
Multi-Label Classification', CVPR 2022 (https://arxiv.org/abs/2206.03740). Where the text leaves something open, the
authors' code was taken, and the docstring says so.

All take logits (N, C) and labels (N, C) of 0 and 1, and sum over the classes, as mmpretrain's heads divide by the
batch size.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn

from experiments.rivals.schedule import current_epoch

SCHEMES = ("LL-R", "LL-Ct", "LL-Cp")


class MultiLabelLoss(nn.Module):
    """What the losses have in common.

    Args:
        reduction: 'none', 'mean' or 'sum'.
        loss_weight: Factor for the loss.
    """

    use_sigmoid = True  # for what looks whether scores are a sigmoid's

    def __init__(self, reduction: str = "mean", loss_weight: float = 1.0) -> None:
        super().__init__()
        if reduction not in ("none", "mean", "sum"):
            raise ValueError(f"{type(self).__name__} got reduction={reduction!r}: use 'none', 'mean' or 'sum'")
        self.reduction = reduction
        self.loss_weight = loss_weight

    def elements(self, pred: Tensor, target: Tensor) -> Tensor:
        """The loss of every element, (N, C)."""
        raise NotImplementedError

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """The loss.

        Args:
            pred: Logits (N, C).
            target: Labels (N, C), 0 or 1.
            weight: (N, C).
            avg_factor: What 'mean' divides the sum by; without, the number of elements.
            reduction_override: Another reduction for this call.
        """
        pred = pred.float() if pred.dtype in (torch.float16, torch.bfloat16) else pred
        loss = self.loss_weight * self.elements(pred, target)
        loss = loss if weight is None else loss * weight
        reduction = reduction_override or self.reduction
        if reduction == "none":
            return loss
        if reduction == "sum":
            return loss.sum()
        return loss.mean() if avg_factor is None else loss.sum() / avg_factor


def focal_margin(pred: Tensor, margin: float, gamma: float) -> Tensor:
    """The focal margin loss of positives: -(1 - p_m)^gamma log p_m, with p_m = sigmoid(z - margin)."""
    shifted = pred - margin
    return -(torch.sigmoid(-shifted) ** gamma) * F.logsigmoid(shifted)


@MODELS.register_module()
class Hill(MultiLabelLoss):
    """Hill loss (arXiv 2112.07368): the loss of a negative, (lambda - p) p^2, falls again where p is high.

    Positives have the focal margin loss.

    Args:
        lamb: lambda; 1.5 in the paper.
        margin: The margin of the positives' logits; 1 in the authors' code, which says that it matters little.
        gamma: The focusing of the positives; 2.
        **kwargs: As :class:`MultiLabelLoss`.
    """

    def __init__(self, lamb: float = 1.5, margin: float = 1.0, gamma: float = 2.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lamb, self.margin, self.gamma = lamb, margin, gamma

    def elements(self, pred: Tensor, target: Tensor) -> Tensor:
        """The loss of every element, (N, C)."""
        p = pred.sigmoid()
        return target * focal_margin(pred, self.margin, self.gamma) + (1 - target) * (self.lamb - p) * p**2


@MODELS.register_module()
class SPLC(MultiLabelLoss):
    """Self-paced loss correction (arXiv 2112.07368): a negative with p > tau has the loss of a positive.

    With the focal margin loss, as in the paper's main results: positives have it, negatives focal loss,
    -p^gamma log(1 - p). As in the authors' code, a corrected label has no margin, and nothing is corrected in the first
    epoch, in which few missing labels are found.

    Args:
        tau: The threshold; 0.6 (0.65 on COCO with 75 % of the labels).
        start_epoch: The first epoch, from 0, that corrects; 1.
        margin: The margin of the positives' logits; 1.
        gamma: The focusing; 2.
        **kwargs: As :class:`MultiLabelLoss`.
    """

    def __init__(
        self, tau: float = 0.6, start_epoch: int = 1, margin: float = 1.0, gamma: float = 2.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.tau, self.start_epoch, self.margin, self.gamma = tau, start_epoch, margin, gamma

    def elements(self, pred: Tensor, target: Tensor) -> Tensor:
        """The loss of every element, (N, C)."""
        p = pred.sigmoid()
        negative = -(p**self.gamma) * F.logsigmoid(-pred)
        if current_epoch() >= self.start_epoch:
            negative = torch.where(p > self.tau, focal_margin(pred, 0.0, self.gamma), negative)
        return target * focal_margin(pred, self.margin, self.gamma) + (1 - target) * negative


@MODELS.register_module()
class LargeLoss(MultiLabelLoss):
    """LL-R, LL-Ct and LL-Cp (arXiv 2206.03740): negatives with the largest loss of a batch are missing labels.

    With binary cross-entropy, and every label that is not given assumed to be negative. In epoch t, from 1, the
    (t - 1) ``delta_rel`` percent of the batch's elements with the largest loss among the negatives are rejected (LL-R,
    no loss) or corrected for this iteration (LL-Ct, the loss of a positive). LL-Cp corrects ``delta_rel`` percent in
    every epoch but the first, for good: the labels stay positive from then on.

    LL-Cp knows the samples by their numbers in the data set, which
    :class:`experiments.rivals.classification.SampleAwareClsHead` hands over. It is for one process: each would
    remember its own.

    Args:
        scheme: 'LL-R', 'LL-Ct' or 'LL-Cp'.
        delta_rel: Percent; the authors choose it from 0.1 to 0.5 on a validation set, with 10 epochs.
        capacity: So many labels LL-Cp can correct; a checkpoint has room for all of them.
        **kwargs: As :class:`MultiLabelLoss`.
    """

    corrected: Tensor

    def __init__(self, scheme: str, delta_rel: float = 0.2, capacity: int = 2**16, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if scheme not in SCHEMES:
            raise ValueError(f"LargeLoss got scheme={scheme!r}: use one of {', '.join(SCHEMES)}")
        if not 0 < delta_rel <= 100:
            raise ValueError(f"LargeLoss got delta_rel={delta_rel}: use percent in (0, 100]")
        self.scheme, self.delta_rel = scheme, delta_rel
        size = capacity if self.wants_samples else 0
        self.register_buffer("corrected", torch.full((size,), -1))  # sample * C + class; -1 where there is room

    @property
    def wants_samples(self) -> bool:
        """Whether it must be told which samples it gets."""
        return self.scheme == "LL-Cp"

    def forward(self, pred: Tensor, target: Tensor, *args: Any, samples: Sequence[int] = (), **kwargs: Any) -> Tensor:
        """The loss; ``samples`` are the numbers of the N samples in the data set, for LL-Cp."""
        if not self.wants_samples:
            return super().forward(pred, target, *args, **kwargs)
        if len(samples) != len(pred):
            raise ValueError(
                f"LargeLoss with LL-Cp got the numbers of {len(samples)} samples for {len(pred)} rows: use the head "
                "type='SampleAwareClsHead' of experiments.rivals.classification"
            )
        classes = torch.arange(pred.shape[1], device=pred.device)
        key = torch.as_tensor(samples, device=pred.device)[:, None] * pred.shape[1] + classes
        used = int((self.corrected >= 0).sum())
        target = torch.where(torch.isin(key, self.corrected[:used]), torch.ones_like(target), target)
        found = key[self.large(pred, target)]
        if used + len(found) > len(self.corrected):
            raise ValueError(f"LargeLoss corrects more than capacity={len(self.corrected)} labels: use a larger one")
        self.corrected[used : used + len(found)] = found
        return super().forward(pred, target, *args, **kwargs)

    def large(self, pred: Tensor, target: Tensor) -> Tensor:
        """The negatives with the largest loss, bool (N, C), as many as this epoch rejects or corrects."""
        epoch = current_epoch()
        percent = self.delta_rel * (min(epoch, 1) if self.scheme == "LL-Cp" else epoch)
        is_negative = target == 0
        number = min(math.ceil(pred.numel() * percent / 100), int(is_negative.sum()))
        if not number:
            return torch.zeros_like(is_negative)
        loss = F.softplus(pred.detach())
        least = loss[is_negative].topk(number).values[-1]
        return is_negative & (loss >= least)

    def elements(self, pred: Tensor, target: Tensor) -> Tensor:
        """The loss of every element, (N, C)."""
        loss = F.binary_cross_entropy_with_logits(pred, target, reduction="none")
        other = torch.zeros_like(loss) if self.scheme == "LL-R" else -F.logsigmoid(pred)
        return torch.where(self.large(pred, target), other, loss)
