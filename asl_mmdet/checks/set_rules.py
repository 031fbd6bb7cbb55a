"""Rules about an annotation file as a whole: its lists, categories and classes."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from asl_mmdet.checks.coco_set import AnnotationFile, CocoSet, Entry, has_size, is_id
from asl_mmdet.checks.finding import EXAMPLES, FAILS, Rule
from asl_mmdet.known_categories import known_categories

KNOWN_CLASSES = ("KnownClassesCoco", "KnownClassesLVIS")  # data sets whose classes go by name, and may lack some


def _repeated(entries: list[Entry]) -> Iterator[str]:
    numbers = Counter(repr(entry["id"]) for entry in entries if entry.get("id") is not None)
    return (number for number, times in numbers.items() if times > 1)


def _without_id(entries: list[Entry]) -> Iterator[str]:
    return (_short(entry) for entry in entries if not is_id(entry.get("id")))


def _short(entry: Entry) -> str:
    text = str(entry)
    return text if len(text) <= 60 else text[:57] + "..."


def _more_than_once(names: Iterable[Any]) -> Iterator[str]:
    return (str(name) for name, times in Counter(names).items() if times > 1)


def _missing_classes(coco: CocoSet) -> Iterator[str]:
    for name in coco.classes or []:
        if name not in coco.names.values():
            folded = str(name).strip().lower()
            similar = next((n for n in coco.names.values() if n.strip().lower() == folded), None)
            if coco.kind in KNOWN_CLASSES and not similar:
                continue  # another data set of the config has it
            yield f"{name!r}, where the file has {similar!r}" if similar else f"{name!r}"


def _unlabelled_boxes(coco: CocoSet) -> Iterator[str]:
    if coco.kind not in KNOWN_CLASSES:
        return
    annotated: dict[str, set[Any]] = defaultdict(set)
    for entry in coco.annotations:
        annotated[repr(entry.get("image_id"))].add(entry.get("category_id"))
    for image in coco.images:
        try:
            known_categories(image, annotated[repr(image.get("id"))], coco.names)
        except ValueError as error:
            yield str(error)


def _other_order(coco: CocoSet) -> Iterator[str]:
    classes, in_file = coco.classes or [], list(coco.used.values())
    by_name = coco.kind in KNOWN_CLASSES or coco.classes is None
    if not by_name and sorted(in_file) == sorted(classes) and in_file != classes:
        yield f"config {classes[:EXAMPLES]}, file {in_file[:EXAMPLES]}"


def _other_number(coco: CocoSet) -> Iterator[str]:
    if "Panoptic" in coco.kind:
        number, place = len(coco.metainfo.get("thing_classes") or ()), "metainfo.thing_classes"
        if not number:
            return
    elif coco.classes is not None:
        number, place = len(coco.classes), "metainfo.classes"
    elif coco.kind == "CocoMultiLabel":
        number, place = len(coco.names), "the file"
    else:
        return
    for key, found in coco.class_counts.items():
        if found != number:
            yield f"{key}={found}, {number} in {place}; write {key.rpartition('.')[2]}={number}"


def _string_classes(coco: CocoSet) -> Iterator[str]:
    classes = coco.metainfo.get("classes")
    if isinstance(classes, str):
        yield f"classes={classes!r}"


FILE_RULES: list[Rule[AnnotationFile]] = [
    Rule(
        "D101",
        "error",
        "annotation file cannot be opened",
        FAILS,
        "Check the path and the permissions.",
        lambda file: [f"{file.path}: {file.error.strerror}"] if isinstance(file.error, OSError) else (),
    ),
    Rule(
        "D102",
        "error",
        "annotation file is not valid JSON, or is truncated",
        FAILS,
        "Copy or export it again.",
        lambda file: [f"{file.path}: {file.error}"] if file.error else (),
    ),
    Rule(
        "D103",
        "error",
        "list missing from the annotation file",
        FAILS,
        "A file in COCO format has the lists images, annotations and categories.",
        lambda file: file.missing_lists(),
    ),
]
SET_RULES: list[Rule[CocoSet]] = [
    Rule(
        "D104",
        "error",
        "empty list in the annotation file",
        "There is nothing to train on.",
        "Check how the file was exported.",
        lambda coco: [name for name in ("images", "categories") if not getattr(coco, name)],
    ),
    Rule(
        "D201",
        "error",
        "duplicate category id",
        "The objects of one category are taken for those of the other.",
        "Give every category its own id.",
        lambda coco: _repeated(coco.categories),
    ),
    Rule(
        "D202",
        "error",
        "category id is missing or not an integer",
        FAILS,
        "Use integers.",
        lambda coco: _without_id(coco.categories),
    ),
    Rule(
        "D203",
        "warning",
        "duplicate category name",
        "Each becomes a class of its own.",
        "Merge the categories, or rename one.",
        lambda coco: _more_than_once(coco.names.values()),
    ),
    Rule(
        "D204",
        "warning",
        "category with the id 0",
        "MMDetection reads it. Tools that keep 0 for the background lose it.",
        "Number the categories from 1 if you use such tools.",
        lambda coco: [coco.names[0]] if 0 in coco.names else (),
    ),
    Rule(
        "D205",
        "error",
        "metainfo.classes is a string",
        "Its letters, or a file of that name, become the classes.",
        "Write a tuple: classes=('name',).",
        _string_classes,
    ),
    Rule(
        "D206",
        "error",
        "metainfo key of MMDetection 2",
        "It is not read.",
        "Write metainfo=dict(classes=...).",
        lambda coco: ["CLASSES"] if "CLASSES" in coco.metainfo and "classes" not in coco.metainfo else (),
    ),
    Rule(
        "D207",
        "error",
        "category of a data set without metainfo.classes",
        "MMDetection looks for COCO's 80 names and ignores all others, so AP is 0.",
        lambda coco: f"Write metainfo=dict(classes=...) in the data set and num_classes={len(coco.names)} in the head.",
        lambda coco: coco.names.values() if coco.needs_classes else (),
    ),
    Rule(
        "D208",
        "error",
        "duplicate class in metainfo.classes",
        "The labels of the classes behind it are shifted.",
        "Name every class once.",
        lambda coco: _more_than_once(coco.classes or []),
    ),
    Rule(
        "D209",
        "error",
        "class that the annotation file does not have",
        "It is never learned, and the labels of the classes behind it are shifted.",
        "Write the names as they are in the file.",
        _missing_classes,
    ),
    Rule(
        "D210",
        "warning",
        "category that metainfo.classes does not name",
        "Its objects are background.",
        "Add it, unless that is what you want.",
        lambda coco: [f"{name!r}" for name in coco.names.values() if coco.classes and name not in coco.classes],
    ),
    Rule(
        "D211",
        "warning",
        "order of the classes differs between config and file",
        "Labels follow the file, so results and pictures show wrong names.",
        "Write metainfo.classes in the order of the file.",
        _other_order,
    ),
    Rule("D212", "error", "number of classes differs", "Labels and scores do not fit.", "", _other_number),
    Rule(
        "D213",
        "error",
        "image whose record and boxes disagree on the classes that it was labelled for",
        FAILS,
        "Correct known_categories.",
        _unlabelled_boxes,
    ),
    Rule(
        "D301",
        "error",
        "duplicate image id",
        "The boxes of both images are drawn on one of them.",
        "Give every image its own id.",
        lambda coco: _repeated(coco.images),
    ),
    Rule(
        "D302",
        "error",
        "image id is missing or not an integer",
        FAILS,
        "Use integers.",
        lambda coco: _without_id(coco.images),
    ),
    Rule(
        "D303",
        "error",
        "image without a file_name",
        FAILS,
        "Add it, or remove the entry.",
        lambda coco: (_short(entry) for entry in coco.images if not isinstance(entry.get("file_name"), str)),
    ),
    Rule(
        "D304",
        "error",
        "image without a width and a height",
        FAILS,
        "Add them in pixels.",
        lambda coco: (
            str(entry.get("file_name")) for entry in coco.images if coco.is_detection and not has_size(entry)
        ),
    ),
    Rule(
        "D305",
        "warning",
        "image listed more than once",
        "Each of its entries has only a part of the boxes.",
        "Merge the entries.",
        lambda coco: _more_than_once(coco.image_paths.values()),
    ),
    Rule(
        "D401",
        "error",
        "duplicate annotation id",
        "MMDetection refuses the file.",
        "Renumber the annotations.",
        lambda coco: _repeated(coco.annotations),
    ),
    Rule(
        "D402",
        "error",
        "annotation id is missing or not an integer",
        FAILS,
        "Use integers.",
        lambda coco: _without_id(coco.annotations),
    ),
]
OBJECT_RULES: list[Rule[CocoSet]] = [
    Rule(
        "D412",
        "warning",
        "class without a usable object",
        "It is never learned, or has no AP.",
        "Add objects, or leave the class out.",
        lambda coco: [f"{name!r}" for number, name in coco.used.items() if not coco.objects[number]],
    ),
    Rule(
        "D413",
        "error",
        "data set without a usable object",
        "There is nothing to learn or to evaluate.",
        "The other findings say why.",
        lambda coco: [coco.path] if coco.image_paths and not coco.objects else (),
    ),
]


@dataclass(frozen=True)
class Shared:
    """Images of an evaluation set that a training set has too."""

    train_key: str
    images: list[str]


SHARED_RULES: list[Rule[Shared]] = [
    Rule(
        "D501",
        "warning",
        "image that is trained on and evaluated on",
        "The results are too good.",
        lambda shared: f"Remove it from this set or from {shared.train_key}.",
        lambda shared: shared.images,
    ),
]
