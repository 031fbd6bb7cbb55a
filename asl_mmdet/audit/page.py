"""One page to review findings in a browser; it needs nothing beside it, and asks nothing of any other site."""

import base64
import hashlib
import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import cv2
import mmcv
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from asl_mmdet.audit.files import Row
from asl_mmdet.audit.labels import Image, Labels
from asl_mmdet.errors import UserError

WEB = Path(__file__).parent / "web"
MAX_SIDE = 1280  # pixels; larger images are reduced to it, and the crops of their findings are embedded beside them
MAX_BYTES = 200_000_000  # of the pictures, as they stand in the page
_EXACT = 2**53 - 1  # JavaScript rounds larger whole numbers


def chosen_for_page(rows: list[Row], number: int) -> list[Row]:
    """The best ``number`` findings, every kind in its turn; alternatives of a missing object are left out."""
    seen: Counter[str] = Counter()
    ranked = []
    for row in rows:
        if not row.get("alternative"):
            ranked.append((seen[row["kind"]], row))
            seen[row["kind"]] += 1
    return [row for _, row in sorted(ranked, key=lambda item: item[0])[:number]]


def write_page(rows: list[Row], labels: Labels, path: Path, number: int, max_bytes: int = MAX_BYTES) -> int:
    """Write the page.

    Args:
        rows: All findings, best first.
        labels: The annotations.
        path: The file.
        number: The most findings that it has.
        max_bytes: The most that its pictures may take. The findings of the images that come after are left out.

    Returns:
        How many findings are on it.

    Raises:
        UserError: If an image cannot be read.
    """
    audit = hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]
    places = {id(row): n for n, row in enumerate(rows)}
    by_image: dict[int, list[Row]] = defaultdict(list)
    for row in chosen_for_page(rows, number):
        by_image[row["image_id"]].append(row)
    pictures: list[str] = []
    images: list[dict[str, Any]] = []
    findings: list[dict[str, Any]] = []
    used = 0
    for image_id, of_image in by_image.items():
        image = labels.images[image_id]
        picture, crops, embedded = _embed(image, of_image, len(pictures))
        used += sum(map(len, embedded))
        if used > max_bytes:
            break
        findings += [
            dict(n=places[id(row)], row=row, image=len(images), **crop)
            for row, crop in zip(of_image, crops, strict=True)
        ]
        images.append(_record(image, labels) | picture)
        pictures += embedded
    findings.sort(key=lambda finding: finding["n"])
    data = dict(
        audit=audit,
        total=sum(not row.get("alternative") for row in rows),
        is_tags=labels.is_tags,
        classes=[dict(id=category, name=name) for category, name in labels.names.items()],
        images=images,
        findings=findings,
    )
    script = "\n".join(
        (WEB / name).read_text(encoding="utf-8") for name in ("store.js", "pictures.js", "view.js", "main.js")
    )
    environment = Environment(loader=FileSystemLoader(WEB), autoescape=True, undefined=StrictUndefined)
    environment.filters["csp_hash"] = _csp_hash
    stream = environment.get_template("page.html.j2").stream(
        path=labels.path,
        style=Markup((WEB / "page.css").read_text(encoding="utf-8")),
        script=Markup(f'(() => {{\n"use strict";\n{script}}})();\n'),
        data=_exact(data, audit),
        pictures=pictures,
    )
    stream.dump(str(path), encoding="utf-8", errors="backslashreplace")
    return len(findings)


def _csp_hash(text: str) -> str:
    """What lets a script or a style of the page, and no other, run by its Content-Security-Policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _exact(value: Any, audit: str) -> Any:
    """The data, with whole numbers that JavaScript would round as text that starts with the audit."""
    if isinstance(value, dict):
        return {key: _exact(one, audit) for key, one in value.items()}
    if isinstance(value, list):
        return [_exact(one, audit) for one in value]
    return f"{audit}:{value}" if isinstance(value, int) and abs(value) > _EXACT else value


def _record(image: Image, labels: Labels) -> dict[str, Any]:
    """An image with its annotations: boxes, or the names of tags."""
    names = {entry["id"]: str(entry["name"]) for entry in labels.content["categories"]}
    named = [(names.get(entry["category_id"], "?"), entry) for entry in image.annotations]
    boxes = [
        dict(id=entry["id"], name=name, box=entry["bbox"], ignored=bool(entry.get("iscrowd") or entry.get("ignore")))
        for name, entry in named
        if not labels.is_tags
    ]
    tags = list(dict.fromkeys(name for name, _ in named)) if labels.is_tags else []
    return dict(name=image.file_name, boxes=boxes, tags=tags)


def _embed(image: Image, rows: list[Row], first: int) -> tuple[dict[str, Any], list[dict[str, Any]], list[str]]:
    """The pictures of an image, and where they are among all of them, of which the next has the number ``first``.

    The first one is the whole image. If that is reduced, a crop in pixels as they are follows for each finding.

    Returns:
        What the page needs to know of the whole image, of the crop of each finding, and the pictures.
    """
    try:
        pixels = mmcv.imread(image.path)
    except FileNotFoundError:
        pixels = None
    if pixels is None:
        raise UserError(f"{image.path} cannot be read, and the page shows it. --crops 0 leaves the page out")
    height, width = pixels.shape[:2]
    scale = min(1.0, MAX_SIDE / max(height, width))
    pictures = [_jpeg(mmcv.imrescale(pixels, scale) if scale < 1 else pixels)]
    crops: list[dict[str, Any]] = []
    for row in rows:
        crops.append({})
        if scale < 1 and "bbox" in row:
            x1, y1, x2, y2 = _surroundings(row, image, width, height)
            crops[-1] = dict(crop=[first + len(pictures), x1, y1])
            pictures.append(_jpeg(pixels[y1:y2, x1:x2]))
    return dict(width=width, height=height, scale=scale, picture=first), crops, pictures


def _surroundings(row: Row, image: Image, width: int, height: int) -> tuple[int, int, int, int]:
    """A square around what a finding is about, as large as the page draws it at most, inside of the image."""
    about = row.get("annotation_id", row.get("touched_id"))
    boxes = [row["bbox"], *([row["seen_bbox"]] if "seen_bbox" in row else [])]
    boxes += [entry["bbox"] for entry in image.annotations if about is not None and entry["id"] == about]
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, bottom = max(box[0] + box[2] for box in boxes), max(box[1] + box[3] for box in boxes)
    side = max(240, 2.5 * max(right - left, bottom - top)) + 2
    x = max(0, min(width - side, (left + right - side) / 2))
    y = max(0, min(height - side, (top + bottom - side) / 2))
    return int(x), int(y), min(width, int(x + side) + 1), min(height, int(y + side) + 1)


def _jpeg(pixels: Any) -> str:
    return base64.b64encode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()).decode()
