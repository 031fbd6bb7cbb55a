"""A label outside [0, 1] is refused on a CPU, by every path that the loss may take there."""

import pytest
import torch

from asl_mmdet.losses import AdaptiveAsymmetricLoss, AsymmetricLoss, asymmetric_loss
from asl_mmdet.losses.functional import Eager

PAPER = dict(gamma_pos=0, gamma_neg=4, clip=0.05)
SHAPES = {"few": (4, 3), "many": (400, 80), "4 axes": (2, 3, 60, 60)}
DENSITIES = {"mostly 0": 0.01, "mostly 1": 0.9}


def labels_of(shape, density):
    return (torch.rand(shape, generator=torch.Generator().manual_seed(0)) < density).float()


def with_one(labels, bad):
    changed = labels.clone().flatten()
    changed[changed.numel() // 3] = bad
    return changed.view(labels.shape)


@pytest.mark.parametrize("bad", [-1.0, 2.0, 255.0, 1.5, float("nan"), float("inf")])
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("shape", SHAPES)
def test_label_outside_0_to_1_is_refused(shape, density, bad):
    labels = labels_of(SHAPES[shape], DENSITIES[density])
    z = torch.zeros(SHAPES[shape], requires_grad=True)
    for target in (labels, with_one(labels, 0.5), labels.half()):
        assert asymmetric_loss(z, target, **PAPER).isfinite()
        with pytest.raises(ValueError, match=rf"holds {bad:g}.*; a label must be in \[0, 1\].*weight 0"):
            asymmetric_loss(z, with_one(target, bad), **PAPER)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int8, torch.uint8])
def test_whole_numbers_other_than_0_and_1_are_refused(dtype):
    z, labels = torch.zeros(400, 80), labels_of((400, 80), 0.01).to(dtype)
    assert asymmetric_loss(z, labels, **PAPER) == asymmetric_loss(z, labels.bool(), **PAPER)
    with pytest.raises(ValueError, match="holds 2"):
        asymmetric_loss(z, with_one(labels, 2), **PAPER)


@pytest.mark.parametrize("loss", [AsymmetricLoss, AdaptiveAsymmetricLoss])
def test_classes_refuse_it_too_and_weight_0_is_the_way_out(loss):
    loss_cls, z = loss(use_sigmoid=True), torch.randn(4, 3)
    unknown = torch.tensor([[1.0, 0, -1], [0, 1, -1], [-1, 0, 1], [1, 1, 0]])
    with pytest.raises(ValueError, match="holds -1"):
        loss_cls(z, unknown)
    known = unknown >= 0
    assert loss_cls(z, unknown.clamp(min=0), weight=known.float()).isfinite()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_rounding_of_mixed_labels_is_allowed(dtype):
    above = 1 + torch.finfo(dtype).eps
    assert asymmetric_loss(torch.zeros(4, 3), torch.full((4, 3), above, dtype=dtype), **PAPER).isfinite()


def test_labels_are_not_looked_at_where_that_makes_a_device_wait():
    z, labels = torch.zeros(4, 3), torch.full((4, 3), 2.0)
    asymmetric_loss(z, labels, **PAPER, impl=Eager(2**17, select=False))
    asymmetric_loss(z.to("meta"), labels.to("meta"), **PAPER)


@pytest.mark.slow
def test_compiled_form_refuses_it():
    with pytest.raises(ValueError, match="holds 2"):
        asymmetric_loss(torch.zeros(4, 3), torch.full((4, 3), 2.0), **PAPER, impl="compile")
