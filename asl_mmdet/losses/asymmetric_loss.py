"""The loss as MMDetection's heads use it."""

import math
from typing import Any

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn

from asl_mmdet.losses.functional import REDUCTIONS, asymmetric_loss


@MODELS.register_module()
class AsymmetricLoss(nn.Module):
    r"""Asymmetric Loss (https://arxiv.org/abs/2009.14119) in the place of ``FocalLoss``.

    The equations and limits are those of :func:`asl_mmdet.losses.asymmetric_loss`. The defaults are for detection:
    focal loss's ``alpha`` with a positive side that is focused less. Multi-label classification uses the paper's
    ``gamma_pos=0, gamma_neg=4, clip=0.05, alpha=None, detach_focusing=True``.

    Args:
        use_sigmoid: Must be given, and True. It has no default because MMDetection's heads read it from the config,
            not from the loss: without it they build C + 1 channels and score with softmax.
        gamma_pos: Focusing parameter of the positives, >= 0.
        gamma_neg: Focusing parameter of the negatives, >= 0.
        clip: Probability margin m in [0, 1): a negative with p <= m has no loss and no gradient. A detector starts at
            p = 0.01, so with a margin no background is learned until some rises above it.
        alpha: Weight of the positives; negatives get 1 - alpha. None leaves both at 1.
        reduction: 'none', 'mean' or 'sum'.
        loss_weight: Factor for the loss, >= 0.
        activated: The predictions are probabilities already (as in TOOD), not logits.
        detach_focusing: Take the focusing weights as constants in the backward pass, as the authors train.

    Raises:
        ValueError: If an argument is missing or outside its range.

    Example:
        >>> loss_cls = AsymmetricLoss(use_sigmoid=True)
        >>> loss_cls(torch.zeros(2, 3), torch.tensor([0, 3]), avg_factor=1).isfinite().item()
        True
    """

    def __init__(  # noqa: D107  (the class says it)
        self,
        use_sigmoid: bool | None = None,
        gamma_pos: float = 1.0,
        gamma_neg: float = 2.0,
        clip: float = 0.0,
        alpha: float | None = 0.25,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        activated: bool = False,
        detach_focusing: bool = False,
    ) -> None:
        super().__init__()
        if use_sigmoid is not True:
            raise ValueError(
                f"AsymmetricLoss got use_sigmoid={use_sigmoid!r}: write use_sigmoid=True in its config. MMDetection's "
                "heads read it there, and without it they build one class channel too many and score with softmax."
            )
        self.use_sigmoid = use_sigmoid
        self.gamma_pos = _number("gamma_pos", gamma_pos, 0, math.inf)
        self.gamma_neg = _number("gamma_neg", gamma_neg, 0, math.inf)
        self.clip = _number("clip", clip, 0, 1)
        self.alpha = None if alpha is None else _number("alpha", alpha, 0, 1, closed=True)
        if reduction not in REDUCTIONS:
            raise ValueError(f"AsymmetricLoss got reduction={reduction!r}: use one of {REDUCTIONS}")
        self.reduction = reduction
        self.loss_weight = _number("loss_weight", loss_weight, 0, math.inf)
        self.activated = activated
        self.detach_focusing = detach_focusing

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """Compute the loss.

        Args:
            pred: Logits (N, C), or probabilities if ``activated``.
            target: Class indices (N,) with background = C, or labels in [0, 1] of ``pred``'s shape.
            weight: (N,), (N, C) or (N*C,).
            avg_factor: What 'mean' divides the sum by.
            reduction_override: Another reduction for this call.

        Returns:
            The loss times ``loss_weight``: a scalar, or of ``pred``'s shape for 'none'.

        Raises:
            ValueError: As :func:`asl_mmdet.losses.asymmetric_loss`.
        """
        return self.loss_weight * asymmetric_loss(
            _logit(pred) if self.activated else pred,
            target,
            weight,
            gamma_pos=self.gamma_pos,
            gamma_neg=self.gamma_neg,
            clip=self.clip,
            alpha=self.alpha,
            detach_focusing=self.detach_focusing,
            reduction=reduction_override or self.reduction,
            avg_factor=avg_factor,
        )

    def extra_repr(self) -> str:
        """Show the parameters in the printed model."""
        names = "gamma_pos", "gamma_neg", "clip", "alpha", "reduction", "loss_weight", "activated", "detach_focusing"
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names)


def _number(name: str, value: Any, low: float, high: float, closed: bool = False) -> float:
    """``value``, if it is a number in [low, high), or in [low, high] if ``closed``."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not (low <= value < high or (closed and value == high)):
        allowed = f"in [{low}, {high}] or None" if closed else f"in [{low}, {high})"
        raise ValueError(f"AsymmetricLoss got {name}={value!r}: use a number {allowed}")
    return value


def _logit(p: Tensor) -> Tensor:
    """Logits of probabilities, finite at 0 and 1 (the bound at 0 is that of PyTorch's binary cross-entropy)."""
    p = p.float() if p.dtype in (torch.float16, torch.bfloat16) else p
    eps = torch.finfo(p.dtype).eps
    return p.clamp(min=1e-12).log() - torch.log1p(-p.clamp(max=1 - eps))
