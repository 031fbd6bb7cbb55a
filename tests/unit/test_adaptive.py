"""Probability gap, adaptive asymmetry, and the hooks that drive them."""

import copy
import functools
import importlib.util
import warnings
from types import SimpleNamespace

import pytest
import torch
from commands import ROOT
from mmdet.registry import MODELS
from mmengine.logging import MessageHub
from mmengine.registry import HOOKS
from mmengine.runner import LogProcessor
from torch import nn

from asl_mmdet.hooks import AdaptiveAsymmetryHook, ProbabilityGapHook
from asl_mmdet.losses import AdaptiveAsymmetricLoss
from asl_mmdet.losses.probability import probability_gap, probability_sums

pytestmark = pytest.mark.usefixtures("mmdet_scope")


ASL = dict(type="AsymmetricLoss", use_sigmoid=True, gamma_pos=0.0, gamma_neg=2.0, alpha=None)


def plain_sums(p, labels, weights, min_score=0.0):
    sums = [0.0] * 4
    for row_p, row_y, row_w in zip(p.tolist(), labels.tolist(), weights.tolist(), strict=True):
        for value, y, w in zip(row_p, row_y, row_w, strict=True):
            if w > 0 and y >= 0:
                sums[0] += y * value
                sums[1] += y
                if value >= min_score:
                    sums[2] += (1 - y) * (1 - value)
                    sums[3] += 1 - y
    return sums


@pytest.mark.parametrize("min_score", [0.0, 0.3])
@pytest.mark.parametrize("weight", [None, "row", "column", "element", "flat"])
@pytest.mark.parametrize("kind", ["index", "hard", "soft", "unknown"])
def test_sums_equal_a_plain_loop(kind, weight, min_score):
    torch.manual_seed(0)
    z = torch.randn(30, 4)
    y = {
        "hard": (torch.rand(30, 4) < 0.3).float(),
        "soft": torch.rand(30, 4),
        "unknown": torch.randint(-1, 2, (30, 4)).float(),
        "index": nn.functional.one_hot(torch.randint(0, 5, (30,)), 5)[:, :4].float(),
    }[kind]
    target = torch.where(y.sum(1) > 0, y.argmax(1), 4) if kind == "index" else y
    w = (torch.rand(30, 4) < 0.7).float() * torch.rand(30, 4)
    if weight in ("row", "column"):
        w = w[:, :1].expand(-1, 4)
    given = {None: None, "row": w[:, 0], "column": w[:, :1], "element": w, "flat": w.flatten()}[weight]
    expected = plain_sums(z.sigmoid(), y, torch.ones(30, 4) if weight is None else w, min_score)
    found = probability_sums(z, target, given, min_score=min_score)
    assert found.tolist() == pytest.approx(expected, rel=1e-5)
    by_class = probability_sums(z.sigmoid(), target, given, activated=True, min_score=min_score, per_class=True)
    assert by_class.shape == (4, 4)
    assert by_class.sum(1).tolist() == pytest.approx(expected, rel=1e-5)


def test_gap_without_positives_or_negatives_is_nan():
    z = torch.randn(3, 2)
    p_pos, p_neg = probability_gap(probability_sums(z, torch.zeros(3, 2)))
    assert p_pos.isnan()
    assert p_neg == pytest.approx((1 - z.sigmoid()).mean().item())
    assert probability_gap(probability_sums(z[:0], torch.zeros(0, 2)))[1].isnan()


# --- the hooks, on a runner of which they see the model, the message hub and the log processor ---


def runner_of(model, name):
    return SimpleNamespace(
        model=model, message_hub=MessageHub.get_instance(f"test {name}"), log_processor=LogProcessor(window_size=4)
    )


class Head(nn.Module):
    def __init__(self, loss):
        super().__init__()
        self.loss_cls = MODELS.build(loss)
        self.loss_centerness = MODELS.build(dict(type="CrossEntropyLoss", use_sigmoid=True))


LEVELS = [(torch.randn(n, 3), torch.randint(0, 4, (n,)), (torch.rand(n) < 0.8).float()) for n in (40, 20, 1, 0)]


@pytest.mark.parametrize(
    "loss",
    [
        ASL,
        dict(type="FocalLoss", use_sigmoid=True),
        dict(type="CrossEntropyLoss", use_sigmoid=True),
        dict(type="AdaptiveAsymmetricLoss", use_sigmoid=True),
    ],
    ids=lambda loss: loss["type"],
)
def test_hook_measures_all_levels_of_an_iteration_and_changes_no_loss_and_no_gradient(loss, request):
    watched, alone = Head(loss), Head(loss)
    runner = runner_of(watched, request.node.name)
    hook = HOOKS.build(dict(type="ProbabilityGapHook"))
    hook.before_train(runner)
    results = []
    for head in (watched, alone):
        logits = [z.clone().requires_grad_() for z, _, _ in LEVELS]
        losses = [head.loss_cls(z, y, w, avg_factor=9.0) for z, (_, y, w) in zip(logits[:3], LEVELS[:3], strict=True)]
        head.loss_centerness(torch.randn(5), torch.rand(5))  # not a classification loss
        results.append((losses, torch.autograd.grad(sum(losses), logits[:3])))
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)
    hook.after_train_iter(runner, 0)
    sums = sum(probability_sums(z, y, w) for z, y, w in LEVELS)
    found = {
        name: runner.message_hub.get_scalar(f"train/{name}").current() for name in ("pt_pos", "pt_neg", "prob_gap")
    }
    assert found["pt_pos"] == pytest.approx((sums[0] / sums[1]).item())
    assert found["pt_neg"] == pytest.approx((sums[2] / sums[3]).item())
    assert found["prob_gap"] == pytest.approx(found["pt_pos"] - found["pt_neg"])

    with torch.no_grad():
        watched.loss_cls(*LEVELS[0])  # a validation loss
    hook.after_train_iter(runner, 1)
    watched.loss_cls(torch.randn(5, 3), torch.full((5,), 3))  # background only
    hook.after_train_iter(runner, 2)
    assert len(runner.message_hub.get_scalar("train/pt_pos").data[0]) == 1
    assert len(runner.message_hub.get_scalar("train/pt_neg").data[0]) == 2
    hook.after_train(runner)
    watched.loss_cls(*LEVELS[0])
    assert hook.sums is None


def test_hook_says_which_losses_there_are_if_it_cannot_choose(request):
    softmax = Head(dict(type="CrossEntropyLoss", use_sigmoid=False))
    with pytest.raises(ValueError, match=r"has loss_cls \(CrossEntropyLoss\)"):
        ProbabilityGapHook().before_train(runner_of(softmax, request.node.name))
    two = nn.ModuleDict(dict(rpn=Head(ASL), bbox=Head(ASL)))
    with pytest.raises(ValueError, match=r"rpn.loss_cls \(AsymmetricLoss\), bbox.loss_cls"):
        ProbabilityGapHook().before_train(runner_of(two, request.node.name))
    with pytest.raises(ValueError, match="finds no AdaptiveAsymmetricLoss"):
        AdaptiveAsymmetryHook().before_train(runner_of(two, request.node.name))


# --- the loss ---


def adaptive(**options):
    return AdaptiveAsymmetricLoss(**dict(use_sigmoid=True, gamma_neg=2.0, alpha=None) | options)


@pytest.mark.parametrize("adapt, gamma_neg, clip", [("gamma_neg", 1.5, 0.1), ("clip", 2.0, 0.05), ("both", 1.5, 0.05)])
def test_step_is_the_equation_with_the_sign_that_converges(adapt, gamma_neg, clip):
    loss = adaptive(clip=0.1, adapt=adapt, target_gap=0.1, step_size=1.0, clip_step_size=0.1)
    z = torch.tensor([[0.9], [0.7], [0.3]]).logit()
    loss(z, torch.tensor([0, 1, 1]))  # p_t+ = 0.9, p_t- = (0.3 + 0.7) / 2 = 0.5: the gap is 0.4... less 0.1
    loss.target_gap = -0.1
    loss.step()
    assert loss.gap == pytest.approx(0.4)
    assert float(loss.gamma_neg) == pytest.approx(gamma_neg)
    assert float(loss.clip) == pytest.approx(clip)


def test_calls_of_one_iteration_count_together_and_validation_does_not():
    together, apart = adaptive(step_size=1.0), adaptive(step_size=1.0)
    for z, y, w in LEVELS:
        apart(z, y, w)
    together(*(torch.cat(parts) for parts in zip(*LEVELS, strict=True)))
    apart.eval()
    apart(torch.full((5, 3), 9.0), torch.zeros(5, dtype=torch.long))
    together.step(), apart.step()
    torch.testing.assert_close(apart.gamma_neg, together.gamma_neg)
    assert together.gamma_neg != 2


@pytest.mark.parametrize("num_classes", [None, 3])
@pytest.mark.parametrize("y", [torch.full((4,), 3), torch.zeros(4, 3), torch.ones(4, 3), torch.zeros(0, 3)])
def test_iteration_without_positives_or_negatives_changes_nothing(y, num_classes):
    loss = adaptive(step_size=1.0, num_classes=num_classes)
    before = copy.deepcopy(loss.state_dict())
    loss(torch.randn(len(y), 3), y)
    loss.step()
    loss.step()
    assert all(torch.equal(before[name], value) for name, value in loss.state_dict().items())


def test_class_without_positives_keeps_its_gamma():
    loss = adaptive(step_size=1.0, num_classes=3)
    loss(torch.randn(6, 3), torch.tensor([0, 0, 2, 2, 3, 3]))
    loss.step()
    assert loss.gamma_neg[1] == 2
    assert (loss.gamma_neg[[0, 2]] != 2).all()
    alone = adaptive(step_size=1.0)
    torch.manual_seed(5)
    z, y = torch.randn(6, 3), torch.tensor([0, 1, 2, 2, 3, 0])
    loss = adaptive(step_size=1.0, num_classes=3)
    loss(z, y)
    loss.step()
    alone(z[:, 2:], (y == 2).float()[:, None])
    alone.step()
    assert loss.gamma_neg[2] == pytest.approx(alone.gamma_neg.item())


def test_gap_is_a_moving_average_by_option():
    loss = adaptive(momentum=0.9, target_gap=0.1)
    loss(torch.tensor([[0.9], [0.5]]).logit(), torch.tensor([0, 1]))
    loss.step()
    assert loss.gap == pytest.approx(0.9 * 0.1 + 0.1 * 0.4)


def test_bounds_hold():
    loss = adaptive(step_size=100.0, gamma_neg_min=0.5, gamma_neg_max=3.0, adapt="both", clip_step_size=100.0)
    for gap_sign, gamma, clip in ((1, 0.5, 0.0), (-1, 3.0, 0.5)):
        loss(gap_sign * torch.tensor([[3.0], [3.0]]), torch.tensor([0, 1]))
        loss.step()
        assert (loss.gamma_neg, loss.clip) == (gamma, clip)


def test_without_the_hook_it_warns_once():
    loss, call = adaptive(), (torch.randn(2, 3), torch.tensor([0, 1]))
    assert loss.warn_after_calls == 10_000
    loss.warn_after_calls = 3
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for calls in range(1, 6):
            loss(*call)
            assert len(caught) == (calls >= 3)
        assert "AdaptiveAsymmetryHook" in str(caught[0].message)
        for _ in range(4):  # with the hook
            loss.step()
            loss(*call)
    assert len(caught) == 1


WRONG = dict(
    **dict(use_sigmoid=False, target_gap=1.5, step_size=-0.1, adapt="gamma_pos", clip_max=1.0, momentum=1.0),
    **dict(min_score=1.0, num_classes=0, gamma_neg_max=-1, gamma_neg=9.0, gamma_pos=-1),
)


@pytest.mark.parametrize("name, value", WRONG.items())
def test_wrong_arguments_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name}={value!r}"):
        adaptive(**{name: value})


# --- the loop, closed ---


spec = importlib.util.spec_from_file_location("closed_loop", ROOT / "benchmarks" / "closed_loop.py")
benchmark = importlib.util.module_from_spec(spec)
spec.loader.exec_module(benchmark)


@functools.cache
def closed_loop(*args, **options):
    """The last gaps and gammas of a small network that really learns, on data where it cannot be always right."""
    options = dict(steps=300, step_size=1.0) | options
    return tuple(values[-100:].mean(0) for values in benchmark.closed_loop(*args, **options))


@pytest.mark.slow
@pytest.mark.parametrize("start", [0.0, 6.0])
@pytest.mark.parametrize("target_gap", [-0.2, 0.1])
def test_closed_loop_reaches_the_target_from_both_sides(target_gap, start):
    gap, gamma = closed_loop(target_gap, start)
    assert gap == pytest.approx(target_gap, abs=0.03)
    assert 0.1 < gamma < 7.9  # not at a bound


@pytest.mark.slow
def test_larger_target_gives_larger_gamma():
    assert closed_loop(-0.2, 0.0)[1] < closed_loop(0.1, 0.0)[1]


@pytest.mark.slow
@pytest.mark.parametrize("start, bound", [(1.0, 0.0), (6.0, 8.0)])
def test_sign_as_printed_in_the_paper_runs_away(start, bound):
    gap, gamma = closed_loop(0.0, start, sign=-1)
    assert gamma == pytest.approx(bound, abs=0.1)
    assert abs(gap) > 0.1


@pytest.mark.slow
def test_every_class_reaches_the_target_with_a_gamma_of_its_own():
    gap, gamma = closed_loop(0.0, 2.0, num_classes=6)
    assert (gap.abs() < 0.05).all()
    assert gamma.std() > 0.05


@pytest.mark.slow
def test_margin_alone_reaches_the_target():
    gap, _ = closed_loop(0.0, 1.0, adapt="clip", clip_step_size=0.04, clip=0.01)
    assert gap == pytest.approx(0.0, abs=0.03)
