"""torchvision as the fallback for mmcv's compiled ops, only where they are missing.

``pip install onedl-mmcv`` and ``pip install mmcv-lite`` give a package without its C++ extension ``mmcv._ext``, and
MMDetection's models cannot even be imported then. :func:`install_fallback` puts a module of that name in its place:
NMS, RoIAlign and the deformable convolutions call torchvision; every other op raises an error, when it is called and
not before.
"""

import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

import torch
from torch import Tensor

from asl_mmdet.compat import stack

_NAME = "mmcv._ext"


def how_to_get_ops() -> str:
    """What to write to get mmcv's compiled ops, for the mmcv that is installed here."""
    mmcv = next(iter(stack.installed("mmcv")), "mmcv")
    source = mmcv.removesuffix("-lite") + f"=={stack.installed_version(mmcv)}" * (mmcv != "onedl-mmcv")
    compile_them = (
        f"MMCV_WITH_OPS=1 pip install --force-reinstall --no-deps --no-build-isolation --no-cache-dir {source}"
    )
    remove = f"pip uninstall -y {mmcv} && " if mmcv == "mmcv-lite" else ""
    compiled = f"compile them (`{remove}{compile_them}`, about 25 minutes on two cores)"
    if mmcv == "onedl-mmcv":
        return f"mmcv is installed here without its compiled ops: to get this one, {compiled}."
    return (
        "mmcv is installed here without its compiled ops. There are two ways to get this one: install a prebuilt mmcv "
        f"(`{remove}mim install {source}`, where OpenMMLab has a wheel for your torch), or {compiled}."
    )


class _Fallback(ModuleType):
    """A module whose unknown attributes are functions that raise: mmcv only looks at them on import."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {_NAME!r} has no attribute {name!r}")

        def not_available(*args: Any, **kwargs: Any) -> NoReturn:
            raise NotImplementedError(f"mmcv op {name!r} has no fallback in torchvision. {how_to_get_ops()}")

        return not_available


def install_fallback() -> bool:
    """Make ``mmcv.ops`` importable where mmcv has no compiled ops.

    Call it (importing ``asl_mmdet`` does) before the first import of ``mmcv.ops`` or ``mmdet.models``, or after such
    an import has failed.

    Returns:
        True if torchvision is the fallback, False if mmcv has its own compiled ops.
    """
    if isinstance(sys.modules.get(_NAME), _Fallback):
        return True
    if importlib.util.find_spec(_NAME) is not None:
        return False
    if importlib.util.find_spec("torchvision") is None:
        raise ImportError(
            f"{how_to_get_ops()} Or install torchvision, whose NMS, RoIAlign and deformable convolution "
            "asl_mmdet then uses instead."
        )
    module = _Fallback(_NAME, "torchvision's ops under the names of mmcv's (see asl_mmdet.compat.mmcv_ops)")
    module.__spec__ = ModuleSpec(_NAME, None)
    for op in (
        nms,
        roi_align_forward,
        roi_align_backward,
        deform_conv_forward,
        deform_conv_backward_input,
        deform_conv_backward_parameters,
        modulated_deform_conv_forward,
        modulated_deform_conv_backward,
        get_compiler_version,
        get_compiling_cuda_version,
    ):
        setattr(module, op.__name__, op)
    sys.modules[_NAME] = module
    return True


# The signatures below are those of mmcv's extension: results are written into the tensors that the caller passes.


def get_compiler_version() -> str:
    """For the environment report of ``mmcv.collect_env``."""
    return "none: torchvision is the fallback"


def get_compiling_cuda_version() -> str:
    """For the environment report of ``mmcv.collect_env``."""
    return "none: torchvision is the fallback"


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices of the boxes kept; ``offset=1`` counts both end pixels of a box, as in Detectron 1."""
    from torchvision.ops import nms as torchvision_nms

    if offset:
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return torchvision_nms(boxes, scores, iou_threshold)


def _roi_align(x: Tensor, rois: Tensor, pool_mode: int, *options: Any) -> Tensor:
    from torchvision.ops import roi_align

    if pool_mode != 1:
        raise NotImplementedError(f"RoIAlign(pool_mode='max') has no fallback in torchvision. {how_to_get_ops()}")
    return roi_align(x, rois, *options)


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """RoIAlign with average pooling into ``output`` (K, C, height, width)."""
    size = (aligned_height, aligned_width)
    output.copy_(_roi_align(input, rois, pool_mode, size, spatial_scale, sampling_ratio, aligned))


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Gradient of :func:`roi_align_forward`; average pooling is linear, so any input gives it."""
    with torch.enable_grad():
        x = torch.zeros_like(grad_input, requires_grad=True)
        size = (aligned_height, aligned_width)
        output = _roi_align(x, rois, pool_mode, size, spatial_scale, sampling_ratio, aligned)
    grad_input.copy_(torch.autograd.grad(output, x, grad_output)[0])


def _deform_conv2d(*args: Any, **kwargs: Any) -> Tensor:
    from torchvision.ops import deform_conv2d

    return deform_conv2d(*args, **kwargs)


def _geometry(conv: dict[str, int], stride: str, height: str, width: str) -> dict[str, tuple[int, int]]:
    """Mmcv's arguments as torchvision's; the numbers of groups follow from the shapes there."""
    names = {"stride": stride, "padding": "pad", "dilation": "dilation"}
    return {key: (conv[name + height], conv[name + width]) for key, name in names.items()}


def _backward(function: Callable[..., Tensor], inputs: list[Tensor], grad_output: Tensor) -> tuple[Tensor, ...]:
    leaves = [x.detach().requires_grad_() for x in inputs]
    with torch.enable_grad():
        output = function(*leaves)
    return torch.autograd.grad(output, leaves, grad_output)


def deform_conv_forward(
    input: Tensor, weight: Tensor, offset: Tensor, output: Tensor, columns: Tensor, ones: Tensor, **conv: int
) -> None:
    """Deformable convolution (arXiv 1703.06211) into ``output``."""
    output.copy_(_deform_conv2d(input, offset, weight, **_geometry(conv, "d", "H", "W")))


def deform_conv_backward_input(
    input: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_input: Tensor,
    grad_offset: Tensor,
    weight: Tensor,
    columns: Tensor,
    **conv: int,
) -> None:
    """Gradients of :func:`deform_conv_forward` for the input and the offsets."""
    geometry = _geometry(conv, "d", "H", "W")
    grads = _backward(lambda x, o: _deform_conv2d(x, o, weight, **geometry), [input, offset], grad_output)
    grad_input.copy_(grads[0])
    grad_offset.copy_(grads[1])


def deform_conv_backward_parameters(
    input: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_weight: Tensor,
    columns: Tensor,
    ones: Tensor,
    scale: float,
    **conv: int,
) -> None:
    """Gradient of :func:`deform_conv_forward` for the weight; the output is linear in it, so any weight gives it."""
    geometry = _geometry(conv, "d", "H", "W")
    grads = _backward(
        lambda w: _deform_conv2d(input, offset, w, **geometry), [torch.zeros_like(grad_weight)], grad_output
    )
    grad_weight.add_(grads[0], alpha=scale)


def modulated_deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    with_bias: bool,
    **conv: int,
) -> None:
    """Modulated deformable convolution (arXiv 1811.11168) into ``output``."""
    geometry = _geometry(conv, "stride", "_h", "_w")
    result = _deform_conv2d(input, offset, weight, bias if with_bias else None, mask=mask, **geometry)
    output.copy_(result.view_as(output))


def modulated_deform_conv_backward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    with_bias: bool,
    **conv: int,
) -> None:
    """Gradients of :func:`modulated_deform_conv_forward`."""
    geometry = _geometry(conv, "stride", "_h", "_w")
    grads = _backward(
        lambda x, w, o, m: _deform_conv2d(x, o, w, mask=m, **geometry), [input, weight, offset, mask], grad_output
    )
    for out, grad in zip((grad_input, grad_weight, grad_offset, grad_mask), grads, strict=True):
        out.copy_(grad)
    if with_bias:
        grad_bias.copy_(grad_output.sum((0, 2, 3)))
