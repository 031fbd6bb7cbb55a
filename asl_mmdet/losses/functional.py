"""Asymmetric Loss as pure functions: tensors in, tensor out (https://arxiv.org/abs/2009.14119)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from asl_mmdet.losses._device import is_compiling
from asl_mmdet.losses._elementwise import Asymmetry
from asl_mmdet.losses._execution import ClosedForm, Eager
from asl_mmdet.losses._validation import (
    IMPLS,
    REDUCTIONS,
    align_class_weight,
    align_parameter,
    align_weight,
    as_matrix,
    check_choice,
    check_class_indices,
    check_impl,
    check_reduction,
)
from asl_mmdet.losses.class_weight import SIDES

__all__ = [
    "IMPLS",
    "REDUCTIONS",
    "Eager",
    "asymmetric_loss",
    "asymmetric_softmax_loss",
    "plain_asymmetric_loss",
]


def plain_asymmetric_loss(
    pred: Tensor, target: Tensor, *, gamma_pos: float, gamma_neg: float, clip: float, alpha: float | None = None
) -> Tensor:
    """The equation in plain PyTorch, to read and to compare with: Eq. 4-7 of https://arxiv.org/abs/2009.14119.

    :func:`asymmetric_loss` with ``reduction='none'`` gives the same values and gradients from the closed form. It is
    several times faster, needs a fraction of the memory, and stays finite where this does not: for large logits, and
    for a gamma below 1 at p_m = 0. What this has beyond it is a second derivative.

    Args:
        pred: Logits z, of any shape.
        target: Labels y in [0, 1], of the same shape.
        gamma_pos: Focusing parameter gamma+ of the positives.
        gamma_neg: Focusing parameter gamma- of the negatives.
        clip: The margin m.
        alpha: Weigh positives by alpha and negatives by 1 - alpha; None leaves both at 1.

    Returns:
        The loss of every element.

    Example:
        >>> z, y = torch.tensor([2.0, -1.0, 1.0]), torch.tensor([1.0, 0.0, 0.0])
        >>> plain_asymmetric_loss(z, y, gamma_pos=0, gamma_neg=4, clip=0.05)
        tensor([0.1269, 0.0006, 0.2459])
    """
    p = pred.sigmoid()
    p_m = (p - clip).clamp(min=0)  # Eq. 5, the shifted probability
    positive = -((1 - p) ** gamma_pos) * F.logsigmoid(pred)  # -L+ of Eq. 4
    negative = -(p_m**gamma_neg) * torch.log1p(-p_m)  # -L- of Eq. 7
    if alpha is not None:
        positive, negative = alpha * positive, (1 - alpha) * negative
    return target * positive + (1 - target) * negative


def asymmetric_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    gamma_pos: float,
    gamma_neg: float | Tensor,
    clip: float | Tensor,
    alpha: float | None = None,
    ignore_above: float | Tensor = 1.0,
    class_weight: Tensor | None = None,
    class_weight_on: str = "positive",
    detach_focusing: bool = False,
    reduction: str = "mean",
    avg_factor: float | Tensor | None = None,
    impl: str | Eager = "auto",
) -> Tensor:
    r"""Asymmetric Loss on logits, Eq. 4-7 of https://arxiv.org/abs/2009.14119.

    With :math:`p = \sigma(z)` and the shifted probability :math:`p_m = \max(p - m, 0)`, a label :math:`y` gives

    .. math:: -y (1 - p)^{\gamma_+} \log p - (1 - y) p_m^{\gamma_-} \log(1 - p_m)

    where m is the margin (``clip``). A negative with p <= m has zero loss and zero gradient. A soft label (0 < y < 1)
    mixes the two losses. :func:`plain_asymmetric_loss` is the same in a few lines.

    The gradient is the closed form of Eq. 8, taken in the forward pass. Asking for a second derivative raises. Half
    precision is computed in float32, and the loss is float32 then.

    Limits: with both gammas and m zero it is binary cross-entropy. With :math:`\gamma_+ = \gamma_- = \gamma`, m = 0
    and ``alpha`` it is focal loss.

    ``ignore_above`` is for data with missing labels. A negative with p above it is taken for a positive that nobody
    labelled, and is ignored; the paper's Eq. 7 only weakens its gradient beyond p*. With class indices this holds for
    background rows alone: a row that has a class is labelled, and its other classes stay negatives.
    (https://arxiv.org/abs/2206.03740 rejects large losses; here by a threshold, with this restriction.)

    The paper trains multi-label classification with gamma 0 / 4 and m = 0.05, summed over classes, without alpha.

    Args:
        pred: Logits, (N, C); any shape if ``target`` has the same.
        target: Class indices (N,) of an integer type, where C is background, or labels in [0, 1] of ``pred``'s shape.
        weight: Factors for the loss: (N,), or as many as ``pred`` has. It may require grad.
        gamma_pos: Focusing parameter of the positives, >= 0.
        gamma_neg: Focusing parameter of the negatives, >= 0; or a tensor of one or, for logits (N, C), of C values,
            which may change from call to call without a new compilation.
        clip: The probability margin m, in [0, 1); or a tensor, likewise.
        alpha: Weigh positives by alpha and negatives by 1 - alpha, as focal loss does. None, as in the paper, leaves
            both at 1. The class ``AsymmetricLoss`` has 0.25 here if nothing is given.
        ignore_above: In (0, 1]; a negative with p above it has no loss and no gradient, unless its row has a class.
            1 ignores none. Or a tensor, as for ``gamma_neg``.
        class_weight: (C,) factors w_c >= 0 for the columns of logits (N, C): of their positives, negatives or both.
            None: all 1. :func:`asl_mmdet.losses.class_weight.frequency_weights` makes them of counts. They get no
            gradient.
        class_weight_on: 'positive', 'negative' or 'both'. With 'positive' and ``alpha``, class c has :math:`\alpha w_c`
            where it is the label and :math:`1 - \alpha` elsewhere.
        detach_focusing: Take the focusing weights as constants in the backward pass, as the authors train.
        reduction: 'none', 'mean' (over all elements, or by ``avg_factor``; never by weights) or 'sum'.
        avg_factor: What 'mean' divides the sum by, usually the number of positives of all images.
        impl: 'eager', 'compile' (``torch.compile``, with dynamic shapes), or 'auto': compiled on an accelerator where
            that is possible, else eager. An :class:`Eager` says how the eager form works.

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
    check_reduction(reduction, avg_factor)
    if not isinstance(impl, Eager):
        check_impl(impl)
    if target.shape != pred.shape:
        check_class_indices(pred, target, pred.shape[-1])
    z, labels = as_matrix(pred), (as_matrix(target) if target.shape == pred.shape else target)
    if weight is not None:
        weight = align_weight(weight, pred).to(z.dtype)
    pos_weight, neg_weight = _weights_of_sides(z, alpha, class_weight, class_weight_on)
    as_number = not is_compiling() and (impl.select if isinstance(impl, Eager) else impl != "compile")
    gamma_neg = align_parameter("gamma_neg", gamma_neg, z, as_number)
    clip = align_parameter("clip", clip, z, as_number)
    ignore_above = align_parameter("ignore_above", ignore_above, z, as_number)
    if isinstance(ignore_above, Tensor):
        highest: float | Tensor = ignore_above.logit()
    else:
        highest = math.log(ignore_above / (1 - ignore_above)) if ignore_above < 1 else math.inf
    asymmetry = Asymmetry(gamma_pos, gamma_neg, clip, pos_weight, neg_weight, detach_focusing, highest)
    if weight is not None and weight.requires_grad:
        loss = ClosedForm.apply(z, labels, None, asymmetry, False, impl) * weight
        loss = loss if reduction == "none" else loss.sum()
    else:
        loss = ClosedForm.apply(z, labels, weight, asymmetry, reduction != "none", impl)
    return loss.view(pred.shape) if reduction == "none" else _average(loss, reduction, avg_factor, pred.numel())


def _weights_of_sides(
    z: Tensor, alpha: float | None, class_weight: Tensor | None, class_weight_on: str
) -> tuple[float | Tensor, float | Tensor]:
    """The factors of positives and of negatives, numbers or (C,)."""
    check_choice("class_weight_on", class_weight_on, SIDES, "asymmetric_loss")
    positive, negative = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
    if class_weight is None:
        return positive, negative
    weights = align_class_weight(class_weight, z)
    return (
        positive if class_weight_on == "negative" else positive * weights,
        negative if class_weight_on == "positive" else negative * weights,
    )


def asymmetric_softmax_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    gamma_pos: float,
    gamma_neg: float,
    label_smoothing: float = 0.0,
    class_weight: Tensor | None = None,
    detach_focusing: bool = False,
    reduction: str = "mean",
    avg_factor: float | Tensor | None = None,
) -> Tensor:
    r"""ASL for one label a sample, on logits of a softmax: the variant that the authors publish beside the paper.

    With :math:`p = \mathrm{softmax}(z)`, the true class t and the smoothed labels :math:`q_t = 1 - \epsilon +
    \epsilon / C`, :math:`q_j = \epsilon / C`, a sample costs

    .. math:: -q_t (1 - p_t)^{\gamma_+} \log p_t - \sum_{j \ne t} q_j p_j^{\gamma_-} \log p_j

    Without smoothing the second sum is zero, so ``gamma_neg`` does nothing then: a softmax has no negatives of its
    own, the true class's log-probability carries them all.

    Args:
        pred: Logits (N, C); in a two-stage box head C counts the background, which comes last.
        target: Class indices (N,) in 0..C-1.
        weight: Factors (N,) for the samples.
        gamma_pos: Focusing parameter of the true class, >= 0.
        gamma_neg: Focusing parameter of the other classes, >= 0.
        label_smoothing: :math:`\epsilon`, in [0, 1).
        class_weight: Factors >= 0 for the samples by their true class, (C,); (C - 1,) leaves the last class, in a box
            head the background, at 1. They get no gradient.
        detach_focusing: Take the focusing weights as constants in the backward pass.
        reduction: 'none' gives (N,), 'mean' is over samples (or by ``avg_factor``), 'sum'.
        avg_factor: What 'mean' divides the sum by.

    Returns:
        The loss, float32 for half precision.

    Raises:
        ValueError: As :func:`asymmetric_loss`.
    """
    check_reduction(reduction, avg_factor)
    check_class_indices(pred, target, pred.shape[-1] - 1)
    log_p = F.log_softmax(as_matrix(pred), dim=1)
    true_class = target.long().unsqueeze(1)
    log_p_t = log_p.gather(1, true_class).squeeze(1)
    smallest = torch.finfo(log_p.dtype).tiny  # keeps the slope of base ** gamma finite for gamma < 1
    miss = (-torch.expm1(log_p_t)).clamp(min=smallest)
    smoothed = label_smoothing / pred.shape[1]
    loss = -(1 - label_smoothing + smoothed) * _constant_if(detach_focusing, miss.pow(gamma_pos)) * log_p_t
    if label_smoothing:
        terms = _constant_if(detach_focusing, log_p.exp().clamp(min=smallest).pow(gamma_neg)) * log_p
        loss = loss - smoothed * (terms.sum(1) - terms.gather(1, true_class).squeeze(1))
    if weight is not None:
        if weight.numel() != loss.numel():
            raise ValueError(f"weight of shape {tuple(weight.shape)} does not fit {loss.numel()} samples")
        loss = loss * weight.reshape(loss.shape)
    if class_weight is not None:
        loss = loss * _of_samples(class_weight, log_p, target)
    return loss if reduction == "none" else _average(loss.sum(), reduction, avg_factor, loss.numel())


def _of_samples(class_weight: Tensor, log_p: Tensor, target: Tensor) -> Tensor:
    """(N,): the weight of the true class."""
    if class_weight.dim() == 1 and len(class_weight) == log_p.shape[1] - 1:
        class_weight = F.pad(class_weight, (0, 1), value=1.0)
    return align_class_weight(class_weight, log_p)[target.long()]


def _constant_if(detach: bool, x: Tensor) -> Tensor:
    return x.detach() if detach else x


def _average(total: Tensor, reduction: str, avg_factor: float | Tensor | None, number: int) -> Tensor:
    if avg_factor is not None:
        return total / (avg_factor + torch.finfo(torch.float32).eps)  # as MMDetection's losses: 0 positives is legal
    return total / max(number, 1) if reduction == "mean" else total
