"""Asymmetric Loss as pure functions: tensors in, tensor out (https://arxiv.org/abs/2009.14119)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from asl_mmdet.losses._autograd import SoftmaxParams, closed_form
from asl_mmdet.losses._device import is_compiling
from asl_mmdet.losses._eager import Eager
from asl_mmdet.losses._elementwise import ASLParams
from asl_mmdet.losses._validation import (
    IMPLS,
    REDUCTIONS,
    align_class_weight,
    align_parameter,
    align_weight,
    as_matrix,
    check_choice,
    check_class_indices,
    check_focusing,
    check_number,
    check_reduction,
)
from asl_mmdet.losses.class_weight import SIDES
from asl_mmdet.losses.plain import plain_asymmetric_loss

__all__ = [
    "IMPLS",
    "REDUCTIONS",
    "Eager",
    "asymmetric_loss",
    "asymmetric_softmax_loss",
    "plain_asymmetric_loss",
]


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
    labelled, and is ignored; the paper's Eq. 7 only weakens its gradient beyond p*. With class indices this holds only
    for background rows: a row that has a class is labelled, and its other classes stay negatives.
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
            1 ignores none. Or a tensor, as for ``gamma_neg``, or (N, 1) with a value for every row.
        class_weight: (C,) factors w_c >= 0 for the columns of logits (N, C): of their positives, negatives or both.
            None: all 1. :func:`asl_mmdet.losses.class_weight.frequency_weights` makes them of counts. They get no
            gradient.
        class_weight_on: 'positive', 'negative' or 'both'. With 'positive' and ``alpha``, class c has :math:`\alpha w_c`
            where it is the label and :math:`1 - \alpha` elsewhere.
        detach_focusing: Take the focusing weights as constants in the backward pass, as the authors train.
        reduction: 'none', 'mean' (over all elements, or by ``avg_factor``; never by weights) or 'sum'.
        avg_factor: What 'mean' divides the sum by, usually the number of positives of all images.
        impl: 'eager', 'compile' (``torch.compile``, with dynamic shapes, which must work here), or 'auto': eager on
            every device, until the compiled form was measured on accelerators. An :class:`Eager` says how the eager
            form works.

    Returns:
        The loss; of ``pred``'s shape for 'none', else a scalar. The mean of no elements is 0.

    Raises:
        ValueError: If a parameter is outside its range, a shape does not fit, ``avg_factor`` comes with 'sum', the
            reduction is unknown, or (on the CPU, where looking is free) a class index is outside 0..C or a label
            outside [0, 1]. On an accelerator a bad index is a device-side assertion, and such a label is not seen
            there: the loss means nothing.
        RuntimeError: Where the gradient is differentiated again.

    Example:
        >>> logits = torch.tensor([[5.0, -5.0, 0.0], [5.0, -5.0, 0.0]])
        >>> labels = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
        >>> loss = asymmetric_loss(logits, labels, gamma_pos=1, gamma_neg=4, clip=0.05, reduction='sum')
        >>> print(f'{loss:.4f}')
        7.6169
    """
    check_reduction(reduction, avg_factor, "asymmetric_loss")
    if not isinstance(impl, Eager):
        check_choice("impl", impl, IMPLS, "asymmetric_loss")
    if target.shape != pred.shape:
        check_class_indices(pred, target)
    z, labels = as_matrix(pred), (as_matrix(target) if target.shape == pred.shape else target)
    if weight is not None:
        weight = align_weight(weight, pred).to(z.dtype)
    unwrap = not is_compiling() and (impl.select if isinstance(impl, Eager) else impl != "compile")
    gamma_neg = align_parameter("gamma_neg", gamma_neg, z, unwrap)
    clip = align_parameter("clip", clip, z, unwrap)
    ignore_above = align_parameter("ignore_above", ignore_above, z, unwrap)
    if not is_compiling():
        check_focusing("asymmetric_loss", gamma_pos, gamma_neg, clip, alpha, ignore_above)
    if isinstance(ignore_above, Tensor):
        ignore_logit: float | Tensor = ignore_above.logit()
    else:
        ignore_logit = math.log(ignore_above / (1 - ignore_above)) if ignore_above < 1 else math.inf
    pos_weight, neg_weight = _weights_of_sides(z, alpha, class_weight, class_weight_on)
    params = ASLParams(gamma_pos, gamma_neg, clip, pos_weight, neg_weight, detach_focusing, ignore_logit)
    if weight is not None and weight.requires_grad:
        loss = closed_form(z, labels, None, params, False, impl) * weight
        loss = loss if reduction == "none" else loss.sum()
    else:
        loss = closed_form(z, labels, weight, params, reduction != "none", impl)
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
    check_reduction(reduction, avg_factor, "asymmetric_softmax_loss")
    check_class_indices(pred, target)
    for name, value, high in (
        ("gamma_pos", gamma_pos, math.inf),
        ("gamma_neg", gamma_neg, math.inf),
        ("label_smoothing", label_smoothing, 1),
    ):
        check_number(name, value, 0, high, "asymmetric_softmax_loss")
    z = as_matrix(pred)
    factors = None if class_weight is None else _of_samples(class_weight, z, target)
    if weight is not None:
        if weight.numel() != len(z):
            raise ValueError(f"weight of shape {tuple(weight.shape)} does not fit {len(z)} samples")
        weight = weight.reshape(-1).to(z.dtype)
        factors = weight if factors is None else factors * weight
    params = SoftmaxParams(gamma_pos, gamma_neg, label_smoothing, detach_focusing)
    if factors is not None and factors.requires_grad:
        loss = closed_form(z, target, None, params, False) * factors
        loss = loss if reduction == "none" else loss.sum()
    else:
        loss = closed_form(z, target, factors, params, reduction != "none")
    return loss if reduction == "none" else _average(loss, reduction, avg_factor, len(z))


def _of_samples(class_weight: Tensor, z: Tensor, target: Tensor) -> Tensor:
    """(N,): the weight of the true class."""
    if class_weight.dim() == 1 and len(class_weight) == z.shape[1] - 1:
        class_weight = F.pad(class_weight, (0, 1), value=1.0)
    in_range = target.long().clamp(0, z.shape[1] - 1)  # an index that is not is refused with the others
    return align_class_weight(class_weight, z)[in_range]


def _average(total: Tensor, reduction: str, avg_factor: float | Tensor | None, number: int) -> Tensor:
    if avg_factor is not None:
        return total / (avg_factor + torch.finfo(torch.float32).eps)  # as MMDetection's losses: 0 positives is legal
    return total / max(number, 1) if reduction == "mean" else total
