"""Lists of findings as CSV and as JSON in COCO's detection format."""

import csv
import json
from pathlib import Path
from typing import Any

from asl_mmdet.audit.findings import KINDS, OLD_KINDS, Corners, LabelFinding
from asl_mmdet.audit.labels import Image, Labels
from asl_mmdet.coco.format import read_json, write_json
from asl_mmdet.errors import UserError

Row = dict[str, Any]
COLUMNS = (
    *("kind", "score", "image_id", "file_name", "category_id", "category", "alternative"),
    *("bbox", "annotation_id", "annotated_category", "iou", "touched_id", "touched_is_found"),
    *("seen_bbox", "seen_category", "seen_score"),
)
DECISIONS = ("accepted", "rejected", "open")  # what a person says of a finding, as the page writes it
_NEEDED = ("kind", "score", "image_id", "file_name", "category_id")


def row_of(finding: LabelFinding, image: Image, labels: Labels) -> Row:
    """A finding with ids and names; boxes are [x, y, width, height], and what a kind does not have is left out."""
    ids, names = {labels.index[category]: category for category in labels.names}, labels.classes
    row: Row = dict(image_id=image.id, category_id=ids[finding.label], score=round(finding.score, 5))
    if finding.box is not None:
        row["bbox"] = _bbox(finding.box)
    row |= dict(kind=finding.kind, file_name=image.file_name, category=names[finding.label])
    if finding.kind == "missing":
        row["alternative"] = finding.alternative
    if finding.annotation_id is not None:
        row["annotation_id"] = finding.annotation_id
    if finding.annotated_label is not None:
        row["annotated_category"] = names[finding.annotated_label]
    if finding.iou is not None:
        row["iou"] = round(finding.iou, 3)
    if finding.touched_id is not None:
        row |= dict(touched_id=finding.touched_id, touched_is_found=finding.touched_is_found)
    if seen := finding.seen:
        row |= dict(seen_bbox=_bbox(seen.box), seen_category=names[seen.label], seen_score=round(seen.score, 5))
    return row


def _bbox(box: Corners) -> list[float]:
    x1, y1, x2, y2 = box
    return [round(float(v), 2) for v in (x1, y1, x2 - x1, y2 - y1)]


def write_findings(rows: list[Row], out: Path) -> None:
    """Write ``findings.csv`` and ``findings.json``; the second can be read by ``COCO.loadRes`` where all have boxes."""
    with (out / "findings.csv").open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows({k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()} for row in rows)
    write_json(out / "findings.json", rows)


def read_findings(path: Path, labels: Labels) -> list[Row]:
    """Read a ``findings.json``, from which rows may have been removed, or the ``reviewed.json`` of the page.

    Kinds get their present names where an older version wrote the file.

    Raises:
        UserError: If it cannot be read, lacks a key, or is of other images or categories. The message says which.
    """
    rows = read_json(path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{path} is no list of findings: use findings.json of an audit, or reviewed.json of its page")
    return [_checked(row, f"{path}: finding {i}", labels) for i, row in enumerate(rows)]


def _checked(row: Row, where: str, labels: Labels) -> Row:
    """The row, its kind with its present name."""
    if lacking := [key for key in _NEEDED if key not in row]:
        raise UserError(f"{where} has no {lacking[0]}: use the findings.json of an audit")
    row = {**row, "kind": OLD_KINDS.get(str(row["kind"]), row["kind"])}
    for key, known in (("kind", tuple(KINDS)), ("decision", DECISIONS)):
        if row.get(key, known[0]) not in known:
            raise UserError(f"{where} has {key}={row[key]!r}: it must be {', '.join(known)}")
    image = labels.images.get(row["image_id"])
    if image is None or image.file_name != row["file_name"]:
        there = image.file_name if image else "no such image"
        raise UserError(
            f"{where} is of image_id={row['image_id']}, {row['file_name']!r}, and {labels.path} has "
            f"{there!r} there. The findings are of other images"
        )
    if row["category_id"] not in labels.names:
        raise UserError(f"{where} has category_id={row['category_id']!r}, none of {labels.path}")
    return row
