"""Class weights: what they are, what the loss makes of them, and how a runner finds out what they are for."""

import copy
import itertools
import math

import pytest
import reference
import torch
import torch.nn.functional as F
from inputs import labels, logits, loss_and_grad, one_hot
from mmdet.registry import MODELS
from mmengine.dataset import BaseDataset, ClassBalancedDataset, ConcatDataset, RepeatDataset
from mmengine.model import BaseModel
from mmengine.runner import FlexibleRunner, Runner

from asl_mmdet.coco.label_counts import count_labels
from asl_mmdet.hooks import ClassWeightHook
from asl_mmdet.losses import AdaptiveAsymmetricLoss, AsymmetricLoss, asymmetric_loss, asymmetric_softmax_loss
from asl_mmdet.losses.class_weight import frequency_weights
from asl_mmdet.losses.functional import Eager

WEIGHTS = torch.tensor([0.0, 0.3, 1.0, 2.5, 6.0], dtype=torch.float64)
SIDES = ("positive", "negative", "both")
ON_ACCELERATOR = Eager(chunk=2**22, select=False)

# The weights. -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.999, 0.9999])
def test_effective_number_is_the_paper_s(beta):
    counts = [1, 7, 100, 2000]
    terms = [1 / sum(beta**j for j in range(n)) for n in counts]  # E_n is this sum, (1 - beta^n) / (1 - beta)
    expected = torch.tensor(terms, dtype=torch.float64)
    by_classes = frequency_weights(counts, "effective_number", beta)
    torch.testing.assert_close(by_classes, expected * 4 / expected.sum(), rtol=1e-9, atol=0)
    by_labels = frequency_weights(counts, "effective_number", beta, "labels")
    torch.testing.assert_close(by_labels / by_labels[0], by_classes / by_classes[0])
    assert (by_labels @ torch.tensor(counts).double() / sum(counts)).item() == pytest.approx(1)


def test_inverse_frequency_is_the_limit_of_beta_and_gives_every_class_the_same_total():
    counts = [3, 40, 500]
    weights = frequency_weights(counts, "inverse_frequency", normalize="labels")
    assert (weights * torch.tensor(counts)).tolist() == pytest.approx([sum(counts) / 3] * 3)
    torch.testing.assert_close(
        frequency_weights(counts, beta=1 - 1e-9), frequency_weights(counts, "inverse_frequency"), rtol=1e-5, atol=0
    )


def test_class_without_labels_has_weight_one_and_does_not_change_the_others():
    for scheme, normalize in itertools.product(("inverse_frequency", "effective_number"), ("labels", "classes")):
        weights = frequency_weights([5, 0, 20], scheme, normalize=normalize)
        assert weights[1] == 1
        assert weights[[0, 2]].tolist() == frequency_weights([5, 20], scheme, normalize=normalize).tolist()


@pytest.mark.parametrize("counts", [[0, 0], [3, -1], []])
def test_counts_that_give_no_weights_are_refused(counts):
    with pytest.raises(ValueError, match=r"counts=\["):
        frequency_weights(counts)


# The function. ------------------------------------------------------------------------------------------------------


def expected_loss(z, y, side, weight=None, has_object=None, **kwargs):
    """The float64 reference of every class by itself, times its weight where it holds."""
    pos, neg = (WEIGHTS if side in (s, "both") else torch.ones(5) for s in ("positive", "negative"))
    positives, negatives = (
        reference.asymmetric_loss(z, y, has_object=has_object, **(kwargs | {"alpha": alpha})) for alpha in (1.0, 0.0)
    )
    alpha = kwargs["alpha"]
    factors = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
    return tuple(
        (factors[0] * p * pos + factors[1] * n * neg) * (1.0 if weight is None else weight)
        for p, n in zip(positives, negatives, strict=True)
    )


@pytest.mark.parametrize("impl", ["eager", ON_ACCELERATOR, Eager(chunk=15, select=True)], ids=["cpu", "gpu", "pieces"])
@pytest.mark.parametrize("kind", ["hard", "soft", "index"])
@pytest.mark.parametrize("side", SIDES)
def test_loss_and_gradient_equal_the_reference(side, kind, impl):
    extreme = torch.tensor([0.0, 20, -20, 100, -100], dtype=torch.float64)[:, None].expand(-1, 5)
    z = torch.cat([logits(40, 5), extreme])
    target = labels(kind, z.shape)
    y, has_object = (one_hot(target, 5), target < 5) if kind == "index" else (target, None)
    weights = [None, logits(45, seed=3).abs(), logits(45, 5, seed=3).abs(), logits(45 * 5, seed=3).abs()]
    parameters = [
        dict(gamma_pos=0, gamma_neg=0, clip=0.0, alpha=None),
        dict(gamma_pos=1, gamma_neg=2, clip=0.0, alpha=0.25, ignore_above=0.3),
        dict(gamma_pos=0, gamma_neg=4, clip=0.05, alpha=None, detach_focusing=True),
        dict(gamma_pos=0.5, gamma_neg=1, clip=0.2, alpha=0.4, ignore_above=0.6),
    ]
    for weight, kwargs in itertools.product(weights, parameters):
        factor = None if weight is None else weight.view(45, -1)
        expected = expected_loss(z, y, side, factor, has_object, **kwargs)
        given = dict(weight=weight, class_weight=WEIGHTS, class_weight_on=side, impl=impl, **kwargs)
        found = loss_and_grad(z, target, reduction="none", **given)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
        for reduction, number in (("sum", 1), ("mean", z.numel())):
            found = loss_and_grad(z, target, reduction=reduction, **given)
            torch.testing.assert_close(found, (expected[0].sum() / number, expected[1] / number), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("kind", ["hard", "index"])
def test_large_inputs_whose_positives_are_selected(kind, side):
    z, target = logits(4000, 5) - 6, labels("index", (4000, 5)).clamp(min=4)  # few above the margin, few positives
    y = one_hot(target, 5)
    kwargs = dict(gamma_pos=1, gamma_neg=2, clip=0.05, alpha=None)
    expected = expected_loss(z, y, side, **kwargs)
    given = dict(class_weight=WEIGHTS, class_weight_on=side, **kwargs)
    found = loss_and_grad(z, target if kind == "index" else y, reduction="none", **given)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("side", SIDES)
def test_half_precision_and_autocast_are_computed_in_float32(side, dtype):
    z, target = logits(20, 5).to(dtype), labels("index", (20, 5))
    kwargs = dict(gamma_pos=1, gamma_neg=2, clip=0.05, class_weight=WEIGHTS.float(), class_weight_on=side)
    with torch.autocast("cpu", torch.bfloat16):
        loss, grad = loss_and_grad(z, target, **kwargs)
    assert (loss.dtype, grad.dtype) == (torch.float32, dtype)
    torch.testing.assert_close(loss, loss_and_grad(z.float(), target, **kwargs)[0])


@pytest.mark.slow
@pytest.mark.every_stack
@pytest.mark.parametrize("kind", ["hard", "index"])
def test_compiled_equals_eager(kind):
    z, target, weight = logits(300, 5).float(), labels(kind, (300, 5)), logits(300, seed=3).abs().float()
    target = target if kind == "index" else target.float()
    for side in SIDES:
        kwargs = dict(weight=weight, gamma_pos=1, gamma_neg=2, clip=0.05, alpha=0.25, reduction="sum")
        kwargs.update(class_weight=WEIGHTS.float(), class_weight_on=side)
        eager, compiled = (loss_and_grad(z, target, impl=impl, **kwargs) for impl in ("eager", "compile"))
        torch.testing.assert_close(compiled, eager, rtol=1e-4, atol=1e-6)
    module = AsymmetricLoss(True, gamma_pos=1, gamma_neg=2, class_weight=WEIGHTS.tolist(), class_weight_on="both")
    results = []
    for function in (module, torch.compile(lambda *args: module(*args))):  # inside of a compiled model
        x = z.clone().requires_grad_()
        loss = function(x, target)
        results.append((loss.detach(), torch.autograd.grad(loss, x)[0]))
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-6)


def test_softmax_form_weighs_a_sample_by_its_class():
    z, target = logits(30, 5), labels("index", (30, 4))
    kwargs = dict(gamma_pos=1, gamma_neg=2, label_smoothing=0.1, reduction="none")
    plain = reference.softmax_loss(z, target, 1, 2, 0.1)
    found = asymmetric_softmax_loss(z, target, class_weight=WEIGHTS, **kwargs)
    torch.testing.assert_close(found, plain * WEIGHTS[target], rtol=1e-10, atol=1e-10)
    of_objects = asymmetric_softmax_loss(z, target, class_weight=WEIGHTS[1:], **kwargs)  # the background, last, has 1
    torch.testing.assert_close(of_objects, plain * F.pad(WEIGHTS[1:], (0, 1), value=1.0)[target])


@pytest.mark.parametrize("function", [asymmetric_loss, asymmetric_softmax_loss])
def test_weights_that_do_not_fit_the_logits_are_refused(function):
    kwargs = dict(gamma_pos=0, gamma_neg=1) | (dict(clip=0.0) if function is asymmetric_loss else {})
    for weights in (torch.ones(3), torch.ones(1), torch.ones(5, 1)):
        with pytest.raises(ValueError, match=r"class_weight.*\(.*\).* 5 "):
            function(logits(4, 5), torch.tensor([0, 1, 2, 3]), class_weight=weights, **kwargs)
    if function is asymmetric_loss:
        with pytest.raises(ValueError, match=r"class_weight_on='all'.*positive"):
            function(logits(4, 5), torch.tensor([0, 1, 2, 3]), class_weight_on="all", **kwargs)


# The class, and the runner that tells it the classes. ---------------------------------------------------------------


@pytest.mark.parametrize(
    "given, message",
    [
        ([1.0, -1.0], r"class_weight\[1\]=-1.0: use a finite number from 0"),
        ([1.0, math.nan], r"class_weight\[1\]=nan"),
        ([1.0, "2"], r"class_weight\[1\]='2'"),
        ([0, 0], r"class_weight=\[0, 0\]: all weights are 0"),
        ([], r"class_weight=\[\]: use a number for every class"),
        (2.0, "class_weight=2.0: use a number for every class"),
        ({"cat": -2}, r"class_weight\['cat'\]=-2"),
        ("frequency", "class_weight='frequency': there is no such scheme, use one of .*effective_number"),
        (dict(type="effective_number", beta=1.0), "class_weight.beta=1.0"),
        (dict(type="inverse_frequency", beta=0.9), r"class_weight=.*: inverse_frequency has no beta"),
        (dict(type="effective_number", normalize="mean"), "class_weight.normalize='mean'.*labels"),
    ],
)
def test_bad_weights_are_refused_when_the_loss_is_built(given, message):
    with pytest.raises(ValueError, match=f"AsymmetricLoss got {message}"):
        AsymmetricLoss(True, class_weight=given)


def test_softmax_form_takes_weights_of_positives_alone():
    with pytest.raises(ValueError, match="class_weight_on='both' with use_sigmoid=False"):
        AsymmetricLoss(False, alpha=None, class_weight=[1, 2], class_weight_on="both")


def test_list_works_without_a_runner_and_leaves_no_trace_in_checkpoints():
    module = MODELS.build(dict(type="AsymmetricLoss", use_sigmoid=True, class_weight=WEIGHTS.tolist(), clip=0.05))
    z, target = logits(20, 5), labels("index", (20, 5))
    kwargs = dict(gamma_pos=0, gamma_neg=1, clip=0.05, alpha=0.25, class_weight=WEIGHTS)
    torch.testing.assert_close(copy.deepcopy(module)(z, target), asymmetric_loss(z, target, **kwargs))
    assert not module.state_dict() and not list(module.buffers())
    assert module.to("meta").set_classes("abcde", list).device.type == "cpu"


class Labels(BaseDataset):
    """A data set with these labels an image."""

    def __init__(self, *labels):
        self.labels = labels
        super().__init__(metainfo=dict(classes=("cat", "dog", "cow")), pipeline=[])

    def load_data_list(self):
        return [dict(labels=own, inputs=torch.ones(4)) for own in self.labels]

    def get_cat_ids(self, idx):
        return self.get_data_info(idx)["labels"]


LABELS = ([0, 0, 0], [0, 1], [0])  # cat 5, dog 1, cow 0


def test_labels_are_counted_inside_of_wrappers():
    dataset = Labels(*LABELS)
    assert count_labels(dataset, 3) == [5, 1, 0]
    assert count_labels(RepeatDataset(dataset, 2), 3) == [5, 1, 0]
    assert count_labels(ConcatDataset([dataset, Labels([2, 1])]), 3) == [5, 2, 1]
    assert count_labels(ClassBalancedDataset(dataset, 0.9), 3)[1] > 1
    dataset.__class__ = type("Other", (BaseDataset,), {})
    with pytest.raises(ValueError, match=r"Other.*get_cat_ids\(index\)"):
        count_labels(dataset, 3)


class Model(BaseModel):
    """One layer and the loss."""

    def __init__(self, loss_cls):
        super().__init__()
        self.layer = torch.nn.Linear(4, 3)
        self.loss_cls = MODELS.build(loss_cls)

    def forward(self, inputs, mode, **others):
        return dict(loss=self.loss_cls(self.layer(torch.stack(inputs)), torch.full((len(inputs),), 3)))


def train(tmp_path, loss, custom_hooks=(), kind=Runner, **kwargs):
    """The loss after two epochs."""
    loss_cls = dict(type="AsymmetricLoss", use_sigmoid=True) | loss
    loader = dict(
        dataset=Labels(*LABELS), sampler=dict(type="DefaultSampler", shuffle=False), batch_size=1, num_workers=0
    )
    runner = kind(
        Model(loss_cls) if kind is Runner else dict(type=Model, loss_cls=loss_cls),  # built before the hooks, or after
        work_dir=str(tmp_path),
        train_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)),
        custom_hooks=list(custom_hooks),
        default_scope="mmdet",
        experiment_name=tmp_path.name,
        **kwargs,
    )
    runner.train()
    return runner


def assert_weighs(loss_cls, expected):
    """That it costs what a loss with these numbers for its classes costs."""
    twin = AsymmetricLoss(
        use_sigmoid=True, class_weight=expected.tolist(), class_weight_on=loss_cls.class_weight_on, alpha=loss_cls.alpha
    )
    logits, target = torch.linspace(-2, 2, 12).view(4, 3), torch.tensor([0, 1, 2, 3])
    costs, wanted = (one(logits, target, reduction_override="none") for one in (loss_cls, twin))
    assert torch.equal(costs, wanted) and len(set(costs.flatten().tolist())) == 12


@pytest.mark.parametrize("kind", [Runner, FlexibleRunner])
@pytest.mark.parametrize("hooks", [[], [dict(type="ClassWeightHook")], [dict(type="EMAHook")]], ids=["", "own", "ema"])
def test_runner_tells_the_loss_the_classes(tmp_path, hooks, kind):
    runner = train(tmp_path, dict(class_weight="inverse_frequency"), hooks, kind)
    expected = frequency_weights([5, 1, 0], "inverse_frequency", normalize="labels").float()
    assert_weighs(runner.model.loss_cls, expected)
    assert sum(isinstance(hook, ClassWeightHook) for hook in runner.hooks) == 1
    assert set(runner.model.state_dict()) == {"layer.weight", "layer.bias"}
    log = next(tmp_path.glob("*/*.log")).read_text()
    assert "class_weight of loss_cls, positive: cat 0.6, dog 3, cow 1" in log
    assert "1 classes have no label in the training set, and class_weight 1: cow" in log


def test_resumed_run_counts_again(tmp_path):
    train(tmp_path, {})  # a checkpoint of a run without weights
    loss = dict(class_weight=dict(type="effective_number", beta=0.9), class_weight_on="both")
    runner = train(tmp_path, loss, resume=True)
    expected = frequency_weights([5, 1, 0], beta=0.9, normalize="classes").float()
    assert_weighs(runner.model.loss_cls, expected)


def test_runner_without_class_weights_gets_no_hook(tmp_path):
    assert not any(isinstance(hook, ClassWeightHook) for hook in train(tmp_path, {}).hooks)
    with pytest.raises(ValueError, match=r"AsymmetricLoss.*class_weight"):
        train(tmp_path / "named", {}, [dict(type="ClassWeightHook")])


@pytest.mark.parametrize(
    "given, message",
    [
        (
            {"cat": 2.0, "cta": 1.0},
            "class_weight for 'cta', which is no class of the data set; it has 'cat', 'dog', 'cow'",
        ),
        ([1.0, 2.0], "class_weight with 2 numbers, and the data set has 3 classes: give one number for each of 'cat'"),
    ],
)
def test_weights_of_other_classes_are_refused_before_training(tmp_path, given, message):
    with pytest.raises(ValueError, match=message):
        train(tmp_path, dict(class_weight=given))
    assert not list(tmp_path.glob("*.pth"))


def test_unknown_classes_are_an_error_and_not_a_loss_without_weights():
    module = AdaptiveAsymmetricLoss(True, class_weight={"dog": 3.0})
    with pytest.raises(RuntimeError, match=r"class_weight=\{'dog': 3.0\}"):
        module(logits(4, 3), torch.tensor([0, 1, 2, 3]))
    assert module.set_classes(["cat", "dog", "cow"], list).tolist() == [1, 3, 1]
    assert module(logits(4, 3), torch.tensor([0, 1, 2, 3])).isfinite()
