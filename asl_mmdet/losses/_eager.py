"""The closed form operator by operator: in chunks, and on a CPU with the work of positives on these only."""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from asl_mmdet.losses._elementwise import ASLParams, LossAndGrad, negative_loss, soft_label_loss
from asl_mmdet.losses._threads import map_chunks, on_one_thread, threads_for
from asl_mmdet.losses._validation import check_index_range, check_labels

_SMALL = 2**14  # labels of the logits' shape so few that finding the positives costs more than it saves


class Eager(NamedTuple):
    """What ``impl='eager'`` does, to be given as ``impl`` where its choice for the device is to be another.

    Example:
        >>> Eager.on(torch.device('cpu'))
        Eager(chunk=131072, select=True)
        >>> Eager.on(torch.device('cuda'))
        Eager(chunk=4194304, select=False)
    """

    chunk: int
    """So many elements are worked on at a time. On a CPU a chunk stays in the cache, which is several times faster than
    whole tensors; elsewhere it bounds the memory of the temporaries, about 12 times the chunk."""

    select: bool
    """Look at values, to do the work of positives on these only. On an accelerator every look makes it wait."""

    @classmethod
    def on(cls, device: torch.device) -> "Eager":
        """What 'eager' is on a device."""
        return cls(chunk=2**17, select=True) if device.type == "cpu" else cls(chunk=2**22, select=False)


def is_positive(labels: Tensor, num_classes: int) -> Tensor:
    """(N, C): which class indices (N,) name the column."""
    return labels.unsqueeze(1) == torch.arange(num_classes, device=labels.device)


def has_object(labels: Tensor, num_classes: int) -> Tensor | None:
    """(N, 1): whether a row has a class; None for labels of the logits' shape, which stand each for itself."""
    return None if labels.dim() == 2 else labels.unsqueeze(1) != num_classes


def _rows_of_chunk(x: Tensor, how: Eager) -> int:
    return max(1, how.chunk // max(x.shape[1], 1))


class Positives(NamedTuple):
    """The elements that are not plain negatives, in the order of their rows, with what belongs there."""

    rows: Tensor
    columns: Tensor
    loss: Tensor
    grad: Tensor | None

    @classmethod
    def find(
        cls, z: Tensor, labels: Tensor, weight: Tensor | None, params: ASLParams, want_grad: bool, threads: int = 1
    ) -> "Positives | None":
        """None where labels of the logits' shape are few, or too many of them are not 0.

        Raises:
            ValueError: If one of these is outside [0, 1].
        """
        y: Tensor | float = 1.0
        if labels.dim() == 1:
            rows = (labels < z.shape[1]).nonzero().squeeze(1)
            columns = labels[rows].long()
        elif labels.numel() < _SMALL:
            check_labels(labels)
            return None
        else:
            parts = torch.split(labels, _rows_of_chunk(labels, Eager.on(labels.device)))
            found = map_chunks(threads, lambda number: parts[number].nonzero(), len(parts))
            if sum(map(len, found)) > labels.numel() // 4:
                map_chunks(threads, lambda number: check_labels(parts[number]), len(parts))
                return None
            starts = itertools.accumulate(map(len, parts), initial=0)
            rows = torch.cat([places[:, 0] + start for places, start in zip(found, starts, strict=False)])
            columns = torch.cat([places[:, 1] for places in found])
            y = labels[rows, columns]
            check_labels(y)
            y = y.to(z.dtype)
        own_weight = 1.0 if weight is None else weight.expand_as(z)[rows, columns]
        own = soft_label_loss(z[rows, columns], y, own_weight, params.of_elements(rows, columns), want_grad)
        return cls(rows, columns, *own)

    def put(self, loss: Tensor | None, grad: Tensor | None) -> None:
        """Overwrite what is there in the loss and in the gradient of all rows."""
        for there, value in ((loss, self.loss), (grad, self.grad)):
            if there is not None and value is not None:
                there[self.rows, self.columns] = value

    def of_chunks(self, bounds: list[int]) -> list[slice]:
        """The entries between each two of these rows."""
        places = torch.searchsorted(self.rows, torch.tensor(bounds, device=self.rows.device)).tolist()
        return [slice(*pair) for pair in itertools.pairwise(places)]

    def zero_entries(self, loss: Tensor, start: int, entries: slice) -> None:
        """Overwrite these entries by 0 in the loss of the rows from ``start`` on."""
        if entries.start < entries.stop:
            loss[self.rows[entries] - start, self.columns[entries]] = 0.0


def eager(
    z: Tensor,
    labels: Tensor,
    weight: Tensor | None,
    params: ASLParams,
    want_grad: bool,
    reduce: bool,
    how: Eager | None = None,
) -> LossAndGrad:
    """The weighted loss or its sum, and the gradient of the sum."""
    how = how or Eager.on(z.device)
    threads = threads_for(z)
    # Made by the caller: malloc keeps the memory of every thread apart.
    loss = None if reduce else torch.empty_like(z)
    grad = z.new_empty(z.shape) if want_grad else None
    total = on_one_thread(threads, _fill, loss, grad, z, labels, weight, params, how, threads)
    return total if loss is None else loss, grad


def _fill(
    loss: Tensor | None,
    grad: Tensor | None,
    z: Tensor,
    labels: Tensor,
    weight: Tensor | None,
    params: ASLParams,
    how: Eager,
    threads: int,
) -> Tensor:
    """Write the loss and the gradient where they are wanted; return the sum of the loss where it is not kept."""
    want_grad = grad is not None
    if labels.dim() == 1:
        check_index_range(z, labels, z.shape[1], look=how.select)
    positives = Positives.find(z, labels, weight, params, want_grad, threads) if how.select else None
    objects = has_object(labels, z.shape[1])
    rows = _rows_of_chunk(z, how)
    starts = range(0, len(z), rows)
    entries = positives.of_chunks([*starts, len(z)]) if positives else []

    def one_chunk(number: int) -> Tensor | None:
        start = starts[number]
        part = slice(start, start + rows)
        part_z, part_objects = z[part], None if objects is None else objects[part]
        part_weight = 1.0 if weight is None else weight[part]
        part_grad = None if grad is None else grad[part]
        own = params.of_rows(part)
        if positives is not None:
            scale = own.neg_scale(part_z, part_weight, part_objects)
            part_loss, _ = negative_loss(part_z, own.gamma_neg, own.clip, own.detach, scale, want_grad, part_grad)
            if loss is None:
                positives.zero_entries(part_loss, start, entries[number])
        else:
            y = labels[part] if labels.dim() == 2 else is_positive(labels[part], z.shape[1])
            part_loss, mixed = soft_label_loss(part_z, y.to(z.dtype), part_weight, own, want_grad, part_objects)
            if part_grad is not None and mixed is not None:
                part_grad.copy_(mixed)
        if loss is None:
            return part_loss.sum()
        loss[part] = part_loss
        return None

    sums = map_chunks(threads, one_chunk, len(starts))
    if positives is not None:
        positives.put(loss, grad)
        sums.append(positives.loss.sum())
    return sum((s for s in sums if s is not None), z.new_zeros(()))


def sum_of_chunks(function: Callable[..., Tensor], x: Tensor, *others: Tensor | None) -> Tensor:
    """What ``function(x, *others)`` gives, for one that adds up over rows; without gradients.

    Example:
        >>> sum_of_chunks(lambda x, y: (x * y).sum(), torch.ones(5, 2), torch.ones(5, 1))
        tensor(10.)
    """
    rows = _rows_of_chunk(x, Eager.on(x.device))
    columns = (itertools.repeat(None) if y is None else torch.split(y, rows) for y in others)
    parts = list(zip(torch.split(x, rows), *columns, strict=False))
    threads = threads_for(x)
    sums = on_one_thread(threads, map_chunks, threads, lambda number: function(*parts[number]), len(parts))
    return torch.stack(sums).sum(0) if len(sums) > 1 else sums[0]


def scale_(grad: Tensor, factor: Tensor) -> Tensor:
    """Multiply in place."""
    threads = threads_for(grad)
    if threads == 1 or factor.dim():
        return grad.mul_(factor)
    chunk = Eager.on(grad.device).chunk
    parts = torch.split(grad.view(-1), chunk)
    on_one_thread(threads, map_chunks, threads, lambda number: parts[number].mul_(factor), len(parts))
    return grad
