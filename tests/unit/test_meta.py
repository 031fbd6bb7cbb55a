"""No look at values on an accelerator: every form of the loss runs on the meta device, which has shapes and no values.

``.item()``, ``nonzero`` and boolean indexing raise there. On an accelerator they make the host wait in every step.
"""

import itertools

import pytest
import torch

from asl_mmdet.losses.functional import asymmetric_loss, asymmetric_softmax_loss
from asl_mmdet.losses.probability import probability_gap, probability_sums

N, C = 12, 5
WEIGHTS = [None, (N,), (N, C), (N * C,)]
WEIGHED = torch.ones(C), torch.ones(C, device="meta")  # weights that are still on the CPU, and some that are not
SIDES = ("positive", "negative", "both")


def meta(*shape, dtype=torch.float32):
    return torch.empty(shape, dtype=dtype, device="meta")


def target_of(kind):
    return meta(N, dtype=torch.long) if kind == "index" else meta(N, C)


def check(loss, logits, shape=()):
    """Forward and backward stay on the device."""
    assert (loss.device.type, loss.shape) == ("meta", shape)
    loss.sum().backward()
    assert (logits.grad.device.type, logits.grad.shape) == ("meta", logits.shape)


@pytest.mark.parametrize(
    "look", [torch.Tensor.item, torch.Tensor.nonzero, torch.Tensor.tolist, bool, lambda x: meta(1)[x > 0]]
)
def test_a_look_at_values_raises_here(look):
    with pytest.raises((RuntimeError, NotImplementedError)):
        look(meta(1))


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("weight", WEIGHTS, ids=str)
@pytest.mark.parametrize("kind", ["index", "dense"])
def test_function(kind, weight, reduction):
    weight = None if weight is None else meta(*weight)
    shape = (N, C) if reduction == "none" else ()
    options = [
        dict(clip=0.0, alpha=0.25),
        dict(clip=0.05, ignore_above=0.3),
        dict(clip=0.05, detach_focusing=True),
        dict(clip=meta(C), gamma_neg=meta(C), ignore_above=0.3),
        dict(clip=0.0, ignore_above=meta()),
        dict(clip=0.05, ignore_above=meta(C)),
        dict(clip=meta(), gamma_neg=meta(1)),
        *(
            dict(clip=clip, class_weight=weights, class_weight_on=side, ignore_above=0.6)
            for clip, weights, side in itertools.product((0.0, 0.05), WEIGHED, SIDES)
        ),
        *([dict(clip=0.05, avg_factor=avg) for avg in (7.0, meta())] if reduction == "mean" else []),
    ]
    for given in options:
        z = meta(N, C).requires_grad_()
        kwargs = dict(gamma_pos=1, gamma_neg=2, reduction=reduction, impl="eager") | given
        check(asymmetric_loss(z, target_of(kind), weight, **kwargs), z, shape)


@pytest.mark.parametrize("kind", ["index", "dense"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_function_in_other_precisions(dtype, kind):
    z = meta(N, C, dtype=dtype).requires_grad_()
    loss = asymmetric_loss(z, target_of(kind), gamma_pos=0, gamma_neg=4, clip=0.05, impl="eager")
    check(loss, z)
    assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)


@pytest.mark.parametrize("kind", ["index", "dense"])
def test_weight_that_requires_grad(kind):
    z, weight = meta(N, C).requires_grad_(), meta(N).requires_grad_()
    check(asymmetric_loss(z, target_of(kind), weight, gamma_pos=0, gamma_neg=4, clip=0.05, impl="eager"), z)
    assert weight.grad.shape == weight.shape


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("weight", [None, (N,)], ids=str)
def test_softmax_function(weight, reduction):
    z = meta(N, C).requires_grad_()
    weight = None if weight is None else meta(*weight)
    kwargs = dict(gamma_pos=1, gamma_neg=2, label_smoothing=0.1, reduction=reduction)
    check(asymmetric_softmax_loss(z, target_of("index"), weight, **kwargs), z, (N,) if reduction == "none" else ())


@pytest.mark.parametrize("per_class", [False, True])
@pytest.mark.parametrize("weight", [*WEIGHTS, (N, 1)], ids=str)
@pytest.mark.parametrize("kind", ["index", "dense"])
def test_statistics(kind, weight, per_class):
    weight = None if weight is None else meta(*weight)
    sums = probability_sums(meta(N, C), target_of(kind), weight, min_score=0.05, per_class=per_class)
    assert [(v.device.type, v.shape) for v in probability_gap(sums)] == 2 * [("meta", (C,) if per_class else ())]
