"""The registered class: against MMDetection's losses and other implementations, in models, and in a registry."""

import importlib
import inspect
import pkgutil

import pytest
import torch
import torch.nn.functional as F
from inputs import labels, logits, loss_and_grad
from mmdet.registry import MODELS

from asl_mmdet.losses import AsymmetricLoss, asymmetric_loss


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


WRONG = dict(
    **dict(gamma=(2.0,), gama_neg=(2.0,), gamma_pos=(-1,), gamma_neg=(float("inf"), float("nan"), "4")),
    **dict(clip=(1.0, -0.1), ignore_above=(1.1,), alpha=(1.5,), loss_weight=(-1, True), use_sigmoid=(None, 1)),
    **dict(activated=(1.5,), impl=("cuda",), detach_focusing=("yes",), reduction=("avg",), label_smoothing=(0.1,)),
)


@pytest.mark.parametrize("name, value", [(name, value) for name, values in WRONG.items() for value in values])
def test_bad_arguments_raise_at_construction(name, value):
    with pytest.raises((ValueError, TypeError), match=f"{name}={value!r}"):
        AsymmetricLoss(**{"use_sigmoid": True, name: value})


@pytest.mark.parametrize("wrong", [dict(alpha=0.25), dict(clip=0.05), dict(activated=True), dict(ignore_above=0.5)])
def test_softmax_form_refuses_what_is_of_the_sigmoid(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"{name}={value} with use_sigmoid=False"):
        AsymmetricLoss(False, **dict(alpha=None) | wrong)


@pytest.mark.parametrize("clip, ignore_above", [(0.0, 0.0), (0.5, 0.5)])
def test_margin_above_what_is_ignored_is_refused(clip, ignore_above):
    with pytest.raises(ValueError, match=f"ignore_above={ignore_above} and clip={clip}"):
        AsymmetricLoss(True, clip=clip, ignore_above=ignore_above)


@pytest.mark.parametrize(
    "args, kwargs, message",
    [
        ((torch.zeros(4, 3), torch.zeros(5, dtype=torch.long)), {}, r"\(5,\).*\(4, 3\)"),
        ((torch.zeros(4, 3), torch.zeros(4)), {}, "torch.float32"),
        ((torch.zeros(4, 3), torch.tensor([0, 1, 4, 3])), {}, r"class index 4;.*\(4, 3\).* 0..3"),
        ((torch.zeros(4, 3), torch.tensor([0, -1, 2, 3])), {}, "class index -1"),
        ((torch.zeros(4, 3), torch.zeros(4, 3), torch.zeros(5)), {}, r"weight of shape \(5,\)"),
        ((torch.zeros(4, 3), torch.zeros(4, 3)), {"avg_factor": 1.0, "reduction_override": "sum"}, "avg_factor"),
        ((torch.zeros(4, 3), torch.zeros(4, 3)), {"reduction_override": "all"}, "reduction='all'"),
    ],
)
def test_bad_inputs_raise_at_call(args, kwargs, message):
    with pytest.raises(ValueError, match=message):
        AsymmetricLoss(True)(*args, **kwargs)


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
