"""The loss whose ignore_above follows the share of missing labels."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.logging import MessageHub
from test_class_weight import train

from asl_mmdet.compat.checkpoints import load_weights
from asl_mmdet.hooks import AdaptiveAsymmetryHook
from asl_mmdet.losses import AdaptiveAsymmetricLoss, AsymmetricLoss, MissingRateLoss


def call_of(n=200, c=4):
    """Logits and class indices."""
    return torch.randn(n, c), torch.randint(0, c + 3, (n,)).clamp(max=c)


@pytest.mark.parametrize("weight", [None, "row", "element"])
@pytest.mark.parametrize("activated", [False, True])
def test_step_is_the_equation(activated, weight):
    z, target = call_of()
    loss = MissingRateLoss(True, missing_rate=0.2, step_size=0.1, activated=activated)
    pred = z.sigmoid() if activated else z
    w = torch.ones(200) if weight is None else (torch.rand(200) < 0.6).float()
    given = {None: None, "row": w, "element": w[:, None].expand(-1, 4)}[weight]
    for part in torch.arange(200).chunk(3):  # calls of one iteration count together
        loss(pred[part], target[part], None if given is None else given[part])
    loss.eval()
    loss(pred, target)  # a validation loss
    loss.train().step()
    n = ((z.sigmoid() > 0.3).any(1) * (w * (target == 4))).sum()
    e = (w * (target < 4)).sum() * 0.2 / 0.8
    torch.testing.assert_close(loss.ignore_above, 0.3 + 0.1 * (n - e) / (n + e + 1))


@pytest.mark.parametrize("activated", [False, True])
@pytest.mark.parametrize("has_weight", [False, True])
def test_complete_rows_lose_nothing_and_count_for_nothing(activated, has_weight):
    z, target = call_of()
    is_complete, weight = torch.rand(200) < 0.5, torch.rand(200) if has_weight else None
    options = dict(missing_rate=0.2, step_size=0.1, activated=activated)
    loss, other = MissingRateLoss(True, **options), MissingRateLoss(True, **options)
    pred = z.sigmoid() if activated else z
    whole = AsymmetricLoss(True, activated=activated)

    def part(one, rows):
        return one(pred[rows], target[rows], None if weight is None else weight[rows], avg_factor=1)

    found = loss(pred, target, weight, avg_factor=1, is_complete=is_complete)
    torch.testing.assert_close(found, part(other, ~is_complete) + part(whole, is_complete))
    assert part(whole, is_complete) > part(other, is_complete)  # without it some of them would be ignored
    other._sums.zero_()
    part(other, ~is_complete)
    loss.step()
    other.step()
    assert loss.ignore_above == other.ignore_above != pytest.approx(0.3)


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
        (dict(missing_rate="none"), "missing_rate='none': use a number in"),
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


def test_a_classifier_is_refused():
    with pytest.raises(ValueError, match=r"labels of the logits' shape.*Use the preset multi_label_missing_labels"):
        MissingRateLoss(True)(torch.zeros(2, 3), torch.zeros(2, 3))


def test_scores_that_start_high_are_refused_in_the_first_step_alone():
    z, target = torch.zeros(2000, 3), torch.full((2000,), 3)
    loss = MissingRateLoss(True)
    loss(z, target)
    with pytest.raises(ValueError, match=r"ignores 2000 anchors of background.*has 0 positive.*bias_init_with_prob"):
        loss.step()
    loss = MissingRateLoss(True)
    for logit in (-5, 0):
        loss(z + logit, target)
        loss.step()
    assert loss.ignore_above > 0.3


@pytest.mark.parametrize("loss", [MissingRateLoss(True, missing_rate="auto"), AdaptiveAsymmetricLoss(True)])
def test_checkpoint_of_another_loss_fits_and_leaves_it_at_its_start(loss):
    before = {name: value.clone() for name, value in loss.state_dict().items()}
    model = torch.nn.ModuleList([torch.nn.Linear(1, 1), loss])
    weights = {name: value + 1 for name, value in model[0].state_dict(prefix="0.").items()}
    assert load_weights(model, weights) == []
    assert len(before) == 2 and all(torch.equal(value, before[name]) for name, value in loss.state_dict().items())
    told = {f"1.{name}": torch.tensor(0.25) for name in before}
    assert load_weights(model, weights | told) == [] and "1.gap" not in weights
    assert all(value == 0.25 for value in loss.state_dict().values())


def test_until_it_is_told_a_share_it_ignores_nothing():
    call, loss = call_of(), MissingRateLoss(True, missing_rate="auto", ignore_above=0.4)
    assert "missing_rate='auto'" in str(loss)
    for _ in range(3):
        torch.testing.assert_close(loss(*call), AsymmetricLoss(True)(*call), rtol=0, atol=0)
        loss.step()
    loss.tell(0.3)
    torch.testing.assert_close(loss(*call), AsymmetricLoss(True, ignore_above=0.4)(*call))
    twin = MissingRateLoss(True, missing_rate=0.3, ignore_above=0.4)
    twin(*call)
    for one in (loss, twin):
        one.step()
    torch.testing.assert_close(loss.ignore_above, twin.ignore_above)
    assert loss.ignore_above != 0.4
    loss.tell(0.5)  # another share: the threshold goes on from where it is
    torch.testing.assert_close(loss.ignore_above, twin.ignore_above)


def test_runner_without_validation_refuses_to_estimate_the_share(tmp_path):
    with pytest.raises(ValueError, match="missing_rate='auto' is estimated on the validation images, and the config"):
        train(tmp_path, dict(type="MissingRateLoss", missing_rate="auto"))


@pytest.mark.parametrize("hooks", [[], ["AdaptiveAsymmetryHook"], ["EMAHook"]], ids=["", "own", "ema"])
def test_runner_has_it_step_and_continues_after_a_resume(tmp_path, hooks):
    torch.manual_seed(0)  # of the weights, with which some background scores above 0.4
    loss, hooks = dict(type="MissingRateLoss", ignore_above=0.4), [dict(type=hook) for hook in hooks]
    runner = train(tmp_path, loss, hooks)
    assert sum(isinstance(hook, AdaptiveAsymmetryHook) for hook in runner.hooks) == 1
    moved = runner.model.loss_cls.ignore_above.clone()
    assert moved > 0.4  # nothing has a label here
    logged = MessageHub.get_current_instance().get_scalar("train/ignore_above").current()
    assert logged == pytest.approx(moved.item())
    resumed = train(tmp_path, loss, hooks, resume=True)  # nothing is left to train
    assert torch.equal(resumed.model.loss_cls.ignore_above, moved)


@pytest.mark.parametrize("kind", [MissingRateLoss, AdaptiveAsymmetricLoss])
def test_processes_step_as_one_that_has_seen_all(kind, monkeypatch):
    calls = [call_of(n) for n in (150, 50)]
    alone, first, second = (kind(True) for _ in range(3))
    before = getattr(alone, alone.moved[0]).clone()
    for call in calls:
        alone(*call)
    for loss, call in zip((first, second), calls, strict=True):
        loss(*call)
    monkeypatch.setattr("asl_mmdet.losses.stepping.all_reduce", lambda sums: sums.add_(second._sums))
    first.step()
    monkeypatch.undo()
    second.step()
    alone.step()
    together, apart = (getattr(loss, alone.moved[0]) for loss in (first, second))
    assert before != together != apart
    torch.testing.assert_close(together, getattr(alone, alone.moved[0]))
