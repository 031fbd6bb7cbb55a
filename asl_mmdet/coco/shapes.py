"""The bundled synthetic data set: coloured shapes in COCO format, long-tailed, made on the spot in seconds.

It takes COCO's part where there is none: several objects per image, class frequencies that fall as 1 / rank, clutter
and noise. :func:`asl_mmdet.coco.drop_boxes.drop_boxes` leaves out boxes, as in a carelessly labelled set.
"""

import math
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from asl_mmdet.coco.format import write_json
from asl_mmdet.errors import UserError

COLOURS = {  # hue, saturation, value in OpenCV's 8-bit HSV (hue 0..179)
    "red": (0, 210, 200),
    "yellow": (28, 210, 220),
    "green": (62, 200, 170),
    "cyan": (92, 200, 200),
    "blue": (118, 200, 190),
    "magenta": (150, 190, 200),
}


def _regular(corners: int, radii: tuple[float, ...] = (1.0,)) -> list[tuple[float, float]]:
    """A polygon around the origin whose corners take the radii in turn."""
    angles = (2 * math.pi * i / corners for i in range(corners))
    return [(radii[i % len(radii)] * math.sin(a), -radii[i % len(radii)] * math.cos(a)) for i, a in enumerate(angles)]


FORMS = {  # polygons in the unit circle
    "circle": _regular(32),
    "square": _regular(4),
    "triangle": _regular(3),
    "star": _regular(10, (1.0, 0.45)),
    "cross": [
        *[(-0.28, -0.95), (0.28, -0.95), (0.28, -0.28), (0.95, -0.28), (0.95, 0.28), (0.28, 0.28)],
        *[(0.28, 0.95), (-0.28, 0.95), (-0.28, 0.28), (-0.95, 0.28), (-0.95, -0.28), (-0.28, -0.28)],
    ],
    "arrow": [(0, -1), (0.75, -0.1), (0.28, -0.1), (0.28, 0.9), (-0.28, 0.9), (-0.28, -0.1), (-0.75, -0.1)],
    "moon": [(math.sin(a), -math.cos(a)) for a in np.linspace(0, math.pi, 20)]
    + [(0.45 * math.sin(a), -math.cos(a)) for a in np.linspace(math.pi, 0, 20)],
    "bar": [(-0.3, -0.95), (0.3, -0.95), (0.3, 0.95), (-0.3, 0.95)],
}

MAX_CLASSES = len(FORMS) * len(COLOURS)


def class_names(num_classes: int = 24) -> list[str]:
    """The first classes, most frequent first: form and colour change with every rank, so neither gives rarity away."""
    forms, colours = list(FORMS), list(COLOURS)
    pairs = [divmod(k, len(forms)) for k in range(num_classes)]
    return [f"{colours[(turn + form) % len(colours)]} {forms[form]}" for turn, form in pairs]


def make_shapes(
    root: str | Path,
    num_train: int = 1500,
    num_val: int = 300,
    image_size: int = 128,
    num_classes: int = 24,
    seed: int = 0,
) -> Path:
    """Make the data set in a new folder ``root``: ``train/``, ``val/`` and ``annotations/{train,val}.json``.

    The images depend only on the seed, image by image: a longer set begins with the shorter one. The folder appears
    under its name when it is complete.

    Args:
        root: The folder to make; it must not exist.
        num_train: Number of training images.
        num_val: Number of validation images.
        image_size: Height and width in pixels, >= 32.
        num_classes: Up to ``MAX_CLASSES`` (48); the class of rank k has a frequency proportional to 1 / k.
        seed: Seed of everything.

    Returns:
        ``root``.

    Raises:
        UserError: If an argument is out of range.
        FileExistsError: If ``root`` exists.
    """
    for name, value, low, high in (
        ("num_train", num_train, 1, math.inf),
        ("num_val", num_val, 1, math.inf),
        ("image_size", image_size, 32, math.inf),
        ("num_classes", num_classes, 1, MAX_CLASSES),
        ("seed", seed, 0, math.inf),
    ):
        if not low <= value <= high:
            raise UserError(f"{name}={value} is out of range: it must be in [{low}, {high}]")
    root = Path(root)
    if root.exists():
        raise FileExistsError(f"{root} exists: remove it, or name another folder")
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{root.name}.", dir=root.parent) as folder:
        building = Path(folder) / root.name
        for stream, (split, number) in enumerate((("train", num_train), ("val", num_val))):
            (building / split).mkdir(parents=True)
            coco = _make_split(building / split, number, image_size, num_classes, seed, stream)
            write_json(building / "annotations" / f"{split}.json", coco)
        building.rename(root)
    return root


def _make_split(
    folder: Path, number: int, image_size: int, num_classes: int, seed: int, stream: int
) -> dict[str, list[dict[str, Any]]]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id in range(1, number + 1):
        rng = np.random.default_rng([seed, stream, image_id])
        picture, objects = _draw_image(rng, image_size, num_classes)
        file_name = f"{image_id:06d}.jpg"
        if not cv2.imwrite(str(folder / file_name), picture, [cv2.IMWRITE_JPEG_QUALITY, 95]):
            raise OSError(f"{folder / file_name} could not be written")
        images.append({"id": image_id, "file_name": file_name, "height": image_size, "width": image_size})
        for category_id, polygon in objects:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": category_id,
                    "iscrowd": 0,
                    **_geometry(polygon, image_size),
                }
            )
    categories = [
        {"id": i, "name": name, "supercategory": name.split()[1]} for i, name in enumerate(class_names(num_classes), 1)
    ]
    return {"images": images, "annotations": annotations, "categories": categories}


def _geometry(polygon: np.ndarray, image_size: int) -> dict[str, Any]:
    x, y = np.clip(polygon, 0, image_size).T
    area = abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2
    box = [x.min(), y.min(), x.max() - x.min(), y.max() - y.min()]
    return {
        "bbox": [round(float(v), 2) for v in box],
        "area": round(float(area), 2),
        "segmentation": [[round(float(v), 2) for v in np.stack([x, y], 1).ravel()]],
    }


def _draw_image(
    rng: np.random.Generator, size: int, num_classes: int
) -> tuple[np.ndarray, list[tuple[int, np.ndarray]]]:
    """A picture (size, size, 3) in BGR, and the category id and polygon (P, 2) of every object in it."""
    corners = rng.uniform(60, 190, (2, 2, 3)).astype(np.float32)
    picture = cv2.resize(corners, (size, size), interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    for _ in range(rng.integers(4, 10)):  # clutter: strokes and blobs in the colours of the objects
        colour = _jittered_colour(rng, str(rng.choice(list(COLOURS))))
        start, end = rng.integers(0, size, (2, 2)).tolist()
        if rng.random() < 0.6:
            cv2.line(picture, start, end, colour, int(rng.integers(1, 3)), cv2.LINE_AA)
        else:
            axes = rng.integers(1, max(2, size // 24), 2).tolist()
            cv2.ellipse(picture, start, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)

    frequencies = 1 / np.arange(1, num_classes + 1)
    names = class_names(num_classes)
    objects: list[tuple[int, np.ndarray]] = []
    for _ in range(1 + rng.poisson(4)):
        category = int(rng.choice(num_classes, p=frequencies / frequencies.sum()))
        colour_name, form = names[category].split()
        polygon = _place(rng, size, FORMS[form], [p for _, p in objects])
        if polygon is None:  # no room left
            break
        points = np.round(polygon * 16).astype(np.int32)  # OpenCV's fixed point: 4 fractional bits
        colour = _jittered_colour(rng, colour_name)
        cv2.fillPoly(picture, [points], colour, cv2.LINE_AA, shift=4)
        edge = tuple(0.6 * c for c in colour)
        cv2.polylines(picture, [points], True, edge, 1, cv2.LINE_AA, shift=4)
        objects.append((category + 1, polygon))

    noisy = picture + rng.normal(0, rng.uniform(4, 16), picture.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), objects


def _jittered_colour(rng: np.random.Generator, name: str) -> tuple[float, float, float]:
    hue, saturation, value = COLOURS[name]
    hsv = [(hue + rng.integers(-7, 8)) % 180, saturation + rng.integers(-60, 40), value + rng.integers(-60, 35)]
    b, g, r = cv2.cvtColor(np.array([[hsv]], np.uint8), cv2.COLOR_HSV2BGR)[0, 0].tolist()
    return b, g, r


def _place(
    rng: np.random.Generator, size: int, form: list[tuple[float, float]], others: list[np.ndarray]
) -> np.ndarray | None:
    """The form turned, scaled and put where it hides little of the others; None if 20 tries find no such place."""
    for _ in range(20):
        radius = size * float(np.exp(rng.uniform(math.log(0.055), math.log(0.18))))
        centre = rng.uniform(radius, size - radius, 2)
        angle = rng.uniform(-0.4, 0.4)
        stretch = np.diag(rng.uniform(0.8, 1.0, 2))
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        polygon = radius * np.array(form) @ stretch @ turn.T + centre
        if all(_overlap(polygon, other) < 0.2 for other in others):
            return polygon
    return None


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """The shared area of the two bounding boxes over that of the smaller one."""
    low, high = np.maximum(a.min(0), b.min(0)), np.minimum(a.max(0), b.max(0))
    return float(np.prod(np.maximum(high - low, 0)) / min(np.prod(np.ptp(a, axis=0)), np.prod(np.ptp(b, axis=0))))
