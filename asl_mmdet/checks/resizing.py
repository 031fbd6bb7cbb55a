"""What a pipeline's resize leaves of an image."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import mmcv

from asl_mmdet.config.tree import type_name

Size = tuple[float, float]  # width, height
_BEFORE = ("FilterAnnotations", "LoadAnnotations", "LoadEmptyAnnotations", "LoadImageFromFile", "LoadProposals")


def left_by(pipeline: Iterable[Any] | None) -> Callable[[Size], Size | None]:
    """A function that gives the smallest size that images of a size may get; None where that is not known.

    It knows a resize that keeps the ratio, where nothing before it changes the size.
    """
    for block in pipeline or []:
        if not isinstance(block, dict):
            break
        if type_name(block.get("type")) in _BEFORE:
            continue
        scales = list(_scales_of(block))
        if not scales:
            break
        return lambda size: min((mmcv.rescale_size(size, scale) for scale in scales), key=min)
    return lambda size: None


def _scales_of(block: dict[str, Any]) -> Iterator[Any]:
    """The scales of a resize that keeps the ratio, as ``mmcv.rescale_size`` takes them."""
    kind, scale, factor = type_name(block.get("type")), block.get("scale"), block.get("scale_factor")
    if not block.get("keep_ratio"):
        return
    if kind in ("Resize", "FixScaleResize") and scale is not None:
        yield _pair(scale)
    elif kind in ("Resize", "FixScaleResize") and isinstance(factor, (int, float)):
        yield factor
    elif kind == "RandomChoiceResize":
        yield from map(_pair, block.get("scales") or [])
    elif kind == "RandomResize" and block.get("ratio_range"):
        least = min(block["ratio_range"])
        yield tuple(max(1, int(side * least)) for side in _pair(scale))
    elif kind == "RandomResize":  # between two
        yield tuple(map(min, zip(*map(_pair, scale or []), strict=True)))


def _pair(scale: Any) -> tuple[Any, Any]:
    return (scale, scale) if isinstance(scale, (int, float)) else (scale[0], scale[1])
