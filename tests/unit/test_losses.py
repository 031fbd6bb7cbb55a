"""The registered class: against MMDetection's losses and other implementations, in models, and in a registry."""

import copy
import importlib
import inspect
import pickle
import pkgutil

import pytest
import torch
import torch.nn.functional as F
from inputs import labels, logits, loss_and_grad
from mmdet.models.losses import FocalLoss
from mmdet.registry import MODELS

from asl_mmdet.losses import AsymmetricLoss, asymmetric_loss


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


@pytest.mark.parametrize("kind", ["hard", "index"])
def test_empty_and_unlabelled_batches_give_zero_not_nan(kind):
    z = torch.zeros(0, 5, requires_grad=True)
    target = torch.zeros(0, 5) if kind == "hard" else torch.zeros(0, dtype=torch.long)
    for kwargs in ({}, {"avg_factor": 0.0}, {"avg_factor": torch.tensor(1.0)}):
        loss = AsymmetricLoss(True)(z, target, **kwargs)
        assert loss == 0 and torch.autograd.grad(loss, z)[0].shape == (0, 5)
    ignored = AsymmetricLoss(True)(logits(3, 5), torch.full((3,), 5), torch.zeros(3), avg_factor=0)
    assert ignored == 0


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


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["hard", "index"])
def test_loss_inside_of_a_compiled_model(kind):
    z, target = logits(20, 7).float(), labels(kind, (20, 7))
    target = target if kind == "index" else target.float()
    module = AsymmetricLoss(True, gamma_pos=1, gamma_neg=2, clip=0.05)

    def model(x):
        return module(2 * x, target)

    results = []
    for function in (model, torch.compile(model)):
        x = z.clone().requires_grad_()
        loss = function(x)
        loss.backward()
        results.append((loss.detach(), x.grad))
    torch.testing.assert_close(results[0], results[1])


def test_softmax_form_in_a_two_stage_head():
    head = MODELS.build(
        dict(
            type="Shared2FCBBoxHead",
            num_classes=4,
            in_channels=2,
            roi_feat_size=1,
            fc_out_channels=8,
            loss_cls=dict(type="AsymmetricLoss", use_sigmoid=False, gamma_pos=0, gamma_neg=0, alpha=None),
        )
    )
    scores, boxes = head(torch.randn(6, 2, 1, 1, generator=torch.Generator().manual_seed(0)))
    assert scores.shape == (6, 5)
    target, weight = torch.tensor([0, 4, 3, 4, 4, 1]), torch.tensor([1.0, 1, 1, 1, 0, 1])
    terms = head.loss(scores, boxes, None, target, weight, torch.zeros(6, 4), torch.zeros(6, 4))
    expected = F.cross_entropy(scores, target, reduction="none") @ weight / 5
    torch.testing.assert_close(terms["loss_cls"], expected)


@pytest.mark.parametrize("gammas", [(0, 4), (1, 4)])
@pytest.mark.parametrize("clip", [0.0, 0.05])
def test_public_implementations_agree_where_their_logarithms_are_not_clamped(gammas, clip):
    timm_loss = pytest.importorskip("timm.loss")
    mmpretrain_losses = pytest.importorskip("mmpretrain.models.losses")
    z, y = logits(20, 10).float(), labels("hard", (20, 10)).float()
    kwargs = dict(gamma_pos=gammas[0], gamma_neg=gammas[1], clip=clip)
    timm_asl = timm_loss.AsymmetricLossMultiLabel(disable_torch_grad_focal_loss=True, reduction="sum", **kwargs)
    ours = loss_and_grad(z, y, reduction="sum", detach_focusing=True, **kwargs)
    x = z.clone().requires_grad_()
    theirs = timm_asl(x, y)
    torch.testing.assert_close(ours, (theirs.detach(), torch.autograd.grad(theirs, x)[0]), rtol=1e-4, atol=1e-5)
    ours = loss_and_grad(z, y, reduction="sum", **kwargs)
    theirs = mmpretrain_losses.AsymmetricLoss(reduction="sum", **kwargs)(x, y)
    torch.testing.assert_close(ours, (theirs.detach(), torch.autograd.grad(theirs, x)[0]), rtol=1e-4, atol=1e-5)


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
        ({"ignore_above": 1.1}, r"ignore_above=1.1: use a number in \[0, 1\]$"),
        ({"clip": 0.5, "ignore_above": 0.5}, "ignore_above=0.5 and clip=0.5: no negative is between them"),
        ({"use_sigmoid": False, "alpha": None, "ignore_above": 0.5}, "ignore_above=0.5 with use_sigmoid=False"),
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


@pytest.mark.parametrize("alpha", [None, 0.25])
@pytest.mark.parametrize("kind", ["hard", "soft", "index"])
def test_class_equals_the_function_with_the_same_arguments(kind, alpha):
    z, target, weight = logits(20, 5), labels(kind, (20, 5)), logits(20, seed=3).abs()
    own = dict(gamma_pos=0.5, gamma_neg=2.0, clip=0.05, alpha=alpha, ignore_above=0.9, detach_focusing=True)
    for reduction, avg_factor in (("none", None), ("mean", None), ("mean", 3.0), ("sum", None)):
        x = z.clone().requires_grad_()
        value = AsymmetricLoss(use_sigmoid=True, reduction=reduction, **own)(x, target, weight, avg_factor)
        found = value.detach(), torch.autograd.grad(value.sum(), x)[0]
        expected = loss_and_grad(z, target, weight=weight, reduction=reduction, avg_factor=avg_factor, **own)
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_only_alpha_has_another_default_in_the_class():
    of_class, of_function = (inspect.signature(f).parameters for f in (AsymmetricLoss, asymmetric_loss))
    given = {name for name, p in of_function.items() if p.default is not p.empty}
    shared = given & set(of_class)
    assert {name for name in shared if of_class[name].default != of_function[name].default} == {"alpha"}
    assert of_class["alpha"].default == 0.25 and of_function["alpha"].default is None


def test_no_module_of_the_losses_is_hidden_by_a_function():
    package = importlib.import_module("asl_mmdet.losses")
    for module in pkgutil.iter_modules(package.__path__, "asl_mmdet.losses."):
        assert getattr(package, module.name.rpartition(".")[2], None) in (None, importlib.import_module(module.name))
