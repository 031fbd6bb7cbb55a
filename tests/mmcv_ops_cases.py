"""Calls of mmcv's public ops on inputs that need no random numbers, shared by the golden values and their test.

``python tests/mmcv_ops_cases.py`` rewrites ``tests/data/mmcv_ops.json``; it refuses unless mmcv has its compiled ops.
The file in the repository comes from the C++ sources of onedl-mmcv 2.3.6, compiled for the CPU with torch 2.14.1.
"""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

GOLDEN = Path(__file__).parent / "data" / "mmcv_ops.json"


def _wave(*shape: int, scale: float = 1.0, step: float = 0.7, grad: bool = True) -> Tensor:
    numel = int(torch.tensor(shape).prod())
    x = scale * torch.sin(step * torch.arange(numel, dtype=torch.float64) ** 1.1).float().view(shape)
    return x.requires_grad_(grad)


def _with_grads(output: Tensor, *inputs: Tensor) -> list[Tensor]:
    """The output, and the gradients of a weighted sum of it."""
    return [output, *torch.autograd.grad((output * _wave(*output.shape, step=0.3, grad=False)).sum(), inputs)]


def _nms(offset: int) -> list[Tensor]:
    from mmcv.ops import nms

    corner = 20 + _wave(40, 2, scale=20, grad=False)
    boxes = torch.cat([corner, corner + 12 + _wave(40, 2, scale=6, step=1.3, grad=False)], 1)
    scores = 0.5 + _wave(40, scale=0.5, step=2.1, grad=False)
    detections, kept = nms(boxes, scores, 0.4, offset=offset, score_threshold=0.1, max_num=20)
    return [detections, kept]


def _roi_align(aligned: bool, sampling_ratio: int) -> list[Tensor]:
    from mmcv.ops import roi_align

    x = _wave(2, 3, 8, 9)
    rois = torch.tensor([[0, 1.0, 2.0, 20.0, 17.0], [1, 0.0, 0.0, 35.0, 31.0], [0, 11.5, 9.25, 12.0, 30.0]])
    return _with_grads(roi_align(x, rois, (3, 2), 0.25, sampling_ratio, "avg", aligned), x)


def _deform_conv(stride: tuple[int, int], padding: tuple[int, int], groups: int) -> list[Tensor]:
    from mmcv.ops import deform_conv2d

    x, weight = _wave(2, 4, 6, 7), _wave(4, 4 // groups, 3, 3, step=0.9)
    height, width = ((n + 2 * p - 3) // s + 1 for n, p, s in zip((6, 7), padding, stride, strict=True))
    offset = _wave(2, groups * 18, height, width, scale=1.5, step=1.7)
    return _with_grads(deform_conv2d(x, offset, weight, stride, padding, 1, groups, groups), x, offset, weight)


def _modulated_deform_conv(with_bias: bool, dilation: tuple[int, int]) -> list[Tensor]:
    from mmcv.ops import modulated_deform_conv2d

    x, weight = _wave(2, 4, 6, 7), _wave(6, 2, 3, 3, step=0.9)
    height, width = (n + 2 - 2 * d for n, d in zip((6, 7), dilation, strict=True))
    offset, mask = _wave(2, 36, height, width, scale=1.5, step=1.7), _wave(2, 18, height, width, step=0.4)
    bias = _wave(6) if with_bias else None
    output = modulated_deform_conv2d(x, offset, mask, weight, bias, 1, 1, dilation, 2, 2)
    return _with_grads(output, *(t for t in (x, offset, mask, weight, bias) if t is not None))


CASES: dict[str, Callable[[], list[Tensor]]] = {
    "nms": lambda: _nms(0),
    "nms, offset 1": lambda: _nms(1),
    "roi_align": lambda: _roi_align(True, 2),
    "roi_align, not aligned, adaptive sampling": lambda: _roi_align(False, 0),
    "deform_conv2d": lambda: _deform_conv((1, 1), (1, 1), 1),
    "deform_conv2d, stride (2, 1), padding (0, 2), 2 groups": lambda: _deform_conv((2, 1), (0, 2), 2),
    "modulated_deform_conv2d": lambda: _modulated_deform_conv(False, (1, 1)),
    "modulated_deform_conv2d, bias, dilation (2, 1)": lambda: _modulated_deform_conv(True, (2, 1)),
}

if __name__ == "__main__":
    import mmcv._ext

    if mmcv._ext.__spec__.loader is None:
        raise SystemExit("mmcv has no compiled ops here: golden values can only come from those")
    golden = {name: [[round(v, 5) for v in t.flatten().tolist()] for t in case()] for name, case in CASES.items()}
    GOLDEN.write_text(json.dumps(golden, indent=None, separators=(",", ":")) + "\n")
