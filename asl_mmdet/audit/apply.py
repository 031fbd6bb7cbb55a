"""What was found, applied to an annotation file."""

from collections import Counter, defaultdict
from typing import Any

from asl_mmdet.audit.added_boxes import SOURCE, records_of
from asl_mmdet.audit.files import Row
from asl_mmdet.audit.findings import KINDS, REGION_SHARE, Limits
from asl_mmdet.audit.labels import Image, Labels
from asl_mmdet.coco.boxes import corners, overlaps
from asl_mmdet.coco.known_categories import known_categories
from asl_mmdet.errors import UserError


def is_done(row: Row, labels: Labels) -> bool:
    """Whether the annotations are by now as the finding would have them, or the annotation is another one.

    A missing object has a box of any trained class with an IoU as of a box that is not missing, a region to ignore with
    more than half of it inside, or the tag. Another finding is done where its annotation is gone, has another class
    than the audit saw, or has the box. So nothing is applied twice, nor against what somebody did since.

    Args:
        row: A finding.
        labels: The annotations.
    """
    image = labels.images[row["image_id"]]
    if row["kind"] == "missing":
        return _is_there(row, image, labels)
    if "bbox" not in row:
        return not labels.tags_of(image)[labels.index[row["category_id"]]]
    given = next((a for a in image.annotations if a["id"] == row.get("annotation_id")), None)
    if given is None or labels.names.get(given["category_id"]) != row.get("annotated_category"):
        return True
    return KINDS[row["kind"]] == "moved" and given["bbox"] == row["bbox"]


def _is_there(row: Row, image: Image, labels: Labels) -> bool:
    if "bbox" not in row:
        return bool(labels.tags_of(image)[labels.index[row["category_id"]]])
    box = corners([row["bbox"]])
    given, ignored = labels.boxes_of(image)
    is_annotated = overlaps(box, given.xyxy).max(initial=0) >= Limits.missing_iou
    return bool(is_annotated or overlaps(box, ignored, is_region=True).max(initial=0) > REGION_SHARE)


def accepted(rows: list[Row]) -> list[Row]:
    """The findings to apply: those that a person accepted, or, where nobody reviewed them, the missing labels.

    A row of ``reviewed.json`` has a ``decision``. A row of ``findings.json`` has none: a missing label is taken, each
    object by its best class, and other kinds are not, since only a person changes an annotation.
    """
    best = [row for row in rows if not row.get("alternative")]
    return [row for row in best if row.get("decision", "accepted" if row["kind"] == "missing" else "") == "accepted"]


def apply_findings(coco: dict[str, Any], rows: list[Row], min_score: float, as_ignore: bool = False) -> dict[str, Any]:
    """A copy of a COCO-format content with findings applied: those of :func:`accepted` from a score on.

    A missing label is added, with the next free id, ``score``, and for a box ``area`` (of the box) and an empty
    ``segmentation``: nobody drew a mask. An annotation of the wrong class gets the class of the finding, a badly
    located one its box, and a spurious one is removed. ``source='audit_labels'`` marks what is new or changed, and
    ``audit_labels`` of the content lists how many there were each time. An image that was not labelled for the class of
    a finding gets it in ``not_exhaustive_category_ids``: its other objects of that class have no box.

    Args:
        coco: The content of an annotation file; it is not changed.
        rows: Findings.
        min_score: Findings of at least this score are applied.
        as_ignore: Add boxes with ``iscrowd=1``, as regions that nothing is known about. A training on such a content
            gets :class:`asl_mmdet.hooks.IgnoredBoxesHook` by itself.

    Raises:
        UserError: If ``min_score`` is not in [0, 1], or ``as_ignore`` is asked for labels without boxes.
    """
    chosen = [row for row in accepted(rows) if row["score"] >= min_score]
    missing = [row for row in chosen if row["kind"] == "missing"]
    check_options(min_score, as_ignore and any("bbox" not in row for row in missing))
    first = int(max([0, *(a["id"] for a in coco["annotations"])])) + 1
    kept, done = _changed(coco["annotations"], [row for row in chosen if row["kind"] != "missing"])
    added = [_annotation(number, row, as_ignore) for number, row in enumerate(missing, first)]
    record = dict(min_score=min_score, as_ignore=as_ignore, added=len(added), **done)
    applied = {**coco, "annotations": [*kept, *added], SOURCE: [*records_of(coco), record]}
    classes: dict[int, set[int]] = defaultdict(set)
    for row in chosen:
        if KINDS[row["kind"]] in ("added", "reclassified"):
            classes[row["image_id"]].add(row["category_id"])
    return {**applied, "images": _with_partly_known(coco, classes)} if classes else applied


def _with_partly_known(coco: dict[str, Any], new: dict[int, set[int]]) -> list[dict[str, Any]]:
    """The images' records; a new class that one was not labelled for is one of which it has only some boxes."""
    annotated: dict[int, set[int]] = defaultdict(set)
    for given in coco["annotations"]:
        annotated[given["image_id"]].add(given["category_id"])
    names = {category["id"]: category.get("name") for category in coco["categories"]}

    def changed(image: dict[str, Any]) -> dict[str, Any]:
        says_all = "known_categories" in image  # else what is annotated is known too
        partly = image.get("not_exhaustive_category_ids") or []
        there = new[image["id"]] - known_categories(image, () if says_all else annotated[image["id"]], names)
        more = [category for category in sorted(there) if not {category, names[category]} & set(partly)]
        return {**image, "not_exhaustive_category_ids": [*partly, *more]} if more else image

    return [changed(image) if image["id"] in new else image for image in coco["images"]]


def _annotation(number: int, row: Row, as_ignore: bool) -> dict[str, Any]:
    new = dict(id=number, image_id=row["image_id"], category_id=row["category_id"], iscrowd=int(as_ignore))
    return {**new, **_box_of(row), "source": SOURCE, "score": row["score"]}


def _box_of(row: Row) -> dict[str, Any]:
    if "bbox" not in row:
        return {}
    return dict(bbox=row["bbox"], area=row["bbox"][2] * row["bbox"][3], segmentation=[])


def _changed(annotations: list[dict[str, Any]], rows: list[Row]) -> tuple[list[dict[str, Any]], Counter[str]]:
    """The annotations as the findings have them, and how many were changed in which way."""
    by_id = {(row["image_id"], row["annotation_id"]): row for row in rows if "bbox" in row}
    by_tag = {(row["image_id"], row["category_id"]): row for row in rows if "bbox" not in row}  # it knows no id
    kept: list[dict[str, Any]] = []
    done: Counter[str] = Counter()
    for given in annotations:
        image = given["image_id"]
        row = by_id.get((image, given["id"])) or by_tag.get((image, given["category_id"]))
        if row is None:
            kept.append(given)
            continue
        change = KINDS[row["kind"]]
        done[change] += 1
        if change == "reclassified":
            kept.append({**given, "category_id": row["category_id"], "source": SOURCE, "score": row["score"]})
        elif change == "moved":
            kept.append({**given, **_box_of(row), "source": SOURCE, "score": row["score"]})
    return kept, done


def check_options(min_score: float, ignores_tags: bool) -> None:
    """UserError if the score is out of range, or labels without boxes are to be ignored."""
    if not 0 <= min_score <= 1:
        raise UserError(f"--apply {min_score}: use a score in [0, 1]")
    if ignores_tags:
        raise UserError("--as-ignore: a label of a whole image has no region to ignore; leave it out")
