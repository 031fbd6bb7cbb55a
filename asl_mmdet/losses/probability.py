"""The probabilities of Section 2.6 of https://arxiv.org/abs/2009.14119, as sums over calls and processes."""

import torch
from torch import Tensor


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
    p = pred.detach().float()
    p = p if activated else p.sigmoid()
    if target.shape != pred.shape:
        target = target.unsqueeze(1) == torch.arange(p.shape[1], device=p.device)
    y = target.float()
    counted = y >= 0
    if weight is not None:
        counted = counted & (weight > 0).reshape(p.shape if weight.numel() == p.numel() else (-1, 1))
    positive, negative = y * counted, (1 - y) * counted
    if min_score:
        negative = negative * (p >= min_score)
    sums = torch.stack([(v * share).sum(0) for share, q in ((positive, p), (negative, 1 - p)) for v in (q, 1.0)])
    return sums if per_class else sums.sum(1)


def probability_gap(sums: Tensor) -> tuple[Tensor, Tensor]:
    """Mean p of the positives and mean 1 - p of the negatives (Eq. 9); their difference is the gap (Eq. 10).

    NaN where there was nothing to average.

    Example:
        >>> p_pos, p_neg = probability_gap(torch.tensor([0.9, 1.0, 1.2, 2.0]))
        >>> print(f'{p_pos:.1f} - {p_neg:.1f} = {p_pos - p_neg:.1f}')
        0.9 - 0.6 = 0.3
    """
    return sums[0] / sums[1], sums[2] / sums[3]
