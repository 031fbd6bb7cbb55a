"""For the time of a loss, a class more: that of the boxes whose class nobody knows."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


@contextmanager
def one_more_class(head: Any) -> Iterator[None]:
    """The head computes its targets for C + 1 classes, of which the last one is learned only as a box."""
    head.num_classes += 1
    head.cls_out_channels += 1
    try:
        yield
    finally:
        head.num_classes -= 1
        head.cls_out_channels -= 1


def with_best_score(scores: Tensor, num_classes: int) -> Tensor:
    """Scores (N, A * C, H, W) with the highest of each anchor as that of its class C, (N, A * (C + 1), H, W).

    Assigners that go by scores take the box for one of the class that the detector takes it for. It has no gradient.

    Example:
        >>> with_best_score(torch.tensor([1.0, 3, 5, 4]).view(1, 4, 1, 1), 2).flatten().tolist()
        [1.0, 3.0, 3.0, 5.0, 4.0, 5.0]
    """
    by_anchor = scores.unflatten(1, (-1, num_classes))
    return torch.cat([by_anchor, by_anchor.detach().amax(2, keepdim=True)], 2).flatten(1, 2)


def without_last_class(
    target: Any, weight: Tensor | None, last: int, best: Tensor | None = None
) -> tuple[Any, Tensor | None, Tensor]:
    """The target and weight of a loss for C + 1 classes as for C, and the rows (N,) of the last one.

    These rows are background in the target. So they are where its label is ignored: around a box, in FSAF.

    Args:
        target: Labels (N,), (labels, scores) or targets (N, C + 1).
        weight: (N,), (N, C + 1) or the same flat.
        last: C.
        best: (N,) class indices to put instead of the last one, where the loss only ranks anchors; no row is its then.
    """
    labels = target[0] if isinstance(target, (tuple, list)) else target
    if labels.dim() == 2:
        rows, new = labels[:, last] > 0, labels[:, :last]
        new = new.masked_fill(rows.unsqueeze(1), 0)
    else:
        rows, new = labels == last, labels - (labels > last).to(labels.dtype)
        if best is not None:
            rows, new = torch.zeros_like(rows), torch.where(rows, best, new)
    if isinstance(target, (tuple, list)):
        new = (new, *target[1:])
    if weight is not None and weight.numel() == len(labels) * (last + 1):
        weight = weight.reshape(-1, last + 1)
        rows, weight = rows | (weight[:, last] == 0), weight[:, :last]
    return new, weight, rows
