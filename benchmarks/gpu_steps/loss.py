"""The loss alone: is it right, does it wait, how fast is it, and can a CUDA graph hold it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from asl_mmdet import mmcv_ops
from asl_mmdet.losses import asymmetric_loss
from asl_mmdet.losses.plain import plain_asymmetric_loss
from gpu_steps import Rows, Settings
from gpu_steps.timing import median_ms, peak_bytes

PARAMETERS: dict[str, dict[str, Any]] = {
    "0/0": dict(gamma_pos=0, gamma_neg=0, clip=0.0, alpha=None),
    "0/1, alpha": dict(gamma_pos=0, gamma_neg=1, clip=0.0, alpha=0.25),
    "2/2, alpha": dict(gamma_pos=2, gamma_neg=2, clip=0.0, alpha=0.25),
    "1/2, alpha": dict(gamma_pos=1, gamma_neg=2, clip=0.0, alpha=0.25),
    "0/4, m 0.05": dict(gamma_pos=0, gamma_neg=4, clip=0.05, alpha=None),
}
TOLERANCES = {torch.float32: 1e-5, torch.float16: 1e-3, torch.bfloat16: 8e-3}  # of the gradient, which has the dtype
LOSS_TOLERANCE = 1e-5  # computed in float32 for all of them
SIZES = {
    "ATSS, 2 images": (44_800, 80),
    "RetinaNet, 2 images": (403_200, 80),
    "16 images of COCO": (716_000, 80),
}
IMPLS = ("eager", "compile")


def make_logits(n: int, c: int, settings: Settings, dtype: torch.dtype = torch.float32, scale: float = 1.5) -> Tensor:
    """Logits (n, c) around -6, as of a trained detector, or around 0 where ``scale`` is above 2."""
    generator = torch.Generator().manual_seed(0)
    z = scale * torch.randn(n, c, generator=generator) - (6 if scale <= 2 else 0)
    return z.clamp(-15, 15).to(settings.device, dtype).requires_grad_()


def make_index(n: int, c: int, settings: Settings, positives: float = 1 / 150) -> Tensor:
    """Class indices (n,), of which a share is no background."""
    generator = torch.Generator().manual_seed(1)
    index = torch.randint(0, c, (n,), generator=generator)
    index[torch.rand(n, generator=generator) > positives] = c
    return index.to(settings.device)


def one_hot(index: Tensor, c: int) -> Tensor:
    """Labels (n, c), float32."""
    return F.one_hot(index, c + 1)[:, :c].float().contiguous()


def correctness(settings: Settings) -> Rows:
    """Value and gradient against the plain equation in float64 on the CPU, on the same rounded logits."""
    n, c = (64, 7) if settings.quick else (20_000, 80)
    index = make_index(n, c, settings, positives=0.3)
    targets = {"index": index, "one-hot": one_hot(index, c)}
    for dtype, tolerance in TOLERANCES.items():
        z = make_logits(n, c, settings, dtype, scale=4.0)
        for name, parameters in PARAMETERS.items():
            exact = z.detach().cpu().double().requires_grad_()
            expected = plain_asymmetric_loss(exact, targets["one-hot"].cpu().double(), **parameters)
            (expected_grad,) = torch.autograd.grad(expected.sum(), exact)
            for kind, target in targets.items():
                for impl in IMPLS[: 1 if settings.quick else 2]:
                    loss = asymmetric_loss(z, target, reduction="none", impl=impl, **parameters)
                    (grad,) = torch.autograd.grad(loss.sum(), z)
                    loss_error, grad_error = _error(loss, expected), _error(grad, expected_grad)
                    yield dict(
                        dtype=str(dtype).removeprefix("torch."),
                        parameters=name,
                        target=kind,
                        impl=impl,
                        loss_error=f"{loss_error:.2g}",
                        grad_error=f"{grad_error:.2g}",
                        passed=loss_error <= LOSS_TOLERANCE and grad_error <= tolerance,
                    )


def _error(found: Tensor, expected: Tensor) -> float:
    """The largest |a - b| / (1 + |b|); infinite if something is not a number."""
    error = (found.detach().cpu().double() - expected.detach()).abs() / (1 + expected.detach().abs())
    return float(error.max()) if bool(error.isfinite().all()) else float("inf")


def synchronization(settings: Settings) -> Rows:
    """Forward and backward while PyTorch raises at every wait of the host for the device."""
    n, c = (64, 7) if settings.quick else (44_800, 80)
    index = make_index(n, c, settings)
    targets = {"index": index, "one-hot": one_hot(index, c)}
    avg_factor = torch.tensor(7.0, device=settings.device)
    for name in ("0/1, alpha", "0/4, m 0.05"):
        for kind, target in targets.items():
            for impl in IMPLS[: 1 if settings.quick else 2]:
                z = make_logits(n, c, settings)
                loss = partial(asymmetric_loss, z, target, avg_factor=avg_factor, impl=impl, **PARAMETERS[name])
                torch.autograd.grad(loss(), z)  # what compiles or allocates for the first time may wait
                yield dict(parameters=name, target=kind, impl=impl, **_waits(loss, z, settings.device))


def _waits(loss: Callable[[], Tensor], z: Tensor, device: str) -> dict[str, Any]:
    if device == "cpu":
        torch.autograd.grad(loss(), z)
        return dict(passed="", note="a CPU has nothing to wait for")
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        torch.autograd.grad(loss(), z)
    except RuntimeError as error:
        return dict(passed=False, note=str(error).splitlines()[0])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return dict(passed=True, note="")


def peers(c: int) -> dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]]:
    """Losses of logits, class indices and one-hot labels, each to its sum; what is not installed is left out."""
    from mmdet.models.losses.focal_loss import py_sigmoid_focal_loss
    from torchvision.ops import sigmoid_focal_loss

    found: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
        "mmdet's focal loss in Python": lambda z, i, y: py_sigmoid_focal_loss(z, y, reduction="sum"),
        "torchvision sigmoid_focal_loss": lambda z, i, y: sigmoid_focal_loss(z, y, reduction="sum"),
        "BCE with logits": lambda z, i, y: F.binary_cross_entropy_with_logits(z, y.to(z.dtype), reduction="sum"),
    }
    if not mmcv_ops.install_fallback():
        from mmcv.ops import sigmoid_focal_loss as mmcv_focal_loss

        found["mmcv sigmoid_focal_loss"] = lambda z, i, y: mmcv_focal_loss(z.float(), i, 2.0, 0.25, None, "sum")
    try:
        from bench_loss import AuthorsLoss
    except ImportError as error:
        print(f"the authors' losses are left out: {error}")
        return found
    for name, in_place in (("AsymmetricLoss", False), ("AsymmetricLossOptimized", True)):
        module = AuthorsLoss(in_place, **PARAMETERS["1/2, alpha"])
        found[f"authors' {name}"] = lambda z, i, y, module=module: module(z, y)  # type: ignore[misc]
    return found


def speed(settings: Settings) -> Rows:
    """Forward and backward of ours and others, and what a copy of the logits takes: read once, write once."""
    sizes = {"quick": (256, 8)} if settings.quick else SIZES
    rounds = 2 if settings.quick else 30
    ours = {
        f"ours {name}, {impl}": (
            lambda z, i, y, impl=impl, name=name: asymmetric_loss(z, i, reduction="sum", impl=impl, **PARAMETERS[name])
        )
        for name in ("0/1, alpha", "1/2, alpha", "0/4, m 0.05")
        for impl in IMPLS[: 1 if settings.quick else 2]
    }
    for size, (n, c) in sizes.items():
        index = make_index(n, c, settings)
        y = one_hot(index, c)
        for precision, dtype in (("float32", torch.float32), ("autocast", torch.bfloat16)):
            z = make_logits(n, c, settings, dtype)
            copy, size_bytes = torch.empty_like(z, requires_grad=False), z.numel() * z.element_size()
            limit = median_ms(partial(copy.copy_, z.detach()), settings.device, rounds)
            shared = dict(size=size, rows=n, classes=c, precision=precision)
            yield dict(**shared, loss="copy", ms=f"{limit:.4f}", times_copy="1.00", peak_extra="", error="")
            for name, loss in {**ours, **peers(c)}.items():
                call = partial(_forward_backward, loss, z, index, y, precision == "autocast", settings.device)
                row = dict(**shared, loss=name, ms="", times_copy="", peak_extra="", error="")
                try:
                    ms, peak = median_ms(call, settings.device, rounds), peak_bytes(call, settings.device)
                    row |= dict(ms=f"{ms:.4f}", times_copy=f"{ms / limit:.2f}")
                    row["peak_extra"] = "" if peak is None else f"{peak / size_bytes - 1:.2f}"
                except RuntimeError as error:  # out of memory, for example: the others go on
                    row["error"] = str(error).splitlines()[0]
                yield row


def _forward_backward(loss: Any, z: Tensor, index: Tensor, y: Tensor, autocast: bool, device: str) -> None:
    with torch.autocast(device, torch.bfloat16, enabled=autocast):
        value = loss(z, index, y)
    torch.autograd.grad(value, z)


def graphs(settings: Settings) -> Rows:
    """Forward and backward in a CUDA graph, replayed on other logits and labels."""
    n, c = (64, 7) if settings.quick else (44_800, 80)
    for name in ("0/1, alpha", "0/4, m 0.05"):
        z, index = make_logits(n, c, settings), make_index(n, c, settings)
        loss = partial(asymmetric_loss, z, index, reduction="sum", impl="eager", **PARAMETERS[name])
        if settings.device == "cpu":
            yield dict(parameters=name, eager_ms="", graph_ms="", passed="", note="CUDA graphs need a GPU")
            continue
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                torch.autograd.grad(loss(), z)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            value = loss()
            (grad,) = torch.autograd.grad(value, z)
        with torch.no_grad():
            z.copy_(z.flip(0))
            index.copy_(index.roll(1))
        graph.replay()
        expected = loss()
        (expected_grad,) = torch.autograd.grad(expected, z)
        same = torch.allclose(value, expected, rtol=1e-5) and torch.allclose(grad, expected_grad, atol=1e-6)
        times = [median_ms(call, "cuda", 30) for call in (lambda: torch.autograd.grad(loss(), z), graph.replay)]  # noqa: B023
        yield dict(parameters=name, eager_ms=f"{times[0]:.4f}", graph_ms=f"{times[1]:.4f}", passed=same, note="")
