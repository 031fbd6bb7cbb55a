r"""What share of the objects has no box, read off what a detector is most confident of.

On images that were *not* trained on, a confident detection is an object, annotated or not. So of the most confident
ones, each place counted once, the part that overlaps no annotation of any class is the share of objects without a box:
with boxes missing at random, the labelled share is the precision of what surely is an object (Elkan and Noto, KDD 2008,
https://doi.org/10.1145/1401890.1401920).

Further down the detector's own errors count as missing boxes too. Hence the share is the value at the top of a line
through the first places, as many as there are objects, or fewer where that part is no line. Best bin estimation
(https://arxiv.org/abs/2111.00980) looks for the top likewise, without a line: where no part of the scores is free of
errors it stays above the share.

The labels of a classifier lack a share in the same way: its places are the classes of an image, every one of them.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from asl_mmdet.audit.findings import REGION_SHARE, Boxes, Limits
from asl_mmdet.coco.boxes import Array, overlaps
from asl_mmdet.errors import UserError
from asl_mmdet.thresholds.matching import MatchedPredictions

WINDOWS = (1.0, 0.75, 0.5, 0.35, 0.25)  # parts of the number of objects that the line goes through; the first that fits
LEAST = 40  # places that a line is drawn through, where there are so many
GOOD = 0.5  # part of the annotated boxes that a detector to go by has among as many places as there are objects
LOWEST = 0.05  # share below which it may be a few detections on complete images
Z = 1.959964  # of a 95 % interval


@dataclass(frozen=True)
class Places:
    """Where a detector sees objects, each place once: N of them, and how many boxes are annotated.

    Args:
        scores: (N,) the detector's.
        labels: (N,) the class that scores highest there.
        is_annotated: (N,) whether an annotation is there, of any class.
        annotated: (C,) the number of annotated boxes of each class.
    """

    scores: Array
    labels: Array
    is_annotated: Array
    annotated: Array

    def of_class(self, label: int) -> "Places":
        """Those of one class."""
        own = self.labels == label
        return Places(self.scores[own], self.labels[own], self.is_annotated[own], self.annotated[[label]])


@dataclass(frozen=True)
class MissingShare:
    """The share of objects without a box.

    Args:
        share: In [0, 1]; NaN where there is nothing to go by.
        low: Lower end of the 95 % interval.
        high: Upper end.
        places: The number of the most confident places that it was read off.
        from_score: The lowest score among them.
        found: How many of the annotated boxes are among the first places, as many as there are objects by ``share``.
        doubt: Why it may be wrong; empty where nothing speaks against it.
    """

    share: float
    low: float
    high: float
    places: int
    from_score: float
    found: float
    doubt: str

    def __str__(self) -> str:
        """In a few words."""
        if not self.places:
            return f"unknown: {self.doubt}"
        text = f"{100 * self.share:.0f} % [{100 * self.low:.0f}, {100 * self.high:.0f}]"
        return f"{text}, doubtful: {self.doubt}" if self.doubt else text


def places_of(
    detections: Boxes,
    annotations: Boxes,
    num_classes: int,
    ignored: Array | None = None,
    known: Collection[int] | None = None,
) -> Places:
    """The places of one image.

    A detection at the place of a better one (IoU above 0.5) is left out, whatever its class, and so are a second one at
    the same annotation and one with more than half of its area in a region that nothing is known about.

    Args:
        detections: With ``scores``.
        annotations: The boxes of the image.
        num_classes: C.
        ignored: (K, 4) regions that nothing is known about.
        known: The classes that the image was labelled for, all by default. An object of another one is left out, unless
            it is annotated.
    """
    assert detections.scores is not None
    scores, labels = np.asarray(detections.scores, np.float64), np.asarray(detections.labels, int)
    boxes, given = np.asarray(detections.xyxy).reshape(-1, 4), np.asarray(annotations.xyxy).reshape(-1, 4)
    is_left = np.ones(len(scores), bool)
    if ignored is not None and len(ignored):
        is_left = overlaps(boxes, ignored, is_region=True).max(1, initial=0) <= REGION_SHARE
    same, iou = overlaps(boxes, boxes), overlaps(boxes, given)
    is_free = np.ones(len(given), bool)
    kept, is_annotated = [], []
    for i in np.argsort(-scores, kind="stable"):
        if not is_left[i]:
            continue
        is_left &= same[i] <= Limits.same_iou
        near = iou[i] >= Limits.missing_iou
        if near.any() and not (near & is_free).any():
            continue
        if known is not None and labels[i] not in known and not near.any():
            continue
        if near.any():
            is_free[np.where(near & is_free, iou[i], -1).argmax()] = False
        kept.append(i)
        is_annotated.append(bool(near.any()))
    annotated = np.bincount(np.asarray(annotations.labels, int), minlength=num_classes)
    return Places(scores[kept], labels[kept], np.array(is_annotated, bool), annotated)


def places_of_labels(scored: MatchedPredictions) -> Places:
    """Those of a multi-label classifier: each class of each image, as long as its label is known."""
    return Places(scored.score, scored.label, scored.is_tp, scored.truths())


def join(places: Iterable[Places]) -> Places:
    """Those of several images.

    Raises:
        UserError: If there are none.
    """
    parts: Sequence[Places] = list(places)
    if not parts:
        raise UserError("there are no images to estimate the share of missing boxes from")
    scores, labels, is_annotated = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("scores", "labels", "is_annotated")
    )
    return Places(scores, labels, is_annotated, np.sum([part.annotated for part in parts], 0))


def missing_share(places: Places) -> MissingShare:
    """Estimate what share of the objects has no box.

    It goes by images that the detector was not trained on, and takes boxes to be missing at random: where the missing
    ones are those that are hard to see, more is missing than it says.

    Example:
        >>> is_annotated = np.arange(300) % 3 > 0  # a detector that is right, and a third of the boxes missing
        >>> scores = np.linspace(0.9, 0.5, 300)
        >>> print(missing_share(Places(scores, np.zeros(300, int), is_annotated, np.array([200]))))
        33 % [28, 39]
    """
    order = np.argsort(-places.scores, kind="stable")
    is_missing = ~places.is_annotated[order]
    annotated = int(places.annotated.sum())
    if not len(order) or not annotated:
        what = "no box is annotated" if len(order) else "nothing is detected"
        return MissingShare(np.nan, 0.0, 1.0, 0, np.nan, np.nan, what)
    window = _window(is_missing, annotated)
    share, low, high = _at_the_top(is_missing[:window])
    found = float((~is_missing[: _objects(annotated, share)]).sum() / annotated)
    return MissingShare(share, low, high, window, float(places.scores[order[window - 1]]), found, _doubt(window, found))


def _window(is_missing: Array, annotated: int) -> int:
    """Through how many of the first places the line goes: as many as there are objects, unless it bends there."""
    objects = _objects(annotated, _at_the_top(is_missing[: max(LEAST, annotated)])[0])
    for part in WINDOWS:
        window = min(len(is_missing), max(LEAST, round(part * objects)))
        x = _positions(window)
        if abs(_z_of(x * x - (x * x).mean(), is_missing[:window])) < 1.64:
            break
    return window


def _objects(annotated: int, share: float) -> int:
    """How many objects there are, with and without a box."""
    return round(annotated / max(1 - share, 0.05))


def _at_the_top(is_missing: Array) -> tuple[float, float, float]:
    """The missing share where the line begins, and its interval: the mean, where the line does not measurably rise."""
    mean, number = float(is_missing.mean()), len(is_missing)
    low, high = _wilson(mean, number)
    x = _positions(number)
    z = _z_of(x, is_missing)
    if z <= 0:
        return mean, low, high
    top = max(0.0, mean - 0.5 * float((x * is_missing).sum() / max((x * x).sum(), 1e-9)))
    top_low, top_high = _wilson(top, number / 4)  # at its end the variance of a line is four times that of the mean
    if z > 1:
        return top, top_low, top_high
    return mean, min(low, top_low), high


def _positions(number: int) -> Array:
    """Places from the first to the last as numbers from -0.5 to 0.5."""
    return (np.arange(number) + 0.5) / number - 0.5


def _z_of(pattern: Array, is_missing: Array) -> float:
    """How far the missing ones follow a pattern whose mean is 0, in standard deviations; 0 where all are alike."""
    mean = is_missing.mean()
    deviation = np.sqrt(mean * (1 - mean) * (pattern * pattern).sum())
    return float((pattern * is_missing).sum() / deviation) if deviation > 0 else 0.0


def _wilson(share: float, number: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of a number."""
    middle = (share + Z * Z / (2 * number)) / (1 + Z * Z / number)
    half = Z / (1 + Z * Z / number) * np.sqrt(share * (1 - share) / number + (Z / (2 * number)) ** 2)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def _doubt(window: int, found: float) -> str:
    if window < 2 * LEAST:
        return f"only {window} predictions to go by"
    if found < GOOD:
        return (
            f"only {100 * found:.0f} % of the annotations are among as many predictions as should be right, so some of "
            "the most confident ones may be wrong too"
        )
    return ""
