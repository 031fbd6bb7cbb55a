"""Missing labels that were found, added to an annotation file."""

from typing import Any

from asl_mmdet.audit.files import Row
from asl_mmdet.audit.findings import REGION_SHARE, Limits
from asl_mmdet.audit.labels import Labels
from asl_mmdet.coco.boxes import corners, overlaps
from asl_mmdet.errors import UserError

SOURCE = "audit_labels"


def is_there(row: Row, labels: Labels) -> bool:
    """Whether the annotations have by now what was missing when they were audited.

    That is a box of any trained class with an IoU as of a box that is not missing, a region to ignore with more than
    half of it inside, or the tag. So findings that were applied, or that somebody annotated since, are not added again.

    Args:
        row: A finding of the kind ``missing``.
        labels: The annotations.
    """
    image = labels.images[row["image_id"]]
    if "bbox" not in row:
        return bool(labels.tags_of(image)[labels.index[row["category_id"]]])
    box = corners([row["bbox"]])
    given, ignored = labels.boxes_of(image)
    is_annotated = overlaps(box, given.xyxy).max(initial=0) >= Limits.missing_iou
    return bool(is_annotated or overlaps(box, ignored, is_region=True).max(initial=0) > REGION_SHARE)


def best_missing(rows: list[Row]) -> list[Row]:
    """The findings of missing labels, each object by its best class."""
    return [row for row in rows if row["kind"] == "missing" and not row.get("alternative")]


def add_missing(coco: dict[str, Any], rows: list[Row], min_score: float, as_ignore: bool = False) -> dict[str, Any]:
    """A copy of a COCO-format content with missing labels added, each object by its best class.

    A new annotation has the next free id, ``source='audit_labels'``, ``score``, and for a box ``area`` (of the box)
    and an empty ``segmentation``: nobody drew a mask. ``audit_labels`` of the content lists what was added each time.

    Args:
        coco: The content of an annotation file; it is not changed.
        rows: Findings; those of other kinds are passed over.
        min_score: Findings of at least this score are added.
        as_ignore: Add boxes with ``iscrowd=1``, as regions that nothing is known about. A training on such a content
            gets :class:`asl_mmdet.hooks.IgnoredBoxesHook` by itself.

    Raises:
        UserError: If ``min_score`` is not in [0, 1], or ``as_ignore`` is asked for labels without boxes.
    """
    chosen = [row for row in best_missing(rows) if row["score"] >= min_score]
    check_options(min_score, as_ignore and any("bbox" not in row for row in chosen))
    first = int(max([0, *(a["id"] for a in coco["annotations"])])) + 1
    added = []
    for number, row in enumerate(chosen, first):
        annotation = dict(id=number, image_id=row["image_id"], category_id=row["category_id"], iscrowd=int(as_ignore))
        if "bbox" in row:
            annotation |= dict(bbox=row["bbox"], area=row["bbox"][2] * row["bbox"][3], segmentation=[])
        added.append({**annotation, "source": SOURCE, "score": row["score"]})
    record = dict(min_score=min_score, as_ignore=as_ignore, added=len(added))
    earlier = coco.get(SOURCE) or []
    earlier = [earlier] if isinstance(earlier, dict) else earlier  # one record, as checkouts before 0.2.0 wrote it
    return {**coco, "annotations": [*coco["annotations"], *added], SOURCE: [*earlier, record]}


def check_options(min_score: float, ignores_tags: bool) -> None:
    """UserError if the score is out of range, or labels without boxes are to be ignored."""
    if not 0 <= min_score <= 1:
        raise UserError(f"--apply {min_score}: use a score in [0, 1]")
    if ignores_tags:
        raise UserError("--as-ignore: a label of a whole image has no region to ignore; leave it out")
