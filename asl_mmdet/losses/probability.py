"""The probabilities of Section 2.6 of https://arxiv.org/abs/2009.14119, as sums over calls and processes."""

from functools import partial

import torch
from torch import Tensor

from asl_mmdet.losses._eager import sum_of_chunks
from asl_mmdet.losses._validation import align_weight


@torch.no_grad()
def probability_sums(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    activated: bool = False,
    min_score: float = 0.0,
    per_class: bool = False,
) -> Tensor:
    """What Eq. 9 and 10 average: p of the positives and 1 - p of the negatives, and how many they are.

    A soft label y counts as y of a positive and 1 - y of a negative; weight 0 or a label below 0 does not count.

    Args:
        pred: Logits (N, C), or probabilities if ``activated``.
        target: Class indices (N,), C being background, or labels of ``pred``'s shape.
        weight: (N,), or as many as ``pred`` has; only whether it is above 0 matters.
        activated: Whether ``pred`` are probabilities.
        min_score: Count only negatives with a probability of at least this.
        per_class: Keep the classes apart.

    Returns:
        Float32 (4,), or (4, C): the sum of p over the positives and their number, the sum of 1 - p over the negatives
        and their number. :func:`probability_gap` makes the averages of it.

    Example:
        >>> p, labels = torch.tensor([[0.9], [0.5], [0.3]]), torch.tensor([0, 1, 1])  # 1 is background here
        >>> probability_sums(p, labels, activated=True)
        tensor([0.9000, 1.0000, 1.2000, 2.0000])
    """
    weight = None if weight is None else align_weight(weight, pred)
    function = partial(_sums, activated=activated, min_score=min_score, per_class=per_class)
    return sum_of_chunks(function, pred.detach(), target, weight)


def _sums(
    pred: Tensor, target: Tensor, weight: Tensor | None, activated: bool, min_score: float, per_class: bool
) -> Tensor:
    p = pred.float()
    p = p if activated else p.sigmoid()
    if target.shape != pred.shape:
        target = target.unsqueeze(1) == torch.arange(p.shape[1], device=p.device)
    y = target.float()
    counted = (y >= 0).float()
    if weight is not None:
        counted *= weight > 0
    positive = y * counted
    negative = counted - positive
    if min_score:
        negative *= p >= min_score
    terms = [positive * p, positive, negative - negative * p, negative]
    return torch.stack([term.sum(0) if per_class else term.sum() for term in terms])


def probability_gap(sums: Tensor) -> tuple[Tensor, Tensor]:
    """Mean p of the positives and mean 1 - p of the negatives (Eq. 9); their difference is the gap (Eq. 10).

    NaN where there was nothing to average.

    Example:
        >>> p_pos, p_neg = probability_gap(torch.tensor([0.9, 1.0, 1.2, 2.0]))
        >>> print(f'{p_pos:.1f} - {p_neg:.1f} = {p_pos - p_neg:.1f}')
        0.9 - 0.6 = 0.3
    """
    return sums[0] / sums[1], sums[2] / sums[3]
