"""The pure functions. Nothing here needs MMDetection: they run with torch alone."""

import doctest
import functools
import importlib
import itertools
import math

import pytest
import reference
import torch
from inputs import labels, logits, loss_and_grad, one_hot

from asl_mmdet.losses.functional import Eager, asymmetric_loss, asymmetric_softmax_loss
from asl_mmdet.losses.plain import plain_asymmetric_loss

ON_ACCELERATOR = Eager(chunk=2**22, select=False)  # what 'eager' is there

GAMMAS = (0, 0.3, 0.5, 1, 1.5, 2, 4, 6.2)
MARGINS = (0, 0.05, 0.2, 0.5)


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


THRESHOLDS = {
    "number": 0.3,
    "tensor": torch.tensor(0.3),
    "class": torch.tensor([0.3] * 5),
    "row": torch.full((40, 1), 0.3),
}
IGNORED = [
    *itertools.product(THRESHOLDS, (0.0, 0.05), ("hard", "soft", "index"), ("eager", ON_ACCELERATOR)),
    *(  # each takes seconds
        pytest.param(*case, "compile", marks=pytest.mark.slow)
        for case in (("number", 0.05, "hard"), ("tensor", 0.0, "index"), ("class", 0.05, "index"), ("row", 0.0, "soft"))
    ),
]


@pytest.mark.parametrize("threshold, margin, kind, impl", IGNORED)
def test_ignored_negatives_cost_nothing(threshold, margin, kind, impl):
    z, target, weight = logits(40, 5), labels(kind, (40, 5)), logits(40, seed=3).abs()
    y = one_hot(target, 5) if kind == "index" else target
    kwargs = dict(gamma_pos=0.5, gamma_neg=2.0, clip=margin, alpha=0.3, ignore_above=0.3)
    has_object = target < 5 if kind == "index" else None
    expected = reference.asymmetric_loss(z, y, has_object=has_object, **kwargs)
    kwargs.update(reduction="none", impl=impl, ignore_above=THRESHOLDS[threshold])
    torch.testing.assert_close(loss_and_grad(z, target, **kwargs), expected, rtol=1e-10, atol=1e-10)
    found = loss_and_grad(z, target, weight=weight, **kwargs)
    torch.testing.assert_close(found, tuple(v * weight[:, None] for v in expected), rtol=1e-10, atol=1e-10)
    if impl != "compile":
        total = loss_and_grad(z, target, weight=weight, **kwargs | dict(reduction="sum"))
        torch.testing.assert_close(total, (found[0].sum(), found[1]), rtol=1e-10, atol=1e-10)
    is_ignored = (z.sigmoid() > 0.3) & (y == 0)
    if has_object is not None:
        assert (found[0][is_ignored & has_object[:, None]] > 0).all()
        is_ignored &= ~has_object[:, None]
    assert is_ignored.any() or kind == "soft"
    assert (found[0][is_ignored] == 0).all() and (found[1][is_ignored] == 0).all()


@pytest.mark.parametrize(
    "kind, impl",
    [
        *itertools.product(("hard", "soft", "index"), (Eager(chunk=35, select=True), Eager(chunk=35, select=False))),
        pytest.param("index", "compile", marks=pytest.mark.slow),
    ],
)
def test_every_row_may_have_its_own_threshold(kind, impl):
    z, target, threshold = logits(40, 5), labels(kind, (40, 5)), torch.rand(40, 1).clamp(min=0.05)
    threshold[::3] = 1.0
    kwargs = dict(gamma_pos=0.5, gamma_neg=2.0, clip=0.0, reduction="none")
    rows = [
        loss_and_grad(z[i : i + 1], target[i : i + 1], ignore_above=float(one), **kwargs)
        for i, one in enumerate(threshold)
    ]
    expected = tuple(torch.cat(parts) for parts in zip(*rows, strict=True))
    found = loss_and_grad(z, target, ignore_above=threshold, impl=impl, **kwargs)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-10)
    assert kind == "soft" or (found[0] == 0).any()
    assert (found[0][::3] > 0).all()


@pytest.mark.parametrize("margin", [1e-12, 1e-6, 1e-3, 2e-3])
def test_small_margin_is_exact_where_p_is_near_one(margin):
    z, y = torch.linspace(-20, 20, 201)[:, None], torch.zeros(201, 1)
    found = loss_and_grad(z, y, gamma_pos=0, gamma_neg=0, clip=margin, reduction="none")
    expected = reference.asymmetric_loss(z.double(), y.double(), gamma_pos=0, gamma_neg=0, clip=margin)
    torch.testing.assert_close(tuple(v.double() for v in found), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("options", [{}, dict(class_weight=torch.tensor([0.0, 0.3, 2.5]), class_weight_on="both")])
@pytest.mark.parametrize("kind", ["hard", "soft", "index"])
def test_gradient_equals_finite_differences(kind, options):
    z = logits(4, 3).requires_grad_()
    target = labels(kind, z.shape)

    def function(x, weight):
        return asymmetric_loss(x, target, weight, gamma_pos=0.5, gamma_neg=1.5, clip=0.05, alpha=0.4, **options)

    weight = torch.rand(4, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).requires_grad_()
    assert torch.autograd.gradcheck(function, (z, weight))


def softmax_of(z):
    return asymmetric_softmax_loss(z, torch.tensor([0, 2]), gamma_pos=1, gamma_neg=2)


def sigmoid_of(z):
    return asymmetric_loss(z, torch.tensor([0, 3]), gamma_pos=1, gamma_neg=2, clip=0)


@pytest.mark.parametrize("function", [sigmoid_of, softmax_of])
def test_second_derivative_raises_instead_of_being_wrong(function):
    z = logits(2, 3).requires_grad_()
    with pytest.raises(RuntimeError, match="no second"):
        torch.autograd.grad(function(z), z, create_graph=True)


@pytest.mark.parametrize("function", [sigmoid_of, softmax_of])
def test_function_transforms_give_the_gradient_and_refuse_the_second(function):
    batch = logits(3, 2, 3)
    expected = []
    for z in batch:
        leaf = z.clone().requires_grad_()
        expected += torch.autograd.grad(function(leaf), leaf)
    torch.testing.assert_close(torch.func.grad(function)(batch[0]), expected[0])
    torch.testing.assert_close(torch.func.vmap(function)(batch), torch.stack([function(z) for z in batch]))
    torch.testing.assert_close(torch.func.vmap(torch.func.grad(function))(batch), torch.stack(expected))
    torch.testing.assert_close(
        torch.func.vmap(function, in_dims=1)(batch.transpose(0, 1)), torch.func.vmap(function)(batch)
    )
    with pytest.raises(RuntimeError, match="no second"):
        torch.func.jacrev(torch.func.grad(function))(batch[0])


def negative_gradient(p, gamma, margin):
    """dL/dz of a negative, against its probability (the paper's Fig. 3)."""
    z = torch.logit(torch.as_tensor(p, dtype=torch.float64)).view(1, -1)
    return loss_and_grad(z, torch.zeros_like(z), gamma_pos=0, gamma_neg=gamma, clip=margin, reduction="sum")[1][0]


@pytest.mark.parametrize(
    "name, gamma, margin, hard, soft, rejects, continuous",
    [  # Table 1 of the paper
        ("CE with probability shifting", 0, 0.2, True, False, True, False),
        ("asymmetric focusing", 2, 0, False, True, False, True),
        ("ASL", 2, 0.2, True, True, True, True),
    ],
)
def test_properties_of_table_1(name, gamma, margin, hard, soft, rejects, continuous):
    easy, just_above, above, hardest = negative_gradient([0.1, 0.2 + 1e-6, 0.25, 1 - 1e-6], gamma, margin)
    assert (easy == 0) == hard
    ce_above = negative_gradient([0.25 - margin], 0, 0)  # what cross-entropy has as far from its own zero
    assert (above < 0.5 * ce_above) == soft
    assert (hardest < 1e-3) == rejects
    jump = just_above - negative_gradient([0.2 - 1e-6], gamma, margin)[0]
    assert (jump < 1e-3) == continuous


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


def test_float32_is_close_to_float64():
    z, target = logits(200, 80, scale=6.0), labels("index", (200, 80))
    kwargs = dict(gamma_pos=0.7, gamma_neg=3, clip=0.05, alpha=0.25, reduction="none")
    exact, rounded = loss_and_grad(z, target, **kwargs), loss_and_grad(z.float(), target, **kwargs)
    for a, b in zip(exact, rounded, strict=True):
        torch.testing.assert_close(a.float(), b, rtol=1e-4, atol=1e-6)


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


@pytest.mark.parametrize("kind", ["hard", "soft", "index"])
def test_none_reduction_takes_any_gradient_from_above(kind):
    z = logits(6, 4).requires_grad_()
    target = labels(kind, (6, 4))
    kwargs = dict(gamma_pos=1, gamma_neg=2, clip=0.05)
    loss = asymmetric_loss(z, target, reduction="none", **kwargs)
    mask = logits(6, 4, seed=5) > 0
    (masked,) = torch.autograd.grad(loss[mask].sum() * 3, z, retain_graph=True)
    (by_weight,) = torch.autograd.grad(asymmetric_loss(z, target, 3 * mask.double(), reduction="sum", **kwargs), z)
    torch.testing.assert_close(masked, by_weight)
    (stride_zero,) = torch.autograd.grad(loss, z, torch.ones((), dtype=torch.float64).expand(6, 4), retain_graph=True)
    torch.testing.assert_close(stride_zero, torch.autograd.grad(loss.sum(), z)[0])


@pytest.mark.parametrize("kind", ["hard", "soft", "index"])
@pytest.mark.parametrize("clip", [0.0, 1e-12, 0.05])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bool])
def test_dtypes_of_labels_and_weights_need_not_be_that_of_the_logits(kind, clip, dtype):
    z, target, weight = logits(20, 7, scale=30.0).float(), labels(kind, (20, 7)), logits(20, seed=3) > 0
    kwargs = dict(gamma_pos=1, gamma_neg=2, clip=clip, reduction="sum")
    same = target if kind == "index" else (target > 0.5).float() if dtype == torch.bool else target.to(dtype).float()
    expected = loss_and_grad(z, same, weight=weight.float(), **kwargs)
    other = target if kind == "index" else target > 0.5 if dtype == torch.bool else target.to(dtype)
    mixed = loss_and_grad(z, other, weight=weight.to(dtype), **kwargs)
    assert mixed[0].isfinite()
    assert mixed[0].dtype == mixed[1].dtype == torch.float32
    torch.testing.assert_close(mixed, expected)


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_retained_graph_gives_the_same_gradient_again(reduction):
    z, target = logits(6, 4).requires_grad_(), labels("index", (6, 4))
    loss = 3 * asymmetric_loss(z, target, gamma_pos=1, gamma_neg=2, clip=0.05, reduction=reduction).sum()
    grads = [torch.autograd.grad(loss, z, retain_graph=True)[0] for _ in range(2)]
    grads += torch.autograd.grad(loss, z)
    assert torch.equal(grads[0], grads[1])
    assert torch.equal(grads[0], grads[2])
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


@pytest.mark.parametrize("select", [True, False])
def test_many_chunks_equal_one(select):
    z = logits(50, 7)
    for kind in ("hard", "soft", "index"):
        target, weight = labels(kind, (50, 7)), logits(50, seed=3).abs()
        for clip in (0.0, 0.05, 0.9):
            for reduction in ("sum", "none"):
                kwargs = dict(weight=weight, gamma_pos=1, gamma_neg=2, clip=clip, alpha=0.25, reduction=reduction)
                whole = loss_and_grad(z, target, impl=Eager(chunk=2**22, select=select), **kwargs)
                chunks = loss_and_grad(z, target, impl=Eager(chunk=16, select=select), **kwargs)
                torch.testing.assert_close(whole, chunks)


def test_eager_form_is_that_of_the_device():
    assert Eager.on(torch.device("cpu")).select
    assert Eager.on(torch.device("cuda")) == ON_ACCELERATOR


@pytest.mark.parametrize("bad", [-1, -100, 8])
@pytest.mark.parametrize("softmax", [False, True])
def test_bad_class_index_is_never_a_class(bad, softmax):
    z, target = logits(50, 8 if softmax else 7), labels("index", (50, 7))
    target[3] = bad
    call = functools.partial(
        asymmetric_softmax_loss if softmax else asymmetric_loss, z, target, gamma_pos=1, gamma_neg=2
    )
    kwargs = {} if softmax else dict(clip=0.0)
    with pytest.raises(ValueError, match=f"class index {bad}"):
        call(**kwargs)
    if not softmax:  # what ends in a device-side assertion on an accelerator
        with pytest.raises(RuntimeError, match="out of bounds"):
            call(impl=ON_ACCELERATOR, **kwargs)


WRONG = dict(
    gamma_pos=(-2, math.nan), gamma_neg=(-1, torch.tensor(-1.0)), clip=(1.5, -0.1), alpha=(2,), ignore_above=(0, 1.5)
)


@pytest.mark.parametrize("name, values", WRONG.items())
def test_parameters_outside_their_range_are_refused(name, values):
    for value in values:
        with pytest.raises(ValueError, match=f"{name}={value}"):
            asymmetric_loss(
                logits(4, 5), labels("hard", (4, 5)), **dict(gamma_pos=0, gamma_neg=1, clip=0.0) | {name: value}
            )


@pytest.mark.parametrize("wrong", [dict(gamma_pos=-1), dict(gamma_neg=-1), dict(label_smoothing=1.0)], ids=str)
def test_softmax_parameters_outside_their_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        asymmetric_softmax_loss(logits(4, 5), labels("index", (4, 4)), **(dict(gamma_pos=0, gamma_neg=1) | wrong))


@pytest.mark.parametrize("kwargs", [dict(clip=0.0), dict(clip=0.0, gamma_neg=2)], ids=str)
def test_loss_of_easy_negatives_is_exact_in_float32(kwargs):
    p = torch.logspace(-12, -3, 1000, dtype=torch.float64)
    z = p.logit().float()[:, None]
    kwargs = dict(gamma_pos=0, gamma_neg=0, reduction="none") | kwargs
    found, expected = (loss_and_grad(x, torch.zeros_like(x), **kwargs) for x in (z, z.double()))
    for a, b in zip(found, expected, strict=True):
        assert ((a.double() - b) / b).abs().max() < 3e-6


def one_by_one(z, target, gamma_neg, clip, **kwargs):
    """Every class on its own, with numbers."""
    y = one_hot(target, z.shape[1]) if target.dim() == 1 else target
    parts = [
        loss_and_grad(z[:, [c]], y[:, [c]], gamma_neg=gamma_neg[c].item(), clip=clip[c].item(), **kwargs)
        for c in range(z.shape[1])
    ]
    return tuple(torch.cat(columns, 1) for columns in zip(*parts, strict=True))


CLASS_GAMMAS = torch.tensor([0.0, 0.3, 1.0, 2.5, 6.0], dtype=torch.float64)
CLASS_MARGINS = torch.tensor([0.05, 0.0, 0.2, 0.0, 0.5], dtype=torch.float64)


@pytest.mark.parametrize("impl", ["eager", ON_ACCELERATOR], ids=["cpu", "accelerator"])
@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("kind", ["hard", "soft", "index"])
def test_parameters_of_every_class_equal_its_own_loss(kind, detach, impl):
    extreme = torch.tensor([0.0, 20, -20, 100, -100, 1e4, -1e4], dtype=torch.float64)[:, None].expand(-1, 5)
    z = torch.cat([logits(40, 5), extreme])
    target, weight = labels(kind, z.shape), logits(*z.shape, seed=3).abs()
    kwargs = dict(gamma_pos=1, alpha=0.25, detach_focusing=detach, reduction="none", impl=impl)
    expected = one_by_one(z, target, CLASS_GAMMAS, CLASS_MARGINS, **kwargs)
    found = loss_and_grad(z, target, gamma_neg=CLASS_GAMMAS, clip=CLASS_MARGINS, **kwargs)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    weighted = loss_and_grad(z, target, weight=weight, gamma_neg=CLASS_GAMMAS, clip=0.0, **kwargs)
    expected = one_by_one(z, target, CLASS_GAMMAS, torch.zeros(5), **kwargs)
    torch.testing.assert_close(weighted, tuple(v * weight for v in expected), rtol=1e-10, atol=1e-10)


def test_parameters_that_do_not_fit_the_classes_are_refused():
    with pytest.raises(ValueError, match=r"gamma_neg of shape \(3,\) does not fit 5 classes"):
        asymmetric_loss(logits(4, 5), labels("hard", (4, 5)), gamma_pos=0, gamma_neg=torch.ones(3), clip=0.0)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("gammas", [(0, 0), (0, 4), (1, 2), (0.5, 0.3)])
def test_softmax_form_equals_the_reference(gammas, smoothing):
    z, target = logits(8, 5), labels("index", (8, 4))
    kwargs = dict(gamma_pos=gammas[0], gamma_neg=gammas[1], label_smoothing=smoothing)
    loss = asymmetric_softmax_loss(z, target, reduction="none", **kwargs)
    torch.testing.assert_close(loss, reference.softmax_loss(z, target, **kwargs), rtol=1e-10, atol=1e-10)
    assert torch.autograd.gradcheck(lambda x: asymmetric_softmax_loss(x, target, **kwargs), z.requires_grad_())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("gamma", [0, 0.3, 4])
def test_softmax_form_is_finite_at_extreme_logits(dtype, gamma):
    z = torch.tensor([[1e4, -1e4, 0], [-1e4, 1e4, 0], [20, -20, 0]], dtype=dtype).requires_grad_()
    loss = asymmetric_softmax_loss(z, torch.tensor([0, 0, 0]), gamma_pos=gamma, gamma_neg=gamma, label_smoothing=0.1)
    assert loss.isfinite()
    assert torch.autograd.grad(loss, z)[0].isfinite().all()


@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("alpha", [None, 0.25])
@pytest.mark.parametrize("gammas", [(0, 0), (1, 2), (0, 4), (1.5, 3.3)])
def test_plain_equation_equals_the_closed_form(gammas, alpha, kind):
    z, y = logits(50, 7), labels(kind, (50, 7))
    for clip in (0.0, 0.05):
        kwargs = dict(gamma_pos=gammas[0], gamma_neg=gammas[1], clip=clip, alpha=alpha)
        x = z.clone().requires_grad_()
        loss = plain_asymmetric_loss(x, y, **kwargs)
        plain = loss.detach(), torch.autograd.grad(loss.sum(), x)[0]
        torch.testing.assert_close(loss_and_grad(z, y, reduction="none", **kwargs), plain, rtol=1e-9, atol=1e-12)


def test_plain_equation_has_a_second_derivative():
    z, y = logits(3, 2, scale=1.0).requires_grad_(), labels("hard", (3, 2))
    function = functools.partial(plain_asymmetric_loss, target=y, gamma_pos=1, gamma_neg=2, clip=0.05)
    assert torch.autograd.gradgradcheck(lambda x: function(x), z)


@pytest.mark.parametrize(
    "name",
    ["functional", "plain", "presets", "probability", "_eager", "_elementwise", "_threads", "_validation"],
)
def test_examples_in_docstrings_run(name):
    results = doctest.testmod(importlib.import_module(f"asl_mmdet.losses.{name}"))
    assert results.attempted and not results.failed
