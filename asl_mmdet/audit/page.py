"""One page of crops, best first, that needs nothing beside it."""

import base64
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import mmcv
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from asl_mmdet.audit.files import Row
from asl_mmdet.audit.labels import Image, Labels

SIDE = 180  # pixels of a crop
FOUND, GIVEN = (0, 90, 255), (80, 200, 80)  # BGR


def chosen_for_page(rows: list[Row], number: int) -> list[Row]:
    """The first ``number`` of all findings, every kind in its turn; alternatives of a missing object are left out."""
    seen: Counter[str] = Counter()
    ranked = []
    for row in rows:
        if not row.get("alternative"):
            ranked.append((seen[row["kind"]], row))
            seen[row["kind"]] += 1
    chosen = sorted(ranked, key=lambda item: item[0])[:number]
    return sorted((row for _, row in chosen), key=lambda row: -row["score"])


def write_page(rows: list[Row], labels: Labels, path: Path, number: int) -> None:
    """Write the page with at most ``number`` crops."""
    cards = []
    for row in chosen_for_page(rows, number):
        crop = crop_of(row, labels.images[row["image_id"]])
        data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
        cards.append({**row, "url": "data:image/jpeg;base64," + base64.b64encode(data).decode()})
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("page.html.j2").render(
        cards=cards,
        total=len(rows),
        path=labels.path,
        kinds=sorted({card["kind"] for card in cards}),
        classes=sorted({card["category"] for card in cards}),
    )
    path.write_text(page, encoding="utf-8")


def crop_of(row: Row, image: Image) -> Any:
    """The surroundings of a finding, (H, W, 3) in BGR: its box orange, annotations green; of a tag the whole image."""
    picture = mmcv.imread(image.path)
    height, width = picture.shape[:2]
    x1, y1, x2, y2 = 0.0, 0.0, float(width), float(height)
    if "bbox" in row:
        x, y, w, h = row["bbox"]
        margin = max(w, h) / 2 + 8
        x1, y1, x2, y2 = max(0, x - margin), max(0, y - margin), min(width, x + w + margin), min(height, y + h + margin)
    x1, y1 = int(min(x1, width - 1)), int(min(y1, height - 1))
    crop = picture[y1 : max(int(y2), y1 + 1), x1 : max(int(x2), x1 + 1)]
    scale = SIDE / max(crop.shape[:2])
    crop = mmcv.imrescale(crop, scale)
    boxes = [(a["bbox"], GIVEN) for a in image.annotations if "bbox" in a and "bbox" in row]
    for (x, y, w, h), colour in [*boxes, *([(row["bbox"], FOUND)] if "bbox" in row else [])]:
        corners = [((x - x1) * scale, (y - y1) * scale), ((x + w - x1) * scale, (y + h - y1) * scale)]
        start, end = ((round(a), round(b)) for a, b in corners)
        cv2.rectangle(crop, start, end, colour, 2 if colour == FOUND else 1)
    return crop
