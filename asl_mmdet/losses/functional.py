"""Asymmetric Loss as one pure function: tensors in, tensor out (https://arxiv.org/abs/2009.14119)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

REDUCTIONS = ("none", "mean", "sum")


def asymmetric_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    gamma_pos: float,
    gamma_neg: float,
    clip: float,
    alpha: float | None = None,
    detach_focusing: bool = False,
    reduction: str = "mean",
    avg_factor: float | Tensor | None = None,
) -> Tensor:
    r"""Asymmetric Loss on logits, Eq. 4-7 of https://arxiv.org/abs/2009.14119.

    With :math:`p = \sigma(z)` and the shifted probability :math:`p_m = \max(p - m, 0)`, a label :math:`y` gives

    .. math:: -y (1 - p)^{\gamma_+} \log p - (1 - y) p_m^{\gamma_-} \log(1 - p_m)

    The gradient is the closed form of Eq. 8, taken in the forward pass; asking for a second derivative raises. Half
    precision is computed in float32, and the loss is float32 then. A soft label (0 < y < 1) mixes the two losses.

    Limits: all of gamma and m zero is binary cross-entropy; :math:`\gamma_+ = \gamma_- = \gamma` and m = 0 with
    ``alpha`` is focal loss. A negative with p <= m has zero loss and zero gradient.

    The paper trains multi-label classification with gamma 0 / 4 and m = 0.05, summed over classes, without alpha.

    Args:
        pred: Logits, (N, C); any shape if ``target`` has the same.
        target: Class indices (N,) of an integer type, where C is background, or labels in [0, 1] of ``pred``'s shape.
        weight: Factors for the loss: (N,), or as many as ``pred`` has. It may require grad.
        gamma_pos: Focusing parameter of the positives, >= 0.
        gamma_neg: Focusing parameter of the negatives, >= 0.
        clip: The probability margin m, in [0, 1).
        alpha: Weigh positives by alpha and negatives by 1 - alpha, as focal loss does; None leaves both at 1.
        detach_focusing: Take the focusing weights as constants in the backward pass, as the authors train.
        reduction: 'none', 'mean' (over all elements, or by ``avg_factor``) or 'sum'.
        avg_factor: What 'mean' divides the sum by, usually the number of positives of all images.

    Returns:
        The loss; of ``pred``'s shape for 'none', else a scalar. The mean of no elements is 0.

    Raises:
        ValueError: If a shape does not fit, ``avg_factor`` comes with 'sum', the reduction is unknown, or (on the CPU,
            where looking is free) a class index is outside 0..C. On an accelerator a bad index is a device-side
            assertion.
        RuntimeError: In a backward pass with ``create_graph=True``.

    Example:
        >>> logits = torch.tensor([[5.0, -5.0, 0.0], [5.0, -5.0, 0.0]])
        >>> labels = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
        >>> loss = asymmetric_loss(logits, labels, gamma_pos=1, gamma_neg=4, clip=0.05, reduction='sum')
        >>> print(f'{loss:.4f}')
        7.6169
    """
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction={reduction!r} is unknown: use one of {REDUCTIONS}")
    if avg_factor is not None and reduction == "sum":
        raise ValueError("avg_factor is what reduction='mean' divides by; with reduction='sum' leave it out")
    _check_target(pred, target)
    if pred.dtype in (torch.float16, torch.bfloat16):
        pred = pred.float()
    loss = _AsymmetricLoss.apply(pred, target, gamma_pos, gamma_neg, clip, alpha, detach_focusing)
    if weight is not None:
        loss = loss * _align_weight(weight, loss)
    if reduction == "none":
        return loss
    total = loss.sum()
    if avg_factor is not None:
        return total / (avg_factor + torch.finfo(torch.float32).eps)  # as MMDetection's losses: 0 positives is legal
    return total / max(loss.numel(), 1) if reduction == "mean" else total


def _check_target(pred: Tensor, target: Tensor) -> None:
    if target.shape == pred.shape and pred.dim() != 1:
        return
    if pred.dim() != 2 or target.shape != pred.shape[:1]:
        raise ValueError(
            f"target of shape {tuple(target.shape)} does not fit pred of shape {tuple(pred.shape)}: give class indices "
            "(N,) for logits (N, C), or labels of the logits' shape"
        )
    if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        raise ValueError(f"target (N,) holds class indices and must be of an integer type, not {target.dtype}")
    if target.device.type == "cpu" and target.numel():
        low, high = (int(v) for v in target.aminmax())
        if low < 0 or high > pred.shape[1]:
            raise ValueError(
                f"target holds the class index {low if low < 0 else high}; for {pred.shape[1]} classes it must be in "
                f"0..{pred.shape[1]}, where {pred.shape[1]} is background (mark ignored ones by weight 0)"
            )


def _align_weight(weight: Tensor, loss: Tensor) -> Tensor:
    if weight.shape == loss.shape:
        return weight
    if weight.shape == loss.shape[:1]:
        return weight.view(-1, *[1] * (loss.dim() - 1))
    if weight.numel() == loss.numel():
        return weight.reshape(loss.shape)
    raise ValueError(f"weight of shape {tuple(weight.shape)} does not fit a loss of shape {tuple(loss.shape)}")


def _one_side(z: Tensor, gamma: float, margin: float, detach: bool, want_grad: bool) -> tuple[Tensor, Tensor | None]:
    """Loss and d loss / dz of a negative with logit z. A positive with logit z is a negative with logit -z."""
    p = z.sigmoid()
    if margin:
        shifted = (p - margin).clamp_(min=0)
        cross_entropy = torch.log1p(-shifted).neg_()
    else:
        shifted = p
        cross_entropy = F.softplus(z)  # -log(1 - p), exact for every z
    focus = shifted.pow(gamma) if gamma else None
    loss = cross_entropy if focus is None else focus * cross_entropy
    if not want_grad:
        return loss, None
    if margin:
        # CE' = p (1 - p) / (1 - p_m), and focus' CE / focus = gamma p (1 - p) CE / p_m, whose limit at p_m = 0 is
        # finite: no negative power of p_m is ever taken, so 0 < gamma < 1 gives no 0 * inf.
        slope = 1 / (1 - shifted)
        if gamma and not detach:
            slope += gamma * cross_entropy / shifted.clamp(min=torch.finfo(z.dtype).tiny)
        grad = slope * p * z.neg().sigmoid_() * (shifted > 0)
    elif gamma and not detach:
        grad = p + gamma * z.neg().sigmoid_() * cross_entropy
    else:
        grad = p
    return loss, grad if focus is None else grad * focus


class _AsymmetricLoss(torch.autograd.Function):
    """Elementwise ASL with its gradient kept as the only saved tensor."""

    @staticmethod
    def forward(
        ctx: Any,
        z: Tensor,
        target: Tensor,
        gamma_pos: float,
        gamma_neg: float,
        clip: float,
        alpha: float | None,
        detach: bool,
    ) -> Tensor:
        want_grad = ctx.needs_input_grad[0]
        pos_weight, neg_weight = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
        loss, grad = _one_side(z, gamma_neg, clip, detach, want_grad)
        if target.shape == z.shape:
            y = target.to(z.dtype)
            pos_loss, pos_grad = _one_side(-z, gamma_pos, 0.0, detach, want_grad)
            loss = pos_weight * y * pos_loss + neg_weight * (1 - y) * loss
            if grad is not None and pos_grad is not None:
                grad = neg_weight * (1 - y) * grad - pos_weight * y * pos_grad
        else:
            # One element a row at most is positive; background rows put back what is there. No row is selected by
            # value: that would make an accelerator wait.
            if neg_weight != 1:
                loss = loss * neg_weight
                grad = None if grad is None else grad * neg_weight
            is_background = (target == z.shape[1]).unsqueeze(1)
            index = target.unsqueeze(1).long().masked_fill(is_background, 0)
            pos_loss, pos_grad = _one_side(-z.gather(1, index), gamma_pos, 0.0, detach, want_grad)
            loss = loss.scatter(1, index, torch.where(is_background, loss.gather(1, index), pos_weight * pos_loss))
            if grad is not None and pos_grad is not None:
                grad = grad.scatter(1, index, torch.where(is_background, grad.gather(1, index), -pos_weight * pos_grad))
        if grad is not None:
            ctx.save_for_backward(grad)
        return loss

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # create_graph=True: the result would look like a constant, without a word
            raise RuntimeError(
                "asymmetric_loss has a closed-form first derivative and no second: drop create_graph=True"
            )
        (grad,) = ctx.saved_tensors
        return grad_output * grad, None, None, None, None, None, None
