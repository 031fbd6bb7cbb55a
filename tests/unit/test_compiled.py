"""The compiled form of the loss. Nothing here needs MMDetection."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from inputs import labels, logits, loss_and_grad

ROOT = Path(__file__).parents[2]


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


NO_COMPILER = """
import sys, warnings
sys.modules.update(dict.fromkeys(("mmengine", "mmcv", "mmdet")))  # not needed, and slow to import
import torch

def no_compiler(*args, **kwargs):
    raise RuntimeError("no compiler here")

torch.compile = no_compiler
from asl_mmdet.losses.functional import asymmetric_loss

device = "cuda" if torch.cuda.is_available() else "meta"
z, target = torch.randn(4, 3, device=device, requires_grad=True), torch.tensor([0, 3, 1, 3], device=device)
kwargs = dict(gamma_pos=1, gamma_neg=2, clip=0.0)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    losses = [asymmetric_loss(z, target, impl=impl, **kwargs) for impl in ("auto", "auto", "eager")]
assert ["no compiler here" in str(warning.message) for warning in caught] == [True], "one warning a process"
losses[0].backward()
assert z.grad.shape == z.shape and {loss.device.type for loss in losses} == {device}
assert device == "meta" or losses[0] == losses[1] == losses[2]
try:
    asymmetric_loss(z, target, impl="compile", **kwargs)
except RuntimeError as error:
    assert "no compiler here" in str(error)
else:
    raise AssertionError("impl='compile' has to raise")
"""


def test_auto_falls_back_where_compiling_fails_and_compile_raises():
    # In a process of its own: after a failure the compiler is not asked again.
    done = subprocess.run([sys.executable, "-c", NO_COMPILER], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
