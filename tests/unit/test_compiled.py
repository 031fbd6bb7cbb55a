"""The compiled form of the loss. Nothing here needs MMDetection."""

import pytest
import torch
from inputs import labels, logits, loss_and_grad

from asl_mmdet.losses import _compiled
from asl_mmdet.losses.functional import asymmetric_loss


@pytest.mark.slow
@pytest.mark.every_stack
@pytest.mark.parametrize("shape", [(), (20,)])
def test_changing_parameters_are_compiled_once(shape):
    counters = torch._dynamo.utils.counters["stats"]
    z, target = logits(300, 20).float(), labels("index", (300, 20))
    for gamma, margin in ((0.0, 0.0), (0.37, 0.05), (1.0, 0.2), (2.0, 0.0), (3.9, 0.05)):
        kwargs = dict(gamma_pos=1, gamma_neg=torch.full(shape, gamma), clip=torch.full(shape, margin), reduction="sum")
        eager, compiled = (loss_and_grad(z, target, impl=impl, **kwargs) for impl in ("eager", "compile"))
        torch.testing.assert_close(compiled, eager, rtol=1e-4, atol=1e-6)
        if gamma == 0:
            before = counters["unique_graphs"]
    assert counters["unique_graphs"] == before


@pytest.mark.slow
@pytest.mark.every_stack
@pytest.mark.parametrize("kind", ["hard", "index"])
def test_compiled_equals_eager_and_recompiles_little(kind):
    counters = torch._dynamo.utils.counters["stats"]
    before = counters["unique_graphs"]
    sizes = [22400, 100, 4200, 0, 1, 273, 22401, 7, 4199, 16800, 3, 100]
    for n in sizes:
        z, target, weight = logits(n, 20).float(), labels(kind, (n, 20)), logits(n, seed=3).abs().float()
        target = target if kind == "index" else target.float()
        kwargs = dict(weight=weight, gamma_pos=1, gamma_neg=2, clip=0.05, alpha=0.25, reduction="sum")
        eager, compiled = (loss_and_grad(z, target, impl=impl, **kwargs) for impl in ("eager", "compile"))
        # Compiled by torch 2.1 and 2.4 on a CPU, the sum is added up one after the other in float32.
        torch.testing.assert_close(compiled[0], eager[0], rtol=1e-3, atol=1e-6)
        torch.testing.assert_close(compiled[1], eager[1], rtol=1e-4, atol=1e-6)
    assert 1 <= counters["unique_graphs"] - before <= 4


@pytest.mark.parametrize("impl", ["auto", "eager"])
def test_nothing_is_compiled_unless_asked(impl, monkeypatch):
    monkeypatch.setattr(torch, "compile", None)
    z, target = torch.randn(4, 3, device="meta", requires_grad=True), torch.tensor([0, 3, 1, 3], device="meta")
    asymmetric_loss(z, target, impl=impl, gamma_pos=1, gamma_neg=2, clip=0.0).backward()
    assert z.grad.shape == z.shape


def test_error_of_the_compiler_is_raised_and_not_remembered(monkeypatch):
    kwargs = dict(gamma_pos=1.25, gamma_neg=2, clip=0.0)  # compiled by no other test
    z, target = logits(4, 3), torch.tensor([0, 3, 1, 3])

    def fails(*args, **kwargs):
        raise torch.cuda.OutOfMemoryError("no memory left")

    with monkeypatch.context() as patched:
        patched.setattr(torch, "compile", lambda function, **kwargs: fails)
        with pytest.raises(torch.cuda.OutOfMemoryError):
            asymmetric_loss(z, target, impl="compile", **kwargs)
    torch.testing.assert_close(asymmetric_loss(z, target, **kwargs), asymmetric_loss(z, target, impl="eager", **kwargs))


def test_number_of_compiled_functions_is_bounded(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, **kwargs: function)
    _compiled._compiled.cache_clear()
    for gamma in range(2 * _compiled._MOST_FUNCTIONS):
        kwargs = dict(gamma_pos=0, gamma_neg=gamma / 7, clip=0.0)
        z, target = logits(4, 3), torch.tensor([0, 3, 1, 3])
        found, expected = (asymmetric_loss(z, target, impl=impl, **kwargs) for impl in ("compile", "eager"))
        torch.testing.assert_close(found, expected)
    assert _compiled._compiled.cache_info().currsize == _compiled._MOST_FUNCTIONS
    _compiled._compiled.cache_clear()
