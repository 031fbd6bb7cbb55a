"""Rules about single annotations of a set."""

from collections.abc import Callable, Iterable
from typing import Any

from asl_mmdet.checks.finding import FAILS, Rule
from asl_mmdet.coco.annotation_file import Annotation, Entry, is_box, is_number
from asl_mmdet.coco.format import RENUMBER, is_id

DROPPED = "MMDetection leaves it out without a warning."
FIX_BOXES = " python tools/fix_annotations.py {} OUT.json reads numbers from texts, and boxes from masks."


def _where(is_wrong: Callable[[Annotation], bool]) -> Callable[[Annotation], Iterable[str]]:
    return lambda annotation: (annotation.where,) if is_wrong(annotation) else ()


def _unlisted(key: str, is_listed: Callable[[Annotation, Any], bool]) -> Callable[[Annotation], Iterable[str]]:
    """A rule's ``find`` for a reference to an entry of another list."""

    def find(annotation: Annotation) -> Iterable[str]:
        value = annotation.entry.get(key)
        return () if is_id(value) and is_listed(annotation, value) else (f"{annotation.where}: {key}={value!r}",)

    return find


def _fix_reference(annotation: Annotation, key: str) -> str:
    return "" if is_id(annotation.entry.get(key)) else RENUMBER.format(annotation.coco.path)


def _wrong_flags(annotation: Annotation) -> Iterable[str]:
    """What Python takes for true or false, and pycocotools for another number or for none."""
    for key in ("iscrowd", "ignore"):
        value = annotation.entry.get(key)
        if value not in (0, 1, None, ""):
            yield f"{annotation.where}: {key}={value!r}"


def mask_of(entry: Entry) -> Any:
    """The segmentation as MMDetection uses it: an RLE, the polygons of at least three points, or nothing."""
    mask = entry.get("segmentation")
    if isinstance(mask, dict):
        return mask if mask.get("counts") is not None and mask.get("size") is not None else None
    polygons = mask if isinstance(mask, list) else []
    return [p for p in polygons if isinstance(p, list) and len(p) >= 6 and len(p) % 2 == 0]


def _has_mask(entry: Entry) -> bool:
    """Whether there is one of any kind; pandas writes NaN where there is none."""
    mask = entry.get("segmentation")
    return isinstance(mask, (list, dict)) and bool(mask)


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


FLAG_RULES: list[Rule[Annotation]] = [
    Rule(
        "D415",
        "error",
        "iscrowd or ignore is neither 0 nor 1",
        "A text that is not empty counts as 1 in training, and stops the evaluation or is another number there.",
        "Write 0, or 1 for a region to ignore.",
        _wrong_flags,
    ),
]
# What evaluation does by these is right with this project, which is worth a word all the same.
EVALUATED_RULES: list[Rule[Annotation]] = [
    Rule(
        "D414",
        "warning",
        "annotation with the id 0",
        "pycocotools counts its object as never found. It is renumbered here before the evaluation.",
        lambda annotation: "For other tools: " + RENUMBER.format(annotation.coco.path),
        lambda annotation: (
            ("annotation id 0",) if is_id(annotation.entry.get("id")) and annotation.entry["id"] == 0 else ()
        ),
    ),
    Rule(
        "D418",
        "warning",
        "annotation without iscrowd",
        "pycocotools fails on it. It is taken for 0 here.",
        lambda annotation: (
            f"For other tools: python tools/fix_annotations.py {annotation.coco.path} OUT.json writes it."
        ),
        _where(lambda a: a.entry.get("iscrowd") in (None, "") and not a.coco.is_lvis),
    ),
]
MASK_RULES: list[Rule[Annotation]] = [
    Rule(
        "D419",
        "error",
        "annotation without a mask, where the config reads masks",
        FAILS,
        "Remove the annotation, or write with_mask=False in LoadAnnotations if you only need boxes.",
        _where(lambda a: not _has_mask(a.entry)),
    ),
    Rule(
        "D420",
        "warning",
        "annotation whose mask is neither an RLE nor polygons of three points",
        "Its region is ignored.",
        "Write the polygon, or an RLE with counts and size.",
        _where(lambda a: _has_mask(a.entry) and not mask_of(a.entry)),
    ),
]
# The first rule that applies to an annotation takes it: MMDetection does not read it.
REFERENCE_RULES: list[Rule[Annotation]] = [
    Rule(
        "D403",
        "warning",
        "annotation of an image that the file does not list",
        "It is not read.",
        lambda a: _fix_reference(a, "image_id") or "Add the image, or remove the annotation.",
        _unlisted("image_id", lambda a, value: value in a.coco.image_paths),
    ),
    Rule(
        "D404",
        "warning",
        "annotation of a category that the file does not list",
        "It is not read.",
        lambda a: _fix_reference(a, "category_id") or "Add the category, or remove the annotation.",
        _unlisted("category_id", lambda a, value: value in a.coco.names),
    ),
]
NUMBER_RULES: list[Rule[Annotation]] = [
    Rule(
        "D405",
        "error",
        "box is not 4 finite numbers",
        "Training fails, or its loss becomes NaN.",
        lambda a: "Write bbox=[x, y, width, height]." + FIX_BOXES.format(a.coco.path),
        _where(lambda a: not is_box(a.entry.get("bbox"))),
    ),
    Rule(
        "D406",
        "error",
        "annotation without an area",
        FAILS,
        lambda a: "Write width x height." + FIX_BOXES.format(a.coco.path),
        _where(lambda a: not is_number(a.entry.get("area"))),
    ),
]
BOX_RULES: list[Rule[Annotation]] = [
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
        "Check the order [x, y, width, height], and the width and height of the image.",
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
