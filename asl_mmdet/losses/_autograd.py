"""The autograd function: the gradient is taken in the forward pass, and is the only tensor that is saved."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from asl_mmdet.losses._compiled import fused, fused_reference
from asl_mmdet.losses._device import is_compiling, is_cpu
from asl_mmdet.losses._eager import Eager, eager, scale_
from asl_mmdet.losses._elementwise import ASLParams, LossAndGrad
from asl_mmdet.losses._threads import on_one_thread, threads_for
from asl_mmdet.losses._validation import check_index_range
from asl_mmdet.losses.plain import plain_asymmetric_softmax_loss


class SoftmaxParams(NamedTuple):
    """The parameters of a call of the softmax form."""

    gamma_pos: float
    gamma_neg: float
    label_smoothing: float
    detach_focusing: bool


def closed_form(
    z: Tensor,
    labels: Tensor,
    weight: Tensor | None,
    params: ASLParams | SoftmaxParams,
    reduce: bool,
    impl: str | Eager = "auto",
) -> Tensor:
    """The weighted loss, or its sum; the one place that chooses how it is computed is :func:`_compute`.

    Args:
        z: Logits (N, C), float32 or float64.
        labels: Class indices (N,), or for the sigmoid form labels (N, C).
        weight: (N, 1) or (N, C), for the softmax form (N,). It gets no gradient.
        params: Their type says which form it is.
        reduce: Add all up. Else the loss is (N, C), of the softmax form (N,).
        impl: 'auto', 'eager' or 'compile', for the sigmoid form.
    """
    want_grad = torch.is_grad_enabled() and z.requires_grad
    if is_compiling() or not torch._C._are_functorch_transforms_active():
        loss: Tensor = _ClosedForm.apply(z, labels, weight, params, reduce, impl, want_grad)
    else:
        anchor = z[:0].clone() if want_grad else None  # empty, and of the logits
        loss, _ = _TransformedClosedForm.apply(anchor, z, labels, weight, params, reduce, impl, want_grad)
    return loss


def _compute(
    z: Tensor,
    labels: Tensor,
    weight: Tensor | None,
    params: ASLParams | SoftmaxParams,
    reduce: bool,
    impl: str | Eager,
    want_grad: bool,
) -> LossAndGrad:
    if isinstance(params, SoftmaxParams):
        return on_one_thread(threads_for(z), _softmax, z, labels, weight, params, reduce, want_grad)
    if is_compiling():  # the caller's own torch.compile
        return fused_reference(z, labels, weight, params, want_grad, reduce)
    if impl == "compile":
        return fused(z, labels, weight, params, want_grad, reduce)
    # 'auto' is eager on every device: the compiled form has not been run on an accelerator yet.
    return eager(z, labels, weight, params, want_grad, reduce, impl if isinstance(impl, Eager) else None)


def _softmax(
    z: Tensor, labels: Tensor, weight: Tensor | None, params: SoftmaxParams, reduce: bool, want_grad: bool
) -> LossAndGrad:
    check_index_range(z, labels, z.shape[1] - 1, look=is_cpu(z) and not is_compiling())
    with torch.set_grad_enabled(want_grad):
        leaf = z.detach().requires_grad_(want_grad)
        loss = plain_asymmetric_softmax_loss(leaf, labels, **params._asdict())
        loss = loss if weight is None else loss * weight
        total = loss.sum()
        grad = torch.autograd.grad(total, leaf)[0] if want_grad else None
    return (total if reduce else loss).detach(), grad


# Whether the running backward pass has retain_graph=True. PyTorch's own compiler asks it before it reuses a buffer;
# where a version of PyTorch lacks it, the gradient is copied.
_graph_is_kept = getattr(torch._C._autograd, "_get_current_graph_task_keep_graph", lambda: True)


def _factor(grad_output: Tensor) -> Tensor:
    """The gradient from above in a shape that fits (N, C)."""
    return grad_output.unsqueeze(1) if grad_output.dim() == 1 else grad_output


class _ClosedForm(torch.autograd.Function):
    """The loss, with its gradient as the only saved tensor."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Tensor:
        """As :func:`_compute`."""
        loss, grad = _compute(*args)
        if grad is not None:
            ctx.save_for_backward(grad)
        return loss

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        """Scale the gradient, in place if nobody comes back for it."""
        if torch.is_grad_enabled():  # create_graph=True: the result would look like a constant, without a word
            raise RuntimeError(_NO_SECOND)
        (grad,) = ctx.saved_tensors
        factor = _factor(grad_output)
        scaled = grad * factor if is_compiling() or _graph_is_kept() else scale_(grad, factor)
        return scaled, None, None, None, None, None, None


class _TransformedClosedForm(torch.autograd.Function):
    """The same for ``torch.func``, whose transforms ask for ``setup_context``, which takes longer to call."""

    @staticmethod
    def forward(anchor: Tensor | None, *args: Any) -> LossAndGrad:
        """As :func:`_compute`; ``anchor`` ties the gradient to the logits without keeping them."""
        return _compute(*args)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: LossAndGrad) -> None:
        """Keep the gradient."""
        ctx.set_materialize_grads(False)
        if output[1] is not None:
            ctx.mark_non_differentiable(output[1])
            ctx.save_for_backward(inputs[0], output[1])

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
        """Scale the gradient."""
        if grad_output is None:
            return (None,) * 8
        anchor, grad = ctx.saved_tensors
        scaled = _NoSecondDerivative.apply(grad * _factor(grad_output), anchor)
        return None, scaled, None, None, None, None, None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *args: Any) -> tuple[LossAndGrad, tuple[int, int | None]]:
        """One call for every element of the batch."""
        calls = [
            _TransformedClosedForm.apply(*(_at(value, dim, i) for value, dim in zip(args, in_dims, strict=True)))
            for i in range(info.batch_size)
        ]
        losses, grads = zip(*calls, strict=True)
        has_grad = grads[0] is not None
        return (torch.stack(losses), torch.stack(grads) if has_grad else None), (0, 0 if has_grad else None)


def _at(value: Any, dim: Any, i: int) -> Any:
    """The i-th element of the batch; of a tuple of parameters, with that of each."""
    if isinstance(value, tuple) and isinstance(dim, tuple):
        return type(value)(*(_at(v, d, i) for v, d in zip(value, dim, strict=True)))
    return value if dim is None else value.select(dim, i)


_NO_SECOND = (
    "asymmetric_loss has a closed-form first derivative and no second: drop create_graph=True, or use "
    "asl_mmdet.losses.plain"
)


class _NoSecondDerivative(torch.autograd.Function):
    """Raises where somebody differentiates the gradient, which would look like a constant without a word."""

    generate_vmap_rule = True

    @staticmethod
    def forward(grad: Tensor, anchor: Tensor) -> Tensor:
        """``anchor`` is what makes the result require a gradient."""
        return grad.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        """Keep nothing."""

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> None:
        """Raise."""
        raise RuntimeError(_NO_SECOND)
