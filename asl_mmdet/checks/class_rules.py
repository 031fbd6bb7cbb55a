"""Rules about the names of categories, and about what labels stand for in several files."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from asl_mmdet.checks.finding import EXAMPLES, FAILS, Rule
from asl_mmdet.coco.annotation_file import KNOWN_CLASSES, CocoSet
from asl_mmdet.coco.format import JOIN, folded, told_apart

FIX_LIKE = "python tools/fix_annotations.py {} OUT.json --like {} writes the file so."


def _ids_of_one_name(coco: CocoSet) -> Iterator[str]:
    numbers = coco.count_of_categories
    for name, ids in coco.repeated_names.items():
        yield f"{name!r}: " + " and ".join(f"id {i} with {numbers[i]} annotations" for i in ids)


def _nameless(coco: CocoSet) -> Iterator[str]:
    for entry in coco.categories:
        if not isinstance(entry.get("name"), str) or not entry["name"]:
            yield f"id {entry.get('id')}: name={entry.get('name')!r}"


def _look_alike(coco: CocoSet) -> Iterator[str]:
    alike: dict[str, set[str]] = defaultdict(set)
    for name in coco.used.values():
        alike[folded(name)].add(name)
    return (" and ".join(told_apart(*sorted(names))) for names in alike.values() if len(names) > 1)


def group_of(coco: CocoSet, number: Any) -> list[str]:
    """The categories whose supercategory a category is, as Roboflow writes the name of a project."""
    entries = [entry for entry in coco.categories if entry.get("id") != number]
    return [str(entry.get("name")) for entry in entries if entry.get("supercategory") == coco.names[number]]


def unused_class(coco: CocoSet, number: Any) -> str:
    """A class without an object, and why it may have none."""
    name, ignored, members = coco.names[number], coco.ignored[number], group_of(coco, number)
    if ignored:
        return f"{name!r}, {ignored} with iscrowd=1 or ignore=1"
    if members:
        return f"{name!r}, the supercategory of {', '.join(members[:3])}: a group, such as Roboflow's, and no class"
    return f"{name!r}"


def _other_order(coco: CocoSet) -> Iterator[str]:
    classes, in_file = list(map(str, coco.classes or [])), list(coco.used.values())
    by_name = coco.kind in KNOWN_CLASSES or coco.classes is None
    if not by_name and sorted(in_file) == sorted(classes) and in_file != classes:
        yield f"config {classes[:EXAMPLES]}, file {in_file[:EXAMPLES]}"


class Reference(NamedTuple):
    """What the labels stand for in the first training set, with which all others are compared."""

    path: str
    classes: list[str]
    is_detection: bool

    @classmethod
    def of(cls, coco: CocoSet) -> "Reference":
        """That of a data set."""
        return cls(coco.path, coco.class_of_label, coco.is_detection)


class Compared(NamedTuple):
    """A data set, and what it is compared with."""

    coco: CocoSet
    reference: Reference


def _other_labels(compared: Compared) -> Iterator[str]:
    here, there = compared.coco.class_of_label, compared.reference.classes
    if lacking := [name for name in there if name not in here]:
        yield f"{', '.join(map(repr, lacking))} lacking here"
    elif more := [name for name in here if name not in there]:
        yield f"{', '.join(map(repr, more))} lacking there"
    else:
        for label, (mine, theirs) in enumerate(zip(here, there, strict=False)):
            if mine != theirs:
                yield f"label {label} is {mine!r} here and {theirs!r} there"


CLASS_RULES: list[Rule[CocoSet]] = [
    Rule(
        "D203",
        "error",
        "category name with several ids",
        "Each id becomes a label of its own, and the labels behind it are shifted.",
        lambda coco: "Leave one: " + JOIN.format(coco.path),
        _ids_of_one_name,
    ),
    Rule(
        "D214",
        "error",
        "category without a name that is text",
        FAILS,
        'Write "name": "..." for every category.',
        _nameless,
    ),
    Rule(
        "D215",
        "warning",
        "category names that differ only in case, white space or how Unicode writes them",
        "They are different classes.",
        "Write them alike and join them, unless that is what you want.",
        _look_alike,
    ),
]
ORDER_RULES: list[Rule[CocoSet]] = [
    Rule(
        "D211",
        "warning",
        "order of the classes differs between config and file",
        "Labels follow the file, so results and pictures show wrong names.",
        "Write metainfo.classes in the order of the training file.",
        _other_order,
    ),
]
LABEL_RULES: list[Rule[Compared]] = [
    Rule(
        "D216",
        "error",
        "label that stands for another class than in the training file",
        "The boxes of one class are taken for those of another, so AP is wrong.",
        lambda compared: (
            f"Here is {compared.coco.path}, there {compared.reference.path}. Write the categories as there: "
            + FIX_LIKE.format(compared.coco.path, compared.reference.path)
        ),
        _other_labels,
    ),
]
