"""Rules about an annotation file as a whole: its lists, categories and classes."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from asl_mmdet.checks.box_form import BoxForm
from asl_mmdet.checks.class_rules import unused_class
from asl_mmdet.checks.finding import FAILS, Rule
from asl_mmdet.coco.annotation_file import KNOWN_CLASSES, AnnotationFile, CocoSet, Entry, has_size
from asl_mmdet.coco.format import RENUMBER, TO_UTF8, folded, is_id, told_apart
from asl_mmdet.coco.known_categories import known_categories

IGNORED = "Write iscrowd=0 for single objects: 1 is for regions of many. CVAT writes 1 for every brush mask."
BAD_ID = "MMDetection and COCO's evaluation fail on it, or take other numbers for it."


def _repeated(entries: list[Entry]) -> Iterator[str]:
    numbers = Counter(entry["id"] for entry in entries if is_id(entry.get("id")))  # 1 and 1.0 are one
    return (str(number) for number, times in numbers.items() if times > 1)


def _without_id(entries: list[Entry]) -> Iterator[str]:
    return (_short(entry) for entry in entries if not is_id(entry.get("id")))


def _without_size(coco: CocoSet) -> Iterator[str]:
    for entry in coco.images if coco.is_detection else ():
        if not has_size(entry):
            yield f"{entry.get('file_name')}: {entry.get('width')!r} x {entry.get('height')!r}"


def _short(entry: Entry) -> str:
    text = str(entry)
    return text if len(text) <= 60 else text[:57] + "..."


def _more_than_once(names: Iterable[Any]) -> Iterator[str]:
    return (str(name) for name, times in Counter(names).items() if times > 1)


def _missing_classes(coco: CocoSet) -> Iterator[str]:
    for name in coco.classes or []:
        if name not in coco.names.values():
            similar = next((n for n in coco.names.values() if folded(n) == folded(name)), None)
            if coco.kind in KNOWN_CLASSES and not similar:
                continue  # another data set of the config has it
            yield ", where the file has ".join(told_apart(name, similar)) if similar else f"{name!r}"


def _unlabelled_boxes(coco: CocoSet) -> Iterator[str]:
    if coco.kind not in KNOWN_CLASSES:
        return
    annotated: dict[Any, set[Any]] = defaultdict(set)
    for entry in coco.annotations:
        if is_id(entry.get("image_id")) and is_id(entry.get("category_id")):
            annotated[entry["image_id"]].add(entry["category_id"])
    unknown = {i for i, name in coco.names.items() if name == coco.dataset.get("unknown_class")}
    for image in coco.images:
        try:
            known_categories(image, annotated[image["id"]] - unknown if is_id(image.get("id")) else (), coco.names)
        except ValueError as error:
            yield str(error)


def _other_number(coco: CocoSet) -> Iterator[str]:
    if coco.classes is not None:
        number, place = len(coco.classes), "metainfo.classes"
    elif coco.kind == "CocoMultiLabel":
        number, place = len(coco.names), "the file"
    else:
        return
    for key, found in coco.class_counts.items():
        if found != number:
            yield f"{key}={found}, {number} in {place}; write {key.rpartition('.')[2]}={number}"


def _why_unusable(coco: CocoSet) -> str:
    if coco.ignored:
        return f"All {coco.ignored.total()} annotations have iscrowd=1 or ignore=1. {IGNORED}"
    return "The other findings say why."


def _string_classes(coco: CocoSet) -> Iterator[str]:
    classes = coco.metainfo.get("classes")
    if isinstance(classes, str) and coco.classes is None:
        yield f"classes={classes!r}"


def _other_format(file: AnnotationFile) -> Iterator[str]:
    """What else the annotations are, if they are none of objects."""
    first = file.content["annotations"][0] if file.content["annotations"] else {}
    for key, kind in (("segments_info", "panoptic"), ("caption", "caption")):
        if key in first and "bbox" not in first:
            yield f"{file.path}: annotations have {key}, as in {kind} files"


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
        "annotation file is not valid JSON in UTF-8, or is truncated",
        FAILS,
        lambda file: TO_UTF8.format(file.path) if file.foreign_encoding else "Copy or export it again.",
        lambda file: [f"{file.path}: {file.error or file.foreign_encoding}"] if not file.is_plain else (),
    ),
    Rule(
        "D103",
        "error",
        "list missing from the annotation file, or not one of objects",
        FAILS,
        "A file in COCO format has the lists images, annotations and categories.",
        lambda file: file.missing_lists(),
    ),
    Rule(
        "D105",
        "error",
        "annotation file of another task",
        "It has no boxes.",
        "Name the file of instances, such as instances_train2017.json.",
        _other_format,
    ),
]
LIST_RULES: list[Rule[CocoSet]] = [
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
        "category id is missing or not a whole number",
        BAD_ID,
        lambda coco: RENUMBER.format(coco.path),
        lambda coco: _without_id(coco.categories),
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
        "image id is missing or not a whole number",
        BAD_ID,
        lambda coco: RENUMBER.format(coco.path),
        lambda coco: _without_id(coco.images),
    ),
    Rule(
        "D303",
        "error",
        "image without a file_name",
        FAILS,
        lambda coco: f"{coco.kind} reads {coco.file_key}. Add it, or remove the entry.",
        lambda coco: (_short(entry) for entry in coco.images if not coco.file_of(entry)),
    ),
    Rule(
        "D304",
        "error",
        "image without a width and a height",
        FAILS,
        lambda coco: f"Add them in pixels. python tools/fix_annotations.py {coco.path} OUT.json reads them from texts.",
        _without_size,
    ),
    Rule(
        "D401",
        "error",
        "duplicate annotation id",
        "MMDetection refuses the file.",
        lambda coco: RENUMBER.format(coco.path),
        lambda coco: _repeated(coco.annotations),
    ),
    Rule(
        "D402",
        "error",
        "annotation id is missing or not a whole number",
        BAD_ID,
        lambda coco: RENUMBER.format(coco.path),
        lambda coco: _without_id(coco.annotations),
    ),
]
SET_RULES: list[Rule[CocoSet]] = [
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
        "There is no file of that name, so its letters become the classes.",
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
        "D217",
        "error",
        "data_prefix that is a text",
        FAILS,
        "Write data_prefix=dict(img=...).",
        lambda coco: (
            [f"data_prefix={coco.dataset.data_prefix!r}"]
            if coco.is_detection and isinstance(coco.dataset.get("data_prefix"), str)
            else ()
        ),
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
        "Write the names as they are in the file, or add the category to it.",
        _missing_classes,
    ),
    Rule(
        "D210",
        "warning",
        "category that metainfo.classes does not name",
        "Its objects are background.",
        "Add it, unless that is what you want.",
        lambda coco: [
            f"{name!r}"
            for name in coco.names.values()
            if coco.classes and name not in coco.classes and name != coco.dataset.get("unknown_class")
        ],
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
        "D305",
        "warning",
        "image listed more than once",
        "Each of its entries has only a part of the boxes.",
        "Merge the entries.",
        lambda coco: _more_than_once(coco.image_paths.values()),
    ),
]
FORM_RULES: list[Rule[BoxForm]] = [
    Rule(
        "D416",
        "error",
        "box written as corners x1, y1, x2, y2",
        "Other boxes are learned and evaluated than were drawn.",
        lambda form: (
            f"Write bbox=[x, y, width, height]: python tools/fix_annotations.py {form.path} OUT.json --corners does."
        ),
        BoxForm.corners,
    ),
    Rule(
        "D421",
        "warning",
        "box that an image has twice",
        "It is learned twice, and one of the two counts as never found.",
        "Remove one of them.",
        lambda form: form.repeated,
    ),
]
OBJECT_RULES: list[Rule[CocoSet]] = [
    Rule(
        "D412",
        "warning",
        "class without a usable object",
        "It is never learned, or has no AP.",
        "Add objects, or leave the class out.",
        lambda coco: [unused_class(coco, number) for number in coco.used if not coco.objects[number]],
    ),
    Rule(
        "D413",
        "error",
        "data set without a usable object",
        "There is nothing to learn or to evaluate.",
        lambda coco: _why_unusable(coco),
        lambda coco: [coco.path] if coco.image_paths and not coco.objects else (),
    ),
    Rule(
        "D417",
        "warning",
        "data set with more regions to ignore than objects",
        "They are neither learned nor evaluated.",
        IGNORED,
        lambda coco: (
            [f"{coco.ignored.total()} of {coco.objects.total() + coco.ignored.total()} annotations"]
            if 0 < coco.objects.total() < coco.ignored.total()
            else ()
        ),
    ),
]


Shared = tuple[str, list[str]]  # the key of a training set, and the images of an evaluation set that it has too
SHARED_RULES: list[Rule[Shared]] = [
    Rule(
        "D501",
        "warning",
        "image that is trained on and evaluated on",
        "The results are too good.",
        lambda shared: f"Remove it from this set or from {shared[0]}.",
        lambda shared: shared[1],
    ),
]
