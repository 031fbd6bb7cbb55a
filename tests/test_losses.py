"""The pure function and the registered class."""

import copy
import doctest
import importlib
import itertools
import pickle

import pytest
import reference
import torch
import torch.nn.functional as F
from mmdet.models.losses import FocalLoss
from mmdet.registry import MODELS

from asl_mmdet.losses import AsymmetricLoss, asymmetric_loss

GAMMAS = (0, 0.3, 0.5, 1, 1.5, 2, 4, 6.2)
MARGINS = (0, 0.05, 0.2, 0.5)


def logits(*shape, dtype=torch.float64, seed=0, scale=4.0):
    generator = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(*shape, generator=generator, dtype=torch.float64)).to(dtype)


def labels(kind, shape, seed=1):
    generator = torch.Generator().manual_seed(seed)
    if kind == "soft":
        return torch.rand(shape, generator=generator, dtype=torch.float64)
    if kind == "index":
        return torch.randint(0, shape[1] + 1, shape[:1], generator=generator)
    return (torch.rand(shape, generator=generator) < 0.3).double()


def one_hot(target, num_classes):
    return F.one_hot(target, num_classes + 1)[:, :num_classes].double()


def loss_and_grad(z, target, **kwargs):
    z = z.clone().requires_grad_()
    loss = asymmetric_loss(z, target, **kwargs)
    (grad,) = torch.autograd.grad(loss.sum(), z)
    return loss.detach(), grad


@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("kind", ["hard", "soft", "index"])
@pytest.mark.parametrize("margin", MARGINS)
def test_loss_and_gradient_equal_the_paper(margin, kind, detach):
    z = torch.cat([logits(6, 5), torch.tensor([[0.0, 20, -20, 100, -100]], dtype=torch.float64)])
    target = labels(kind, z.shape)
    y = one_hot(target, 5) if kind == "index" else target
    for gamma_pos, gamma_neg in itertools.product(GAMMAS, GAMMAS):
        kwargs = dict(gamma_pos=gamma_pos, gamma_neg=gamma_neg, clip=margin, detach_focusing=detach)
        for alpha in (None, 0.25):
            loss, grad = loss_and_grad(z, target, alpha=alpha, reduction="none", **kwargs)
            expected_loss, expected_grad = reference.asymmetric_loss(z, y, alpha=alpha, **kwargs)
            torch.testing.assert_close(loss, expected_loss, rtol=1e-10, atol=1e-10)
            torch.testing.assert_close(grad, expected_grad, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", ["hard", "soft", "index"])
def test_gradient_equals_finite_differences(kind):
    z = logits(4, 3).requires_grad_()
    target = labels(kind, z.shape)

    def function(x, weight):
        return asymmetric_loss(x, target, weight, gamma_pos=0.5, gamma_neg=1.5, clip=0.05, alpha=0.4)

    weight = torch.rand(4, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).requires_grad_()
    assert torch.autograd.gradcheck(function, (z, weight))


def test_second_derivative_raises_instead_of_being_wrong():
    z = logits(2, 3).requires_grad_()
    loss = asymmetric_loss(z, labels("hard", z.shape), gamma_pos=1, gamma_neg=2, clip=0)
    with pytest.raises(RuntimeError, match="create_graph"):
        torch.autograd.grad(loss, z, create_graph=True)


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_zero_gammas_and_margin_equal_bce(kind):
    z = logits(50, 20)
    y = labels(kind, z.shape)
    loss, grad = loss_and_grad(z, y, gamma_pos=0, gamma_neg=0, clip=0, reduction="none")
    expected = z.clone().requires_grad_()
    bce = F.binary_cross_entropy_with_logits(expected, y, reduction="none")
    torch.testing.assert_close(loss, bce.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(grad, torch.autograd.grad(bce.sum(), expected)[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 3.3])
@pytest.mark.parametrize("kind", ["hard", "index"])
@pytest.mark.parametrize("weight_shape", [None, (50,), (50, 20), (1000,)])
@pytest.mark.parametrize("avg_factor", [None, 7.0, torch.tensor(7.0)])
def test_equal_gammas_equal_focal_loss(gamma, kind, weight_shape, avg_factor):
    z, target = logits(50, 20), labels(kind, (50, 20))
    weight = None if weight_shape is None else logits(*weight_shape, seed=3).abs()
    values, grads = [], []
    for module in (
        FocalLoss(use_sigmoid=True, gamma=gamma, alpha=0.25, loss_weight=1.7),
        AsymmetricLoss(use_sigmoid=True, gamma_pos=gamma, gamma_neg=gamma, clip=0, alpha=0.25, loss_weight=1.7),
    ):
        x = z.clone().requires_grad_()
        value = module(x, target, weight, avg_factor)
        values.append(value.detach())
        grads.append(torch.autograd.grad(value, x)[0])
    torch.testing.assert_close(values[0], values[1], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-9, atol=1e-12)


def test_activated_equals_focal_loss_on_probabilities():
    p, target = logits(50, 20).sigmoid(), labels("hard", (50, 20))
    focal = FocalLoss(gamma=2.0, alpha=0.25, activated=True)
    asl = AsymmetricLoss(True, gamma_pos=2.0, gamma_neg=2.0, alpha=0.25, activated=True)
    torch.testing.assert_close(asl(p, target), focal(p, target), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_activated_is_finite_at_zero_and_one(dtype):
    p = torch.tensor([[0.0, 1.0, 0.5, 0.01]], dtype=dtype).requires_grad_()
    for target in (torch.zeros(1, 4), torch.ones(1, 4)):
        loss = AsymmetricLoss(True, activated=True)(p, target)
        assert loss.isfinite() and torch.autograd.grad(loss, p)[0].isfinite().all()


def test_negative_below_margin_has_no_loss_and_no_gradient():
    z = torch.tensor([[-20.0, -5.0, -3.0, -2.5]], dtype=torch.float64)
    for gamma in GAMMAS:
        loss, grad = loss_and_grad(z, torch.zeros_like(z), gamma_pos=0, gamma_neg=gamma, clip=0.05, reduction="none")
        below = z.sigmoid() <= 0.05
        assert (loss[below] == 0).all() and (grad[below] == 0).all()
        assert (loss[~below] > 0).all() and (grad[~below] > 0).all()


def test_golden_value():
    z, y = torch.tensor([[5.0, -5, 0], [5, -5, 0]]), torch.tensor([[1.0, 0, 1], [0, 1, 0]])
    loss = asymmetric_loss(z, y, gamma_pos=1, gamma_neg=4, clip=0.05, reduction="sum")
    assert loss.item() == pytest.approx(7.616875, abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("clip", [0.0, 0.05])
@pytest.mark.parametrize("gamma", [0, 0.3, 1, 4])
def test_extreme_logits_have_finite_loss_and_gradient(dtype, clip, gamma):
    z = torch.tensor([[0.0, 20, -20, 50, -50, 100, -100, 1e4, -1e4]], dtype=dtype)
    for y in (torch.zeros_like(z), torch.ones_like(z), torch.full_like(z, 0.5)):
        loss, grad = loss_and_grad(z, y, gamma_pos=gamma, gamma_neg=gamma, clip=clip, reduction="none")
        assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        assert grad.dtype == dtype
        assert loss.isfinite().all() and grad.isfinite().all()


def test_hardest_positive_keeps_its_gradient():
    z = torch.tensor([[-50.0]])
    _, grad = loss_and_grad(z, torch.ones(1, 1), gamma_pos=0, gamma_neg=4, clip=0.05)
    assert grad.item() <= -0.99


def test_float32_is_close_to_float64():
    z, target = logits(200, 80, scale=6.0), labels("index", (200, 80))
    kwargs = dict(gamma_pos=0.7, gamma_neg=3, clip=0.05, alpha=0.25, reduction="none")
    exact, rounded = loss_and_grad(z, target, **kwargs), loss_and_grad(z.float(), target, **kwargs)
    for a, b in zip(exact, rounded, strict=True):
        torch.testing.assert_close(a.float(), b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["hard", "index"])
def test_empty_and_unlabelled_batches_give_zero_not_nan(kind):
    z = torch.zeros(0, 5, requires_grad=True)
    target = torch.zeros(0, 5) if kind == "hard" else torch.zeros(0, dtype=torch.long)
    for kwargs in ({}, {"avg_factor": 0.0}, {"avg_factor": torch.tensor(1.0)}):
        loss = AsymmetricLoss(True)(z, target, **kwargs)
        assert loss == 0 and torch.autograd.grad(loss, z)[0].shape == (0, 5)
    ignored = AsymmetricLoss(True)(logits(3, 5), torch.full((3,), 5), torch.zeros(3), avg_factor=0)
    assert ignored == 0


def test_inputs_are_not_changed_and_layout_does_not_matter():
    z, target, weight = logits(4, 6, 3), labels("index", (24, 3)), torch.rand(24)
    view = z.permute(0, 2, 1).contiguous().permute(0, 2, 1).reshape(24, 3)
    column_major = z.view(24, 3).t().contiguous().t()
    copies = [t.clone() for t in (column_major, target, weight)]
    a = loss_and_grad(column_major, target, weight=weight, gamma_pos=1, gamma_neg=2, clip=0.05)
    b = loss_and_grad(view, target, weight=weight, gamma_pos=1, gamma_neg=2, clip=0.05)
    torch.testing.assert_close(a, b)
    for before, after in zip(copies, (column_major, target, weight), strict=True):
        assert torch.equal(before, after)


def test_no_grad_and_inference_mode_give_the_same_value():
    z, target = logits(4, 3), labels("index", (4, 3))
    module = AsymmetricLoss(True)
    expected = module(z.clone().requires_grad_(), target)
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            value = module(z, target)
            assert not value.requires_grad and value == expected.detach()


def test_module_is_registered_pickles_and_copies_and_holds_no_state():
    module = MODELS.build(dict(type="AsymmetricLoss", use_sigmoid=True, gamma_neg=3))
    assert type(module) is AsymmetricLoss and module.gamma_neg == 3 and not module.state_dict()
    before = dict(vars(module))
    module(logits(4, 3).requires_grad_(), labels("index", (4, 3))).backward()
    assert vars(module) == before
    for twin in (pickle.loads(pickle.dumps(module)), copy.deepcopy(module)):
        assert repr(twin) == repr(module)


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"use_sigmoid": None}, "use_sigmoid=None.*use_sigmoid=True in its config"),
        ({"use_sigmoid": 1}, "use_sigmoid=1"),
        ({"use_sigmoid": False}, "alpha=0.25 with use_sigmoid=False.*write alpha=None"),
        ({"use_sigmoid": False, "alpha": None, "clip": 0.05}, "clip=0.05 with use_sigmoid=False"),
        ({"use_sigmoid": False, "alpha": None, "activated": True}, "activated=True with use_sigmoid=False"),
        ({"label_smoothing": 0.1}, "label_smoothing=0.1 with use_sigmoid=True"),
        ({"impl": "cuda"}, "impl='cuda'.*auto"),
        ({"detach_focusing": "yes"}, "detach_focusing='yes'"),
        ({"gamma_pos": -1}, "gamma_pos=-1"),
        ({"gamma_neg": float("nan")}, "gamma_neg=nan"),
        ({"gamma_neg": "4"}, "gamma_neg='4'"),
        ({"clip": 1.0}, "clip=1.0"),
        ({"clip": -0.1}, "clip=-0.1"),
        ({"alpha": 1.5}, r"alpha=1.5.*\[0, 1\] or None"),
        ({"reduction": "avg"}, "reduction='avg'.*none.*mean.*sum"),
        ({"loss_weight": True}, "loss_weight=True"),
    ],
)
def test_bad_arguments_raise_at_construction(kwargs, message):
    with pytest.raises(ValueError, match=message):
        AsymmetricLoss(**{"use_sigmoid": True, **kwargs})


@pytest.mark.parametrize(
    "args, kwargs, message",
    [
        ((torch.zeros(4, 3), torch.zeros(5, dtype=torch.long)), {}, r"\(5,\) does not fit pred of shape \(4, 3\)"),
        ((torch.zeros(4, 3), torch.zeros(4)), {}, "must be of an integer type, not torch.float32"),
        (
            (torch.zeros(4, 3), torch.tensor([0, 1, 4, 3])),
            {},
            r"class index 4; for logits of shape \(4, 3\) it must be in 0..3",
        ),
        ((torch.zeros(4, 3), torch.tensor([0, -1, 2, 3])), {}, "class index -1"),
        ((torch.zeros(4, 3), torch.zeros(4, 3), torch.zeros(5)), {}, r"weight of shape \(5,\)"),
        ((torch.zeros(4, 3), torch.zeros(4, 3)), {"avg_factor": 1.0, "reduction_override": "sum"}, "avg_factor"),
        ((torch.zeros(4, 3), torch.zeros(4, 3)), {"reduction_override": "all"}, "reduction='all'"),
    ],
)
def test_bad_inputs_raise_at_call(args, kwargs, message):
    with pytest.raises(ValueError, match=message):
        AsymmetricLoss(True)(*args, **kwargs)


@pytest.mark.parametrize("name", ["functional", "asymmetric_loss"])
def test_examples_in_docstrings_run(name):
    results = doctest.testmod(importlib.import_module(f"asl_mmdet.losses.{name}"))
    assert results.attempted and not results.failed
