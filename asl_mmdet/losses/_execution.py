"""How the closed form is run: in pieces on a CPU, without a look at values on an accelerator, or compiled."""

import functools
import inspect
import itertools
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from asl_mmdet.losses._device import is_compiling, is_cpu
from asl_mmdet.losses._elementwise import PER_CLASS, Asymmetry, Side, both_sides, one_side

_SMALL = 2**14  # labels of the logits' shape so few that finding the positives costs more than it saves


class Eager(NamedTuple):
    """What ``impl='eager'`` does, to be given as ``impl`` where its choice for the device is to be another.

    Example:
        >>> Eager.on(torch.device('cpu'))
        Eager(piece=131072, select=True)
        >>> Eager.on(torch.device('cuda'))
        Eager(piece=None, select=False)
    """

    piece: int | None = None
    """So many elements are worked on at a time; None: all. On a CPU a piece stays in the cache, which is several times
    faster than whole tensors, with temporaries of a few MB."""

    select: bool = False
    """Look at values, to do the work of positives on these alone. On an accelerator every look makes it wait."""

    @classmethod
    def on(cls, device: torch.device) -> "Eager":
        """What 'eager' is on a device."""
        return cls(piece=2**17, select=True) if device.type == "cpu" else cls()


# Eager. -------------------------------------------------------------------------------------------------------------


def _has_object(z: Tensor, labels: Tensor) -> Tensor | None:
    """(N, 1): whether a row has a class; None for labels of the logits' shape, which stand each for itself."""
    return None if labels.dim() == 2 else labels.unsqueeze(1) != z.shape[1]


def _eager(
    z: Tensor, labels: Tensor, weight: Tensor | None, a: Asymmetry, want_grad: bool, reduce: bool, how: Eager
) -> Side:
    """The (sum of the) weighted loss and the gradient of the sum, kernel by kernel."""
    loss = z.new_zeros(()) if reduce else torch.empty_like(z)
    grad = z.new_empty(z.shape) if want_grad else None
    positives = _Positives.find(z, labels, weight, a, want_grad, how.select)
    has_object = _has_object(z, labels)
    step = z.shape[0] if how.piece is None else how.piece // max(z.shape[1], 1)
    starts = range(0, z.shape[0], max(1, step))
    entries = [] if positives is None else positives.of_pieces([*starts, z.shape[0]])
    for number, start in enumerate(starts):
        piece = slice(start, start + starts.step)
        piece_z = z[piece]
        piece_weight = 1.0 if weight is None else weight[piece]
        piece_grad = None if grad is None else grad[piece]
        if positives is None:
            piece_loss, mixed = both_sides(piece_z, labels[piece].to(z.dtype), piece_weight, a, want_grad)
            if piece_grad is not None and mixed is not None:
                piece_grad.copy_(mixed)
        else:
            scale = a.neg_scale(piece_z, piece_weight, None if has_object is None else has_object[piece])
            piece_loss = one_side(piece_z, a.gamma_neg, a.clip, a.detach, scale, want_grad, piece_grad)[0]
            if reduce:
                positives.take_out(piece_loss, start, entries[number])
        if reduce:
            loss += piece_loss.sum()
        else:
            loss[piece] = piece_loss
    if positives is not None:
        positives.put(None if reduce else loss, grad)
        loss = loss + positives.total() if reduce else loss
    return loss, grad


class _Positives(NamedTuple):
    """The elements that are not plain negatives, in the order of their rows, with what belongs there."""

    rows: Tensor
    columns: Tensor
    loss: Tensor
    grad: Tensor | None
    is_background: Tensor | None

    @classmethod
    def find(
        cls, z: Tensor, labels: Tensor, weight: Tensor | None, a: Asymmetry, want_grad: bool, select: bool
    ) -> "_Positives | None":
        """None where labels of the logits' shape are to be mixed element by element.

        Without ``select`` every row of class indices has an entry, and background rows put back what is there; labels
        of the logits' shape are mixed.
        """
        is_background = None
        y: Tensor | float = 1.0
        if labels.dim() == 2:
            if not select or labels.numel() < _SMALL or labels.count_nonzero() > labels.numel() // 4:
                return None
            rows, columns = labels.nonzero(as_tuple=True)
            y = labels[rows, columns].to(z.dtype)
        elif select:
            rows = (labels < z.shape[1]).nonzero().squeeze(1)
            columns = labels[rows].long()
        else:
            rows = torch.arange(len(labels), device=labels.device)
            is_background = labels == z.shape[1]
            columns = labels.long().masked_fill(is_background, 0)
        own_weight = 1.0 if weight is None else weight.expand_as(z)[rows, columns]
        own = a.of_columns(columns)
        return cls(rows, columns, *both_sides(z[rows, columns], y, own_weight, own, want_grad), is_background)

    def put(self, loss: Tensor | None, grad: Tensor | None) -> None:
        """Overwrite what is there in the loss and in the gradient of all rows."""
        at = self.rows, self.columns
        for there, value in ((loss, self.loss), (grad, self.grad)):
            if there is not None and value is not None:
                there[at] = value if self.is_background is None else torch.where(self.is_background, there[at], value)

    def of_pieces(self, bounds: list[int]) -> list[slice]:
        """The entries of every piece between two of these rows."""
        if self.is_background is None:
            bounds = torch.searchsorted(self.rows, torch.tensor(bounds)).tolist()
        return [slice(*pair) for pair in itertools.pairwise(bounds)]  # without selection every row has an entry

    def take_out(self, loss: Tensor, start: int, entries: slice) -> None:
        """Overwrite these entries by 0 in the loss of the rows from ``start`` on."""
        at = self.rows[entries] - start, self.columns[entries]
        loss[at] = 0.0 if self.is_background is None else loss[at] * self.is_background[entries]

    def total(self) -> Tensor:
        """The sum of their loss."""
        return (self.loss if self.is_background is None else self.loss * ~self.is_background).sum()


# Compiled. ----------------------------------------------------------------------------------------------------------


def _whole(
    z: Tensor,
    labels: Tensor,
    weight: Tensor | None,
    a: Asymmetry,
    want_grad: bool,
    reduce: bool,
    has_object: Tensor | None = None,
) -> Side:
    """The elementwise part for a compiler to fuse: all of it, or with class indices that of the negatives alone."""
    scale = 1.0 if weight is None else weight
    if labels.dim() == 2:
        loss, grad = both_sides(z, labels.to(z.dtype), scale, a, want_grad, has_object)
    else:
        is_negative = labels.unsqueeze(1) != torch.arange(z.shape[1], device=z.device)  # exists in registers only
        neg_scale = a.neg_scale(z, scale * is_negative.to(z.dtype), _has_object(z, labels))
        loss, grad = one_side(z, a.gamma_neg, a.clip, a.detach, neg_scale, want_grad)
    return loss.sum() if reduce else loss, grad


# All losses share one code object, and PyTorch compiles one code object a few times only, unless told otherwise.
_ISOLATED: dict[str, Any] = {"isolate_recompiles": True}
if "isolate_recompiles" not in inspect.signature(torch.compile).parameters:
    _ISOLATED = {}


@functools.cache
def _compiled(a: Asymmetry, want_grad: bool, reduce: bool, tensors: tuple[str, ...]) -> Callable[..., Side]:
    """``tensors`` names the parameters of ``a`` that come with every call."""
    constant = {name: v for name, v in a._asdict().items() if name not in tensors}

    def function(z: Tensor, labels: Tensor, weight: Tensor | None, *values: Tensor) -> Side:
        # With torch 2.1 on Python 3.10 neither `strict` nor `_replace` can be traced.
        given: dict[str, Any] = dict(zip(tensors, values))  # noqa: B905
        return _whole(z, labels, weight, Asymmetry(**constant, **given), want_grad, reduce)

    return torch.compile(function, dynamic=True, **_ISOLATED)


def _fused(z: Tensor, labels: Tensor, weight: Tensor | None, a: Asymmetry, want_grad: bool, reduce: bool) -> Side:
    """What :func:`_whole` is compiled to, and the few positives of class indices beside it."""
    values = {name: v for name in PER_CLASS if isinstance(v := getattr(a, name), Tensor)}
    constant: dict[str, Any] = dict.fromkeys(values, 0.0)
    function = _compiled(a._replace(**constant), want_grad, reduce, tuple(values))
    loss, grad = function(z, labels, weight, *values.values())
    if labels.dim() == 1:
        positives = _Positives.find(z, labels, weight, a, want_grad, select=is_cpu(z))
        assert positives is not None
        positives.put(None if reduce else loss, grad)
        loss = loss + positives.total() if reduce else loss
    return loss, grad


_compiler_failed = False


def _try_fused(*args: Any) -> Side | None:
    """None where there is no working compiler; after a failure it is not asked again."""
    global _compiler_failed
    if _compiler_failed:
        return None
    try:
        return _fused(*args)
    except Exception as error:  # whatever a compiler can fail with; a wrong input fails again in the eager form
        _compiler_failed = True
        warnings.warn(f"asymmetric_loss is not compiled here and runs eagerly: {error}", stacklevel=3)
        return None


# The choice between them, and the autograd function. ----------------------------------------------------------------


def _run(
    z: Tensor, labels: Tensor, weight: Tensor | None, a: Asymmetry, want_grad: bool, reduce: bool, impl: str | Eager
) -> Side:
    if is_compiling():  # the caller's own torch.compile, which cannot select by value
        y = labels if labels.dim() == 2 else labels.unsqueeze(1) == torch.arange(z.shape[1], device=z.device)
        return _whole(z, y, weight, a, want_grad, reduce, _has_object(z, labels))
    if impl == "compile":
        return _fused(z, labels, weight, a, want_grad, reduce)
    if impl == "auto" and not is_cpu(z):
        result = _try_fused(z, labels, weight, a, want_grad, reduce)
        if result is not None:
            return result
    how = impl if isinstance(impl, Eager) else Eager.on(z.device)
    return _eager(z, labels, weight, a, want_grad, reduce, how)


# Whether the running backward pass has retain_graph=True. PyTorch's own compiler asks it before it reuses a buffer;
# where a version of PyTorch lacks it, the gradient is copied.
_graph_is_kept = getattr(torch._C._autograd, "_get_current_graph_task_keep_graph", lambda: True)


class ClosedForm(torch.autograd.Function):
    """The (summed) loss, with its gradient as the only saved tensor."""

    @staticmethod
    def forward(
        ctx: Any, z: Tensor, labels: Tensor, weight: Tensor | None, a: Asymmetry, reduce: bool, impl: str | Eager
    ) -> Tensor:
        """Compute both."""
        loss, grad = _run(z, labels, weight, a, ctx.needs_input_grad[0], reduce, impl)
        if grad is not None:
            ctx.save_for_backward(grad)
        return loss

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        """Scale the gradient, in place if nobody comes back for it."""
        if torch.is_grad_enabled():  # create_graph=True: the result would look like a constant, without a word
            raise RuntimeError(
                "asymmetric_loss has a closed-form first derivative and no second: drop create_graph=True, or use "
                "asl_mmdet.losses.functional.plain_asymmetric_loss"
            )
        (grad,) = ctx.saved_tensors
        if is_compiling() or _graph_is_kept():
            return grad_output * grad, None, None, None, None, None
        return grad.mul_(grad_output), None, None, None, None, None
