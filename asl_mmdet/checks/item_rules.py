"""Rules about single annotations of a set."""

from collections.abc import Callable, Iterable
from typing import Any

from asl_mmdet.checks.coco_set import Annotation, Entry, is_id, is_number
from asl_mmdet.checks.finding import FAILS, Rule

DROPPED = "MMDetection leaves it out without a warning."


def _where(is_wrong: Callable[[Annotation], bool]) -> Callable[[Annotation], Iterable[str]]:
    return lambda annotation: (annotation.where,) if is_wrong(annotation) else ()


def _box(text: str, is_wrong: Callable[..., bool]) -> Callable[..., Iterable[str]]:
    """A rule's ``find`` from a condition on x, y, w, h and the image's size, and from what to show of them."""

    def find(annotation: Annotation) -> Iterable[str]:
        box, size = annotation.entry["bbox"], annotation.size
        if not is_wrong(*box, size):
            return ()
        return (f"{annotation.where}: " + text.format(*box, box=box, size=size),)

    return find


def _is_outside(x: float, y: float, w: float, h: float, size: Any) -> bool:
    return size is not None and (x >= size[0] or y >= size[1] or x + w <= 0 or y + h <= 0)


def _sticks_out(x: float, y: float, w: float, h: float, size: Any) -> bool:
    return size is not None and (x < 0 or y < 0 or x + w > size[0] + 1 or y + h > size[1] + 1)


def _has_box(entry: Entry) -> bool:
    box = entry.get("bbox")
    return isinstance(box, list) and len(box) == 4 and all(map(is_number, box))


# The first rule that applies to an annotation takes it: MMDetection does not read it.
REFERENCE_RULES: list[Rule[Annotation]] = [
    Rule(
        "D403",
        "warning",
        "annotation of an image that the file does not list",
        "It is not read.",
        "Add the image, or remove the annotation.",
        _where(lambda a: not is_id(a.entry.get("image_id")) or a.entry["image_id"] not in a.coco.image_paths),
    ),
    Rule(
        "D404",
        "warning",
        "annotation of a category that the file does not list",
        "It is not read.",
        "Add the category, or remove the annotation.",
        _where(lambda a: not is_id(a.entry.get("category_id")) or a.entry["category_id"] not in a.coco.names),
    ),
]
BOX_RULES: list[Rule[Annotation]] = [
    Rule(
        "D405",
        "error",
        "box is not 4 finite numbers",
        "Training fails, or its loss becomes NaN.",
        "Write bbox=[x, y, width, height].",
        _where(lambda a: not _has_box(a.entry)),
    ),
    Rule(
        "D406",
        "error",
        "annotation without an area",
        FAILS,
        "Write width x height.",
        _where(lambda a: not is_number(a.entry.get("area"))),
    ),
    Rule(
        "D407",
        "warning",
        "box of zero or negative size",
        DROPPED,
        "Write bbox=[x, y, width, height].",
        _box("{2:g} x {3:g}", lambda x, y, w, h, size: w <= 0 or h <= 0),
    ),
    Rule(
        "D408",
        "warning",
        "box smaller than a pixel",
        DROPPED,
        "Write pixels, not fractions of the image.",
        _box("{2:g} x {3:g}", lambda x, y, w, h, size: w < 1 or h < 1),
    ),
    Rule(
        "D409",
        "warning",
        "annotation whose area is not positive",
        DROPPED,
        "Write width x height.",
        _where(lambda a: a.entry["area"] <= 0),
    ),
    Rule(
        "D410",
        "warning",
        "box outside its image",
        DROPPED,
        "Check the order [x, y, width, height] and the size of the image.",
        _box("{box}", _is_outside),
    ),
]
READ_BOX_RULES: list[Rule[Annotation]] = [
    Rule(
        "D411",
        "warning",
        "box that reaches more than a pixel beyond its image",
        "It is used as it is.",
        "Clip it, or check the size of the image.",
        _box("{box} in {size[0]:g} x {size[1]:g}", _sticks_out),
    ),
]
