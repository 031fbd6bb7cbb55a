"""One grid of tests for every registered loss. A new loss is one line in LOSSES."""

import copy
import itertools
import pickle
from dataclasses import dataclass, field
from typing import Any

import pytest
import reference
import torch
from inputs import labels, logits, one_hot
from mmdet.models.losses import FocalLoss
from mmdet.registry import MODELS

from asl_mmdet.losses.stepping import SteppingLoss


@dataclass(frozen=True)
class Loss:
    """A registered loss.

    Args:
        name: Its ``type``.
        kinds: The labels that it takes: class indices, or labels of the logits' shape, hard and soft.
        ignores: Its default of ``ignore_above``.
        options: Of its own, with which it is ASL until it steps.
    """

    name: str
    kinds: tuple[str, ...] = ("index", "hard", "soft")
    ignores: float = 1.0
    options: dict[str, Any] = field(default_factory=dict)

    def build(self, **options: Any) -> torch.nn.Module:
        return MODELS.build(dict(type=self.name, use_sigmoid=True) | self.options | options)

    def __str__(self) -> str:
        return "-".join([self.name, *map(str, self.options.values())])


LOSSES = (
    Loss("AsymmetricLoss"),
    Loss("AdaptiveAsymmetricLoss"),
    Loss("AdaptiveAsymmetricLoss", options=dict(adapt="both", num_classes=5)),
    Loss("MissingRateLoss", kinds=("index",), ignores=0.3),
)
EACH_KIND = [pytest.param(loss, kind, id=f"{loss}-{kind}") for loss in LOSSES for kind in loss.kinds]
C = 5


def result_of(module, z, *args, **kwargs):
    """The loss and the gradient of its sum."""
    z = z.clone().requires_grad_()
    loss = module(z, *args, **kwargs)
    return loss.detach(), torch.autograd.grad(loss.sum(), z)[0]


def targets_of(kind, n):
    target = labels(kind, (n, C))
    return target, one_hot(target, C) if kind == "index" else target


class LossTester:
    """What holds for every loss, with the parameters that it starts from."""

    @pytest.mark.parametrize("loss, kind", EACH_KIND)
    def test_value_and_gradient_are_those_of_the_paper(self, loss, kind):
        z, (target, y) = logits(20, C), targets_of(kind, 20)
        has_object = target < C if kind == "index" else None
        rest = (dict(alpha=None, ignore_above=loss.ignores), dict(alpha=0.25, ignore_above=0.9))
        for gammas, clip, others, detach in itertools.product(((0, 4), (0.5, 2)), (0.0, 0.05), rest, (False, True)):
            given = dict(gamma_pos=gammas[0], gamma_neg=gammas[1], clip=clip, detach_focusing=detach, **others)
            expected = reference.asymmetric_loss(z, y, has_object=has_object, **given)
            for activated in (False, True):
                module = loss.build(**given, loss_weight=1.7, reduction="none", activated=activated)
                value, slope = result_of(module, z.sigmoid() if activated else z, target)
                torch.testing.assert_close(value, 1.7 * expected[0], rtol=1e-6, atol=1e-9)
                if activated:  # by the probability
                    slope = slope * z.sigmoid() * (-z).sigmoid()
                torch.testing.assert_close(slope, 1.7 * expected[1], rtol=1e-6, atol=1e-9)

    @pytest.mark.parametrize("loss, kind", [case for case in EACH_KIND if case.values[1] != "soft"])
    def test_equal_gammas_equal_focal_loss(self, loss, kind):
        z, (target, _) = logits(50, C), targets_of(kind, 50)
        for gamma, activated in itertools.product((0.5, 1.0, 2.0, 3.3), (False, True)):
            options = dict(loss_weight=1.7, alpha=0.25, activated=activated)
            focal = FocalLoss(use_sigmoid=True, gamma=gamma, **options)
            ours = loss.build(gamma_pos=gamma, gamma_neg=gamma, clip=0.0, ignore_above=1.0, **options)
            z = z.sigmoid() if activated else z
            for shape, avg_factor in itertools.product((None, (50,), (50, C), (50 * C,)), (None, 7.0, torch.tensor(7))):
                weight = None if shape is None else logits(*shape, seed=3).abs()
                if activated and shape is not None:  # MMDetection's takes another path there
                    continue
                expected = result_of(focal, z, target, weight, avg_factor)
                found = result_of(ours, z, target, weight, avg_factor)
                torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)
            z = logits(50, C)

    @pytest.mark.parametrize("loss, kind", EACH_KIND)
    def test_weights_of_any_shape_weigh_elements(self, loss, kind):
        z, (target, _) = logits(20, C), targets_of(kind, 20)
        module = loss.build(gamma_neg=2, reduction="none")
        alone, slope = result_of(module, z, target)
        for shape in ((20,), (20, 1), (20, C), (20 * C,)):
            weight = logits(*shape, seed=3).relu()  # half of them are 0
            each = weight.view(20, -1)
            expected = alone * each, slope * each
            torch.testing.assert_close(result_of(module, z, target, weight), expected)
            for reduction, avg_factor, by in (("sum", None, 1), ("mean", None, 20 * C), ("mean", 3.0, 3)):
                call = dict(avg_factor=avg_factor, reduction_override=reduction)
                found = result_of(module, z, target, weight, **call)
                torch.testing.assert_close(found, (expected[0].sum() / by, expected[1] / by))

    @pytest.mark.parametrize("loss, kind", EACH_KIND)
    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
    def test_precisions_are_close_to_float64_and_finite(self, dtype, loss, kind):
        z = torch.cat([logits(30, C), torch.tensor([[0, 20, -20, 100, -100], [1e4, -1e4, 1, 6e4, -6e4]])]).to(dtype)
        target, _ = targets_of(kind, 32)
        target = target if kind == "index" else target.to(dtype).double()
        for clip, activated in itertools.product((0.0, 0.05), (False, True)):
            module = loss.build(gamma_pos=1, gamma_neg=2, clip=clip, activated=activated)
            pred = z.double().sigmoid().to(dtype) if activated else z
            value, slope = result_of(module, pred, target if kind == "index" else target.to(dtype))
            assert value.dtype == torch.float32 and slope.dtype == dtype
            assert value.isfinite() and slope.isfinite().all()
            if not activated:  # 1 - p is rounded away near p = 1
                exact, _ = result_of(module, pred.double(), target)
                torch.testing.assert_close(value.double(), exact, rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("loss, kind", EACH_KIND)
    def test_other_layouts_and_contexts_change_nothing(self, loss, kind):
        z, (target, _) = logits(8, C), targets_of(kind, 8)
        module = loss.build(reduction="none")
        expected = result_of(module, z, target)
        torch.testing.assert_close(result_of(module, z.t().contiguous().t(), target), expected)
        torch.testing.assert_close(result_of(module, z[::2], target[::2]), tuple(v[::2] for v in expected))
        for context in (torch.no_grad(), torch.inference_mode()):
            with context:
                value = module(z, target)
                assert not value.requires_grad and torch.equal(value, expected[0])

    @pytest.mark.parametrize("loss, kind", EACH_KIND)
    def test_nothing_to_learn_from_costs_nothing(self, loss, kind):
        target, _ = targets_of(kind, 0)
        for kwargs in ({}, {"avg_factor": 0.0}, {"avg_factor": torch.tensor(1.0)}):
            module = loss.build()
            value, slope = result_of(module, torch.zeros(0, C), target, **kwargs)
            assert value == 0 and slope.shape == (0, C)
        target, _ = targets_of(kind, 3)
        assert loss.build()(logits(3, C), target, torch.zeros(3), avg_factor=0) == 0

    @pytest.mark.parametrize("loss, kind", [case for case in EACH_KIND if case.values[1] != "hard"])
    def test_no_value_is_looked_at_on_an_accelerator(self, loss, kind):
        """The meta device has no values: ``.item()``, ``nonzero`` and the like raise there."""
        for activated, clip in itertools.product((False, True), (0.0, 0.05)):
            options = dict(clip=clip, activated=activated, impl="eager", ignore_above=min(0.5, loss.ignores))
            module = loss.build(**options).to("meta")
            z = torch.empty(12, C, device="meta").requires_grad_()
            target = torch.empty_like(z) if kind == "soft" else torch.empty(12, device="meta", dtype=torch.long)
            weight, avg_factor = torch.empty(12, device="meta"), torch.empty((), device="meta")
            for reduction in ("none", "mean", "sum"):
                call = dict(avg_factor=avg_factor if reduction == "mean" else None, reduction_override=reduction)
                value = module(z, target, weight, **call)
                assert (value.device.type, value.shape) == ("meta", (12, C) if reduction == "none" else ())
                value.sum().backward()
            if isinstance(module, SteppingLoss):
                module.step()
            assert {v.device.type for v in module.state_dict().values()} <= {"meta"} == {z.grad.device.type}

    @pytest.mark.parametrize("loss", LOSSES, ids=str)
    def test_checkpoints_copies_and_pickles_have_its_whole_state(self, loss):
        z, (target, _) = logits(40, C, scale=2.0), targets_of("index", 40)
        module, fresh = loss.build(gamma_neg=1.5, clip=0.05), loss.build(gamma_neg=1.5, clip=0.05)
        counted = ("_buffers", "_calls", "_has_moved")
        before = {name: value for name, value in vars(module).items() if name not in counted}
        start = copy.deepcopy(module.state_dict())
        for _ in range(5):
            module(z.clone().requires_grad_(), target).backward()
            if isinstance(module, SteppingLoss):
                module.step()
        assert before == {name: vars(module)[name] for name in before}  # it keeps no tensor of a call
        moved = [name for name, value in module.state_dict().items() if not torch.equal(value, start[name])]
        assert set(moved) == set(getattr(module, "moved", ()))
        fresh.load_state_dict(module.state_dict())
        for twin in (fresh, copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
            torch.testing.assert_close(twin(z, target), module(z, target), rtol=0, atol=0)
            assert twin.extra_repr().count("=") == module.extra_repr().count("=") > 5

    @pytest.mark.slow
    @pytest.mark.every_stack
    @pytest.mark.parametrize("loss, kind", [case for case in EACH_KIND if case.values[1] != "soft"])
    def test_inside_of_a_compiled_model_it_is_the_same(self, loss, kind):
        z, (target, _) = logits(20, C).float(), targets_of(kind, 20)
        target = target if kind == "index" else target.float()
        module = loss.build(gamma_pos=1, gamma_neg=2, clip=0.05).eval()
        expected = result_of(lambda x: module(2 * x, target), z)
        found = result_of(torch.compile(lambda x: module(2 * x, target)), z)
        torch.testing.assert_close(found, expected)
