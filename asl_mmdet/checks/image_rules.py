"""Rules about the images of a set: which are left out, and what is wrong with a file."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from asl_mmdet.checks.finding import FAILS, Rule
from asl_mmdet.coco.annotation_file import CocoSet, Size
from asl_mmdet.coco.format import is_id
from asl_mmdet.coco.image_files import ImageFile
from asl_mmdet.errors import stand_in


@dataclass
class AnnotatedImage(ImageFile):
    """An image of a set.

    Args:
        path: The file.
        loading: How the pipeline reads it.
        exists: Whether the file is there.
        size: Width and height as annotated.
        left: Width and height that the pipeline's resize leaves, where that is known.
        where_else: Says what finds the file.
    """

    exists: bool = True
    size: Size | None = None
    left: Size | None = None
    where_else: Callable[[], str] = str


def left_out(coco: CocoSet) -> list[str]:
    """The images that ``filter_cfg.min_size`` leaves out."""
    least = _filter_of(coco).get("min_size") or 0
    return [coco.image_paths[number] for number, size in coco.sizes.items() if min(size) < least]


def _filter_of(coco: CocoSet) -> dict[str, Any]:
    """The data set's ``filter_cfg``, where MMDetection reads it."""
    is_read = coco.is_detection and not coco.dataset.get("test_mode")
    return dict(coco.dataset.get("filter_cfg") or {}) if is_read else {}


def _none_left(coco: CocoSet) -> Iterator[str]:
    options = _filter_of(coco)
    if not options or not coco.image_paths:
        return
    named = [a for a in coco.annotations if is_id(a.get("image_id")) and is_id(a.get("category_id"))]
    labelled = {a["image_id"] for a in named if a["category_id"] in coco.used}
    small = set(left_out(coco))
    left = [number for number in coco.image_paths if number in labelled or not options.get("filter_empty_gt")]
    if all(coco.image_paths[number] in small for number in left):
        shown = ", ".join(f"{name}={value}" for name, value in options.items())
        yield f"filter_cfg=dict({shown}) leaves none of {len(coco.image_paths)} images of {coco.path}"


def _other_size(image: AnnotatedImage) -> Iterable[str]:
    if image.pixels is None or image.size is None:
        return ()
    height, width = image.pixels.shape[:2]
    if (width, height) == image.size:
        return ()
    turned = f", turned by its EXIF orientation {image.orientation}" if image.stored_shape else ""
    return (f"{image.path}: {width} x {height}{turned}, not {image.size[0]:g} x {image.size[1]:g}",)


def _orientation(image: AnnotatedImage) -> Iterable[str]:
    """An orientation that the size does not tell: both ways round the image is as large."""
    if image.orientation == 1 or not image.loading.turns or image.pixels is None:
        return ()
    shape = image.pixels.shape[:2]
    if image.size is not None and image.orientation >= 5 and shape[0] != shape[1]:
        return ()  # the annotated size is that of the image as it is read, or D313 has said so
    applied = ", applied when it is read" if image.stored_shape else ""
    return (f"{image.path}: orientation {image.orientation}{applied}",)


FILTER_RULES: list[Rule[CocoSet]] = [
    Rule(
        "D306",
        "error",
        "filter_cfg leaves out all images",
        "There is nothing to train on.",
        "Write a smaller min_size, or filter_cfg=dict(filter_empty_gt=False).",
        _none_left,
    ),
    Rule(
        "D307",
        "warning",
        "image smaller than filter_cfg.min_size",
        "MMDetection leaves it out without a warning.",
        "Write a smaller min_size, unless that is what you want.",
        left_out,
    ),
]
IMAGE_RULES: list[Rule[AnnotatedImage]] = [
    Rule(
        "D310",
        "error",
        "image file not found",
        "Training fails when it reads the image.",
        lambda image: image.where_else() or "Restore the file, or remove its entry.",
        lambda image: () if image.exists else (image.path,),
    ),
    Rule(
        "D315",
        "error",
        "image too long and thin for the pipeline's resize",
        FAILS,
        "Cut it into pieces, remove its entry, or use a larger scale.",
        lambda image: (
            ()
            if image.left is None or image.size is None or min(image.left) >= 1
            else (f"{image.path}: {image.size[0]:g} x {image.size[1]:g} to {image.left[0]} x {image.left[1]}",)
        ),
    ),
]
PIXEL_RULES: list[Rule[AnnotatedImage]] = [
    Rule(
        "D311",
        "error",
        "truncated image",
        "The rest is grey, or training fails when it reads the image.",
        "Copy it again.",
        lambda image: (image.path,) if image.is_truncated else (),
    ),
    Rule(
        "D312",
        "error",
        "image cannot be decoded",
        "Training fails when it reads the image.",
        "Copy it again, convert it to PNG, or remove its entry.",
        lambda image: (": ".join(filter(None, (image.path, stand_in(image.content)))),) if image.pixels is None else (),
    ),
    Rule(
        "D313",
        "error",
        "image size differs from its annotation",
        "Its boxes are at wrong places.",
        "Correct width and height. An EXIF tag may turn the image.",
        _other_size,
    ),
    Rule(
        "D314",
        "warning",
        "image with an EXIF orientation that its annotated size does not show",
        "Boxes are at wrong places if they were drawn on the other way round.",
        "Look at one with its boxes. If they fit the image as stored, write color_type='color_ignore_orientation' in "
        "LoadImageFromFile.",
        _orientation,
    ),
    Rule(
        "D316",
        "warning",
        "image of more than 8 bits of which training sees next to nothing",
        "No object can be told from the background.",
        "Convert it to 8 bits over the range of its values.",
        lambda image: (f"{image.path}: {image.lost_range}",) if image.lost_range else (),
    ),
]
