"""Scores that carry a mask along, through what heads do with the layout of their scores."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

_LAYOUT = {  # what a head may do between its convolution and its loss: the mask goes the same way
    *(Tensor.permute, Tensor.reshape, Tensor.view, Tensor.flatten, Tensor.transpose, Tensor.contiguous),
    *(Tensor.squeeze, Tensor.unsqueeze, Tensor.expand, Tensor.repeat, Tensor.split, Tensor.chunk, Tensor.unbind),
    *(Tensor.__getitem__, Tensor.index_select, Tensor.clone, Tensor.detach),
    *(torch.cat, torch.stack, torch.permute, torch.reshape, torch.flatten, torch.transpose),
    *(torch.squeeze, torch.unsqueeze, torch.split, torch.chunk, torch.unbind, torch.index_select, torch.clone),
}
_DTYPE = {Tensor.float, Tensor.double, Tensor.half, Tensor.bfloat16, Tensor.to, Tensor.type_as}  # the mask stays


class MaskedScores(Tensor):
    """Scores with a tensor of their shape, ``marks``, such as a mask.

    Every operation gives what it gives for plain scores. The results of those that only move elements are marked
    too, and all others are plain tensors: a head that computes something else from its scores sees the right values.

    Example:
        >>> scores = mark(torch.zeros(1, 2, 1, 1), torch.tensor([[[[True]], [[False]]]]))
        >>> scores.permute(0, 2, 3, 1).reshape(-1, 2).marks
        tensor([[ True, False]])
        >>> type(scores + 1)
        <class 'torch.Tensor'>
    """

    marks: Tensor

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Apply a function to the scores, and to the marks if it only moves elements."""
        kwargs = kwargs or {}
        with torch._C.DisableTorchFunctionSubclass():
            out = func(*args, **kwargs)
            if func in _DTYPE and isinstance(args[0], cls):
                return mark(out, args[0].marks.to(out.device))
            if func not in _LAYOUT or not _all_marked(args[0]):
                return out
            marks = func(_marks_of(args[0]), *args[1:], **kwargs)
            if isinstance(out, Tensor):
                return mark(out, marks)
            return type(out)(mark(o, m) for o, m in zip(out, marks, strict=True))


def mark(scores: Tensor, marks: Tensor) -> MaskedScores:
    """Scores with marks; the gradient flows to ``scores``."""
    marked = scores.as_subclass(MaskedScores)
    marked.marks = marks
    return marked


def unmark(scores: MaskedScores) -> Tensor:
    """Only the scores."""
    return scores.as_subclass(Tensor)


def _all_marked(value: Any) -> bool:
    return all(isinstance(v, MaskedScores) for v in (value if isinstance(value, (list, tuple)) else [value]))


def _marks_of(value: Any) -> Any:
    return [v.marks for v in value] if isinstance(value, (list, tuple)) else value.marks
