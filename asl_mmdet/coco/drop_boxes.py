"""Drop boxes of a COCO-format annotation file, as the papers on sparsely annotated detection do to measure.

The protocols are those of Co-mining (https://arxiv.org/abs/2012.01950: easy, hard, extreme) and of SIOD
(https://arxiv.org/abs/2203.15353: keep1); uniform is the usual share of all boxes, as in background recalibration
(https://arxiv.org/abs/2002.05274: half of them). The last two are of this project: ``half_classes`` is what
two data sets with different classes are when they are merged, and ``half_images`` what as many boxes give in complete
images.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asl_mmdet.coco.format import check_ids, check_references
from asl_mmdet.errors import UserError

PROTOCOLS = ("uniform", "easy", "hard", "extreme", "keep1", "half_classes", "half_images")


def drop_boxes(coco: dict[str, Any], protocol: str = "uniform", rate: float = 0.5, seed: int = 0) -> dict[str, Any]:
    """A copy of a COCO-format content without some of its boxes; the same from the same seed.

    ================  ==============================================================================================
    ``uniform``       every box is dropped with probability ``rate``
    ``easy``          one random box of every image that has more than one
    ``hard``          a random half of every image's boxes, rounded down
    ``extreme``       all but one random box of every image
    ``keep1``         all but one random box of every class of every image
    ``half_classes``  a random half of the images keeps the boxes of the 1st, 3rd, ... category, the other images those
                      of the 2nd, 4th, ...; ``known_categories`` of an image's record names them
    ``half_images``   a random half of the images goes, with its boxes; the others keep theirs
    ================  ==============================================================================================

    Each image draws from its own generator, from the seed and its id, so the order of the file changes nothing, and
    with ``uniform`` a larger rate drops what a smaller one does and more. Crowd boxes, which mark regions to ignore,
    stay, but for the last two, where they go with what they belong to.

    Args:
        coco: The content of an annotation file.
        protocol: One of ``PROTOCOLS``.
        rate: For ``uniform``, in [0, 1].
        seed: Seed, >= 0.

    Returns:
        The content with the boxes that are left, and ``dropped``: ``protocol``, ``rate``, ``seed``, and what was
        dropped as ``annotations``.

    Raises:
        UserError: If an argument is out of range, or an id is no whole number.
        KeyError: If ``coco`` has no ``images``, ``annotations`` or, for ``half_classes``, ``categories``.

    Example:
        >>> boxes = [dict(id=i, image_id=1, category_id=i % 2) for i in range(4)]
        >>> kept = drop_boxes(dict(images=[dict(id=1)], annotations=boxes), "keep1")["annotations"]
        >>> sorted(box["category_id"] for box in kept)
        [0, 1]
    """
    if protocol not in PROTOCOLS:
        raise UserError(f"protocol={protocol!r}: use one of {', '.join(PROTOCOLS)}")
    if not 0 <= rate <= 1:
        raise UserError(f"rate={rate}: use a number in [0, 1]")
    if seed < 0:
        raise UserError(f"seed={seed}: use a whole number from 0")
    check_ids(coco, "IN.json", "images", "annotations", *(["categories"] if "categories" in coco else []))
    check_references(coco, "IN.json")
    if protocol in ("half_classes", "half_images"):
        return _halved(coco, protocol, seed)
    by_image: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for annotation in coco["annotations"]:
        if not annotation.get("iscrowd"):
            by_image[annotation["image_id"]].append(annotation)
    gone: set[int] = set()
    for image in coco["images"]:
        boxes = sorted(by_image[image["id"]], key=lambda box: box["id"])
        draws = _generator(seed, image["id"]).random(len(boxes))
        gone.update(id(boxes[i]) for i in _chosen(boxes, draws, protocol, rate))
    record = dict(protocol=protocol, rate=rate if protocol == "uniform" else None, seed=seed)
    return _without(coco, lambda annotation: id(annotation) in gone, record)


def _without(coco: dict[str, Any], is_gone: Callable[[dict[str, Any]], bool], record: dict[str, Any]) -> dict[str, Any]:
    kept = [annotation for annotation in coco["annotations"] if not is_gone(annotation)]
    dropped = [annotation for annotation in coco["annotations"] if is_gone(annotation)]
    return {**coco, "annotations": kept, "dropped": {**record, "annotations": dropped}}


def _halved(coco: dict[str, Any], protocol: str, seed: int) -> dict[str, Any]:
    """The two protocols that halve the images: by the classes that they are labelled for, or what is left of them."""
    record = dict(protocol=protocol, rate=None, seed=seed)
    group = {image["id"]: int(_generator(seed, image["id"]).random() < 0.5) for image in coco["images"]}
    if protocol == "half_images":
        images = [image for image in coco["images"] if group[image["id"]] == 0]
        left = {image["id"] for image in images}
        return _without({**coco, "images": images}, lambda annotation: annotation["image_id"] not in left, record)
    halves = [[category["id"] for category in coco["categories"]][start::2] for start in (0, 1)]
    images = [{**image, "known_categories": halves[group[image["id"]]]} for image in coco["images"]]
    known = {image["id"]: set(image["known_categories"]) for image in images}
    return _without(
        {**coco, "images": images}, lambda a: a["category_id"] not in known.get(a["image_id"], halves[0]), record
    )


def _generator(seed: int, image_id: float) -> np.random.Generator:
    """That of an image; NumPy takes no negative numbers."""
    number = int(image_id)
    return np.random.default_rng([seed, number] if number >= 0 else [seed, -number, 1])


def _chosen(boxes: list[dict[str, Any]], draws: NDArray[np.float64], protocol: str, rate: float) -> list[int]:
    """Which boxes of one image go: the places, by a random number each."""
    order = [int(i) for i in np.argsort(draws)]
    if protocol == "uniform":
        return [i for i in order if draws[i] < rate]
    if protocol == "easy":
        return order[: min(1, len(boxes) - 1)] if boxes else []
    if protocol == "hard":
        return order[: len(boxes) // 2]
    if protocol == "extreme":
        return order[1:]
    seen: set[int] = set()
    repeated = []
    for i in order:
        category = boxes[i]["category_id"]
        if category in seen:
            repeated.append(i)
        seen.add(category)
    return repeated
