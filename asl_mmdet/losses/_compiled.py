"""The closed form in one kernel, by ``torch.compile``."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from asl_mmdet.losses._device import is_cpu
from asl_mmdet.losses._eager import Positives, has_object, is_positive
from asl_mmdet.losses._elementwise import PER_CLASS, ASLParams, LossAndGrad, negative_loss, soft_label_loss
from asl_mmdet.losses._validation import check_index_range, check_labels

_MOST_FUNCTIONS = 32  # compiled ones that are kept: a set of parameters has one or two


def fused_reference(
    z: Tensor,
    labels: Tensor,
    weight: Tensor | None,
    params: ASLParams,
    want_grad: bool,
    reduce: bool,
    only_negatives: bool = False,
) -> LossAndGrad:
    """The weighted loss (or its sum) and the gradient of the sum, for a compiler to fuse.

    ``only_negatives``: positives have no loss and no gradient here.
    """
    scale = 1.0 if weight is None else weight
    objects = has_object(labels, z.shape[1])
    is_label = labels if labels.dim() == 2 else is_positive(labels, z.shape[1])  # exists in registers only
    y = is_label.to(z.dtype)
    if only_negatives:
        neg_scale = params.neg_scale(z, scale * (1 - y), objects)
        loss, grad = negative_loss(z, params.gamma_neg, params.clip, params.detach, neg_scale, want_grad)
    else:
        loss, grad = soft_label_loss(z, y, scale, params, want_grad, objects)
    return loss.sum() if reduce else loss, grad


# All losses share one code object, and PyTorch compiles one code object a few times only, unless told otherwise.
_ISOLATED: dict[str, Any] = {"isolate_recompiles": True}
if "isolate_recompiles" not in inspect.signature(torch.compile).parameters:
    _ISOLATED = {}


@functools.lru_cache(_MOST_FUNCTIONS)
def _compiled(
    params: ASLParams, want_grad: bool, reduce: bool, only_negatives: bool, tensors: tuple[str, ...]
) -> Callable[..., LossAndGrad]:
    """``tensors`` names the parameters that come with every call."""
    constant = {name: v for name, v in params._asdict().items() if name not in tensors}

    def function(z: Tensor, labels: Tensor, weight: Tensor | None, *values: Tensor) -> LossAndGrad:
        # With torch 2.1 on Python 3.10 neither `strict` nor `_replace` can be traced.
        given: dict[str, Any] = dict(zip(tensors, values))  # noqa: B905
        return fused_reference(z, labels, weight, ASLParams(**constant, **given), want_grad, reduce, only_negatives)

    return torch.compile(function, dynamic=True, **_ISOLATED)


def fused(
    z: Tensor, labels: Tensor, weight: Tensor | None, params: ASLParams, want_grad: bool, reduce: bool
) -> LossAndGrad:
    """What :func:`fused_reference` is compiled to; on a CPU the few positives of class indices are beside it."""
    positives = None
    if labels.dim() == 1:
        check_index_range(z, labels, z.shape[1], look=is_cpu(z))
        positives = Positives.find(z, labels, weight, params, want_grad) if is_cpu(z) else None
    elif is_cpu(z):
        check_labels(labels)
    values = {name: v for name in PER_CLASS if isinstance(v := getattr(params, name), Tensor)}
    constant: dict[str, Any] = dict.fromkeys(values, 0.0)
    function = _compiled(params._replace(**constant), want_grad, reduce, positives is not None, tuple(values))
    loss, grad = function(z, labels, weight, *values.values())
    if positives is not None:
        positives.put(None if reduce else loss, grad)
        loss = loss + positives.loss.sum() if reduce else loss
    return loss, grad
