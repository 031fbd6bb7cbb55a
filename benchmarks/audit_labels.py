"""How good the ranking of missing boxes is, where it is known what is missing.

    python tools/drop_boxes.py data/mine/annotations/train.json --out data/mine/annotations/half.json
    python tools/audit_labels.py CONFIG CHECKPOINT --out work_dirs/audit          # trained and audited on half.json
    python benchmarks/audit_labels.py work_dirs/audit/findings.json data/mine/annotations/half.json

A finding is right if it has an IoU of at least 0.5 with a dropped box of its class that no finding before it had. The
average precision is the area under the precision that is made monotone, over all dropped boxes.

``--at 0.4`` says what ``--apply 0.4`` would add: how many boxes are right, and how many lie where the file has no box
at all, not even a dropped one. There the model is wrong, or the file lacked the object before anything was dropped.

Where cleanlab is installed (``pip install 'asl-mmdet[audit-benchmark]'``), the score of its ``object_detection`` for
overlooked boxes ranks the same predictions, ``predictions.jsonl`` beside the findings: with its own limit, which looks
at detections of at least 0.95, and with that of the findings. cleanlab is under the AGPL; nothing else here uses it.
``--csv FILE`` adds the rows to a table, such as audits.csv here. ``--result RUN/result.json`` adds the first average
precision to the metrics of the run that was audited, in percent, as ``audit AP``.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from no_box import NO_BOX, best_iou
from tables import append_csv

from asl_mmdet.cli.common import fail
from asl_mmdet.coco.boxes import corners, overlaps
from asl_mmdet.coco.format import write_json

try:
    from cleanlab.object_detection.rank import compute_overlooked_box_scores
except ModuleNotFoundError:
    compute_overlooked_box_scores = None


def hits(findings: list[dict[str, Any]], dropped: list[dict[str, Any]], any_class: bool = False) -> Any:
    """Whether each finding, best first, is right; (N,) bool."""
    truth = defaultdict(list)
    for box in dropped:
        truth[box["image_id"]].append(box)
    free = {image: np.ones(len(boxes), bool) for image, boxes in truth.items()}
    right = []
    for finding in sorted(findings, key=lambda finding: -finding["score"]):
        boxes = truth.get(finding["image_id"], [])
        iou = overlaps(corners([finding["bbox"]]), corners([box["bbox"] for box in boxes]))[0]
        same = [any_class or box["category_id"] == finding["category_id"] for box in boxes]
        iou = iou * free.get(finding["image_id"], 1) * np.array(same, bool)
        right.append(bool(len(iou)) and iou.max() >= 0.5)
        if right[-1]:
            free[finding["image_id"]][iou.argmax()] = False
    return np.array(right, bool)


def average_precision(right: Any, number: int) -> float:
    """Of a ranking (N,) in which ``number`` could be right."""
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    monotone = np.maximum.accumulate(precision[::-1])[::-1]
    return float((monotone * right).sum() / number)


def at_score(best: list[dict[str, Any]], coco: dict[str, Any], dropped: list[dict[str, Any]], score: float) -> str:
    """What the findings of at least a score are, in words."""
    chosen = sorted((row for row in best if row["score"] >= score), key=lambda row: -row["score"])
    right = hits(chosen, dropped)
    truth = defaultdict(list)
    for box in [*coco["annotations"], *dropped]:
        truth[box["image_id"]].append(box["bbox"])
    iou = np.array([best_iou(corners([row["bbox"]]), corners(truth[row["image_id"]])).item() for row in chosen])
    shares = f"right {100 * right.mean():.1f} %, where no box is {100 * (iou < NO_BOX).mean():.1f} %" if chosen else ""
    if right.any():
        shares += f", mean IoU of the right ones {iou[right].mean():.2f}"
    return f"from {score:g}: {len(chosen)} findings, {right.sum()} of {len(dropped)} dropped boxes  {shares}"


def by_cleanlab(predictions: Path, coco: dict[str, Any], limit: float | None) -> list[dict[str, Any]]:
    """The detections that cleanlab takes for overlooked boxes, as findings.

    Args:
        predictions: ``predictions.jsonl`` of an audit.
        coco: The annotations that were audited.
        limit: The least score of a detection that is looked at; None for cleanlab's own.
    """
    first, *lines = (json.loads(line) for line in predictions.read_text(encoding="utf-8").splitlines())
    numbers = {category["name"]: category["id"] for category in coco["categories"]}
    ids = [numbers[name] for name in first["source"]["classes"]]
    given = defaultdict(list)
    for box in coco["annotations"]:
        if box["category_id"] in ids and not box.get("iscrowd"):
            given[box["image_id"]].append(box)
    labels, found = [], []
    for line in lines:
        own = given[line["image_id"]]
        classes = np.array([ids.index(box["category_id"]) for box in own], int)
        labels.append(dict(bboxes=corners([box["bbox"] for box in own]), labels=classes))
        rows = np.column_stack([np.reshape(line["boxes"], (-1, 4)), line["scores"]])
        found.append([rows[np.array(line["labels"], int) == label] for label in range(len(ids))])
    scores = compute_overlooked_box_scores(labels=labels, predictions=found, high_probability_threshold=limit)
    findings = []
    for line, by_class, quality in zip(lines, found, scores, strict=True):
        boxes = [(label, row) for label, rows in enumerate(by_class) for row in rows.tolist()]
        for (label, (x1, y1, x2, y2, _)), score in zip(boxes, quality.tolist(), strict=True):
            if not np.isnan(score):  # it is not overlooked
                bbox = [x1, y1, x2 - x1, y2 - y1]
                findings.append(
                    dict(image_id=line["image_id"], category_id=ids[label], bbox=bbox, score=1 - score)  # 0 is worst
                )
    return findings


def rankings(rows: list[dict[str, Any]], findings: Path, coco: dict[str, Any]) -> Any:
    """What is compared: titles, findings, and whether their class counts."""
    best = [row for row in rows if not row.get("alternative")]
    yield "all classes of an object", rows, False
    yield "its best class alone", best, False
    yield "its place, any class", best, True
    predictions = findings.with_name("predictions.jsonl")
    if compute_overlooked_box_scores is None:
        print("cleanlab is not installed, so its ranking is left out: pip install 'cleanlab>=2.9'")
    elif not predictions.is_file():
        print(f"there is no {predictions}, so cleanlab's ranking is left out")
    else:
        least = min(row["score"] for row in rows)
        yield "cleanlab, its limit", by_cleanlab(predictions, coco, None), False
        yield f"cleanlab, from {least:.2g}", by_cleanlab(predictions, coco, least), False


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="How good the ranking of missing boxes is.")
    parser.add_argument("findings", type=Path, help="findings.json of tools/audit_labels.py")
    parser.add_argument("annotations", type=Path, help="what was audited; a file of tools/drop_boxes.py")
    parser.add_argument("--complete", type=Path, help="the file with all boxes, where nothing is recorded")
    parser.add_argument("--at", nargs="*", type=float, default=[], metavar="SCORE", help="what --apply SCORE would add")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="add the rows to this table")
    parser.add_argument("--result", type=Path, metavar="FILE", help="add audit AP to this result.json of a benchmark")
    args = parser.parse_args()
    rows = [row for row in json.loads(args.findings.read_text(encoding="utf-8")) if row["kind"] == "missing"]
    coco = json.loads(args.annotations.read_text(encoding="utf-8"))
    if args.complete:
        kept = {a["id"] for a in coco["annotations"]}
        dropped = [
            a for a in json.loads(args.complete.read_text(encoding="utf-8"))["annotations"] if a["id"] not in kept
        ]
    elif "dropped" in coco:
        dropped = coco["dropped"]["annotations"]
    else:
        fail(f"{args.annotations} does not record what was dropped: name the file with all boxes by --complete")
    if not rows or not dropped:
        fail(f"{len(rows)} findings of missing boxes and {len(dropped)} dropped boxes: nothing to measure")
    table = []
    for title, chosen, any_class in rankings(rows, args.findings, coco):
        if not chosen:
            print(f"{title:25} nothing found")
            continue
        right = hits(chosen, dropped, any_class)
        ap, shares = average_precision(right, len(dropped)), [100 * right[:n].mean() for n in (1000, len(dropped))]
        first = "  ".join(f"first {n}: {share:.1f} %" for n, share in zip((1000, len(dropped)), shares, strict=True))
        print(f"{title:25} AP {ap:.3f}  {first}  {len(chosen)} findings")
        row = dict(set=args.annotations.absolute().parent.parent.name, audit=args.findings.absolute().parent.name)
        row |= dict(ranking=title, AP=f"{ap:.4f}")
        row.update(zip(("first_1000_right", "first_dropped_right"), (f"{v:.2f}" for v in shares), strict=True))
        table.append({**row, "findings": len(chosen), "dropped": len(dropped)})
    if args.csv:
        append_csv(args.csv, table)
    if args.result:
        result = json.loads(args.result.read_text(encoding="utf-8"))
        result["metrics"]["audit AP"] = 100 * float(table[0]["AP"])
        write_json(args.result, result)
    best = [row for row in rows if not row.get("alternative")]
    for score in args.at:
        print(at_score(best, coco, dropped, score))


if __name__ == "__main__":
    main()
