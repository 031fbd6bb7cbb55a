"""Lists of findings as CSV and as JSON in COCO's detection format."""

import csv
import json
from pathlib import Path
from typing import Any

from asl_mmdet.audit.findings import LabelFinding
from asl_mmdet.audit.labels import Image, Labels
from asl_mmdet.coco.format import read_json
from asl_mmdet.errors import UserError

Row = dict[str, Any]
COLUMNS = (
    *("kind", "score", "image_id", "file_name", "category_id", "category", "alternative"),
    *("bbox", "annotation_id", "annotated_category", "iou"),
)
_NEEDED = ("kind", "score", "image_id", "file_name", "category_id")


def row_of(finding: LabelFinding, image: Image, labels: Labels) -> Row:
    """A finding with ids and names; ``bbox`` is [x, y, width, height], and what a kind does not have is left out."""
    ids, names = list(labels.names), list(labels.names.values())
    row: Row = dict(image_id=image.id, category_id=ids[finding.label], score=round(finding.score, 5))
    if finding.box is not None:
        x1, y1, x2, y2 = finding.box
        row["bbox"] = [round(float(v), 2) for v in (x1, y1, x2 - x1, y2 - y1)]
    row |= dict(kind=finding.kind, file_name=image.file_name, category=names[finding.label])
    if finding.kind == "missing":
        row["alternative"] = finding.alternative
    if finding.annotation_id is not None:
        row["annotation_id"] = finding.annotation_id
    if finding.annotated_label is not None:
        row["annotated_category"] = names[finding.annotated_label]
    if finding.iou is not None:
        row["iou"] = round(finding.iou, 3)
    return row


def write_findings(rows: list[Row], out: Path) -> None:
    """Write ``findings.csv`` and ``findings.json``; the second can be read by ``COCO.loadRes`` where all have boxes."""
    with (out / "findings.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows({**row, **({"bbox": json.dumps(row["bbox"])} if "bbox" in row else {})} for row in rows)
    (out / "findings.json").write_text(json.dumps(rows), encoding="utf-8")


def read_findings(path: Path, labels: Labels) -> list[Row]:
    """Read a ``findings.json`` again, from which rows may have been removed.

    Raises:
        UserError: If it cannot be read, lacks a key, or is of other images or categories. The message says which.
    """
    try:
        rows = read_json(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{path} is no list of findings: use the findings.json of an audit")
    for i, row in enumerate(rows):
        if lacking := [key for key in _NEEDED if key not in row]:
            raise UserError(f"{path}: finding {i} has no {lacking[0]}: use the findings.json of an audit")
        image = labels.images.get(row["image_id"])
        if image is None or image.file_name != row["file_name"]:
            there = image.file_name if image else "no such image"
            raise UserError(
                f"{path}: finding {i} is of image_id={row['image_id']}, {row['file_name']!r}, and {labels.path} has "
                f"{there!r} there. The findings are of other images"
            )
        if row["category_id"] not in labels.names:
            raise UserError(f"{path}: finding {i} has category_id={row['category_id']!r}, none of {labels.path}")
    return rows
