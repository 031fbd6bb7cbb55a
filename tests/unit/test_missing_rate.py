"""The loss whose ignore_above follows the share of missing labels."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.logging import MessageHub
from test_class_weight import train

from asl_mmdet.hooks import AdaptiveAsymmetryHook
from asl_mmdet.losses import AsymmetricLoss, MissingRateLoss


def call_of(kind, n=200, c=4):
    """Logits, labels, labels of the logits' shape, and which rows have no object (all, where each stands alone)."""
    z, index = torch.randn(n, c), torch.randint(0, c + 3, (n,)).clamp(max=c)
    y = torch.nn.functional.one_hot(index, c + 1)[:, :c].float()
    return (z, index, y, index == c) if kind == "index" else (z, y, y, torch.ones(n, dtype=torch.bool))


@pytest.mark.parametrize("kind", ["index", "dense"])
def test_it_is_the_fixed_loss_of_its_threshold(kind):
    z, target, *_ = call_of(kind)
    loss = MissingRateLoss(True, missing_rate=0.3, ignore_above=0.4)
    torch.testing.assert_close(loss(z, target), AsymmetricLoss(True, ignore_above=0.4)(z, target))


@pytest.mark.parametrize("weight", [None, "row", "element"])
@pytest.mark.parametrize("kind", ["index", "dense"])
@pytest.mark.parametrize("activated", [False, True])
def test_step_is_the_equation(activated, kind, weight):
    z, target, y, has_no_object = call_of(kind)
    w = (torch.rand(200, 4 if weight == "element" else 1) < 0.6).float()
    options = dict(missing_rate=0.2, step_size=0.1, activated=activated)
    loss = MissingRateLoss(True, **options)
    pred = z.sigmoid() if activated else z
    given = {None: None, "row": w[:, 0], "element": w}[weight]
    if kind == "index" and weight == "element":
        given = w = w[:, :1].expand(-1, 4)
    for part in torch.arange(200).chunk(3):  # calls of one iteration count together
        loss(pred[part], target[part], None if given is None else given[part])
    loss.eval()
    loss(pred, target)  # a validation loss
    loss.train().step()
    counted = torch.ones_like(z) if weight is None else w.expand(-1, 4)
    n = ((z.sigmoid() > 0.3) & (y == 0) & has_no_object[:, None] & (counted > 0)).float().sum()
    e = (y * counted).sum() * 0.2 / 0.8
    torch.testing.assert_close(loss.ignore_above, (0.3 + 0.1 * (n - e) / (n + e + 1)).clamp(0.15, 1))


def test_an_iteration_without_objects_and_without_high_scores_changes_nothing():
    loss = MissingRateLoss(True)
    before = loss.ignore_above.clone()
    for z, y in (
        (torch.full((5, 3), -9.0), torch.full((5,), 3)),
        (torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)),
    ):
        loss(z, y)
        loss.step()
    assert torch.equal(before, loss.ignore_above)


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_it_ignores_as_much_as_is_missing(rate):
    """Objects and hard background score differently, and a share of the objects has no label."""
    torch.manual_seed(0)
    loss = MissingRateLoss(True, missing_rate=rate, step_size=0.05)
    ignored = right = missing = 0
    for step in range(600):
        z = torch.cat([torch.randn(50) + 1.5, torch.randn(500) - 2])[:, None]
        is_object = torch.arange(550) < 50
        is_labelled = is_object & (torch.rand(550) >= rate)
        loss(z, torch.where(is_labelled, 0, 1))
        loss.step()
        if step >= 300:
            chosen = (z[:, 0].sigmoid() > loss.ignore_above) & ~is_labelled
            ignored, right = ignored + chosen.sum(), right + (chosen & is_object).sum()
            missing += (is_object & ~is_labelled).sum()
    assert ignored / missing == pytest.approx(1, abs=0.15)
    assert right / missing > 0.6


def test_bounds_hold():
    loss = MissingRateLoss(True, step_size=0.9)
    for z, y, bound in ((9.0, 1, 1.0), (-9.0, 0, 0.15)):
        for _ in range(3):
            loss(torch.full((20, 1), z), torch.full((20,), y))
            loss.step()
        assert loss.ignore_above == pytest.approx(bound)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(use_sigmoid=False), "use_sigmoid=False"),
        (dict(missing_rate=1.0), "missing_rate=1.0"),
        (dict(missing_rate=0), "missing_rate=0: with all labels there, use AsymmetricLoss"),
        (dict(step_size=-1), "step_size=-1"),
        (dict(ignore_above=0.1), "ignore_above=0.1: it starts below ignore_above_min=0.15"),
        (dict(ignore_above=1.5), "ignore_above=1.5"),
        (dict(clip=0.2, ignore_above_min=0.1), r"ignore_above_min=0.1: use a number in \[0.2, 1\)"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=f"Loss got {message}"):
        MODELS.build(dict(type="MissingRateLoss", use_sigmoid=True) | options)


@pytest.mark.parametrize("hooks", [[], ["AdaptiveAsymmetryHook"], ["EMAHook"]], ids=["", "own", "ema"])
def test_runner_has_it_step_and_continues_after_a_resume(tmp_path, hooks):
    loss, hooks = dict(type="MissingRateLoss", ignore_above=0.4), [dict(type=hook) for hook in hooks]
    runner = train(tmp_path, loss, hooks)
    assert sum(isinstance(hook, AdaptiveAsymmetryHook) for hook in runner.hooks) == 1
    moved = runner.model.loss_cls.ignore_above.clone()
    assert moved > 0.4  # nothing has a label here
    logged = MessageHub.get_current_instance().get_scalar("train/ignore_above").current()
    assert logged == pytest.approx(moved.item())
    resumed = train(tmp_path, loss, hooks, resume=True)  # nothing is left to train
    assert torch.equal(resumed.model.loss_cls.ignore_above, moved)
