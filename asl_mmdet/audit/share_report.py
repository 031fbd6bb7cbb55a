"""The share of missing boxes or labels of an annotation file in a few lines."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from asl_mmdet.audit.findings import Boxes
from asl_mmdet.audit.labels import Labels
from asl_mmdet.audit.missing_share import LOWEST, Places, join, missing_share, places_of, places_of_labels
from asl_mmdet.coco.known_categories import is_complete
from asl_mmdet.thresholds.matching import MatchedPredictions

SEVERAL = 0.1  # part of the labels that may stand for several boxes


def describe_missing_share(
    detections: Mapping[int, Boxes], labels: Labels, were_trained: bool = False, consequence: str = ""
) -> list[str]:
    """What share of the objects has no box, overall and per class, and how it stands on images known to be complete.

    Args:
        detections: By image id, from a score that leaves the errors in; images that are not there are passed over.
        labels: The annotations of these images. Images with ``"complete": true`` in their record are a check.
        were_trained: The detector was trained on these images, so it has learned some of what they lack.
        consequence: A line to add where boxes are missing.
    """
    records = labels.content["images"]
    images = [record["id"] for record in records if record["id"] in detections]
    checks = [record["id"] for record in records if is_complete(record) and record["id"] in detections]
    places = {image: _places_of_image(detections[image], labels, image) for image in images}
    rest = [places[image] for image in images if image not in set(checks)]
    lines = list(_of_all(rest, labels, were_trained, consequence))
    if checks and (found := missing_share(join([places[image] for image in checks]))).places:
        lines.append(f"on the {len(checks)} images known to be complete it must be 0, and is {found}")
    return lines


def describe_missing_labels(scored: MatchedPredictions, labels: Labels | None = None) -> list[str]:
    """What share of the labels of a multi-label set is missing, overall and per class.

    A label that stands for several boxes is missing only if all of them are. So such labels are not missing at random,
    and as they are often those with the highest scores, nothing is said where there are many of them.

    Args:
        scored: All scores of a classifier on images that it was not trained on.
        labels: The annotations of these images, where they are in COCO format.
    """
    images = labels.images.values() if labels else ()
    boxes = Counter((entry["image_id"], entry["category_id"]) for image in images for entry in image.annotations)
    several = sum(number > 1 for number in boxes.values()) / max(len(boxes), 1)
    if several > SEVERAL:
        lost = f"{100 * several:.0f} % of the labels stand for several boxes, and are missing only if all of these are"
        return [f"labels missing: unknown: {lost}"]
    places = places_of_labels(scored)
    found = missing_share(places)
    lines = [f"labels missing: {found}, by the {found.places} highest scores, those from {found.from_score:.2f} on"]
    if len(np.unique(scored.truth_image)) == scored.num_images:
        lines.append("more is missing if images without a label were left out (filter_empty_gt): every one has a label")
    return [*lines, *_of_classes(places, scored.classes)]


def _places_of_image(detections: Boxes, labels: Labels, image: int) -> Places:
    given, ignored = labels.boxes_of(labels.images[image])
    number = len(labels.classes)
    of_any = np.where(given.labels < 0, number, given.labels)  # boxes of an unknown class are boxes too
    return places_of(detections, Boxes(given.xyxy, of_any), number + 1, ignored, labels.images[image].known)


def _of_all(parts: list[Places], labels: Labels, were_trained: bool, consequence: str) -> Iterator[str]:
    if not parts:
        return
    places = join(parts)
    found = missing_share(places)
    if not found.places:
        yield f"objects without a box: {found}"
        return
    yield (
        f"objects without a box: {found} (missing_rate={found.share:.2f}), by the {found.places} most confident "
        f"detections, those from a score of {found.from_score:.2f} on"
    )
    if were_trained:
        yield "that is too low: the model was trained on these images and has learned what they lack. Use --validation"
    yield from _of_classes(places, labels.classes)
    if consequence and found.share >= LOWEST:
        yield consequence


def _of_classes(places: Places, names: Iterable[str]) -> Iterator[str]:
    classes = {name: missing_share(places.of_class(label)) for label, name in enumerate(names)}
    if told := [f"{name} {one}" for name, one in classes.items() if one.places and not one.doubt]:
        yield f"per class: {', '.join(told)}"
