"""What is doubtful about the labels of one image, by what a detector or a classifier says of it.

Functions on NumPy arrays; nothing here knows a model or a file. Every finding has a score, from 0 to 1, by which those
of one kind are ranked, best first:

=================  =========================================================  ==========================================
kind               what it is                                                 score
=================  =========================================================  ==========================================
``missing``        a detection that overlaps no annotation                    s, lowered by its overlap with annotations
``wrong_class``    an annotation where another class scores higher            s of that class, less that of its own
``badly_located``  an annotation whose own class is found beside it           s times (1 - IoU)
``spurious``       an annotation whose class is hardly found, or not at all   1 - the highest s of its class at it
=================  =========================================================  ==========================================

s is the detector's score. An annotation is of one kind at most, the first of the last three that fits. A detection that
shows where a badly located annotation belongs is no missing object.
"""

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from asl_mmdet.coco.boxes import Array, overlaps
from asl_mmdet.errors import UserError

# With what applying one does to its annotation; a missing one is new.
KINDS = dict(missing="added", wrong_class="reclassified", badly_located="moved", spurious="removed")
OLD_KINDS = {"badly_placed": "badly_located", "doubted": "spurious"}  # in files of 0.2.0 and before
Corners = tuple[float, float, float, float]  # x1, y1, x2, y2
REGION_SHARE = 0.5  # of a box with a larger share of it in a region to ignore nothing is known


@dataclass(frozen=True)
class Limits:
    """Thresholds for reporting findings.

    Args:
        min_score: Of a detection that is looked at, and of a finding that is kept; in [0, 1].
        missing_iou: A detection with a larger IoU with an annotation of any class is no missing object; in (0, 1).
        same_iou: Two detections with a larger IoU are the same missing object, whatever their classes; in (0, 1).
        placed_iou: An annotation is well placed if a detection of its class has at least this IoU with it; in (0, 1).
        doubt_below: An annotation whose class scores less at it is spurious; in [0, 1].

    Raises:
        UserError: If one is out of range, or ``missing_iou`` is above ``placed_iou``.
    """

    min_score: float = 0.05
    missing_iou: float = 0.5
    same_iou: float = 0.5
    placed_iou: float = 0.6
    doubt_below: float = 0.1

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            closed = name in ("min_score", "doubt_below")
            if not (0 <= value <= 1 if closed else 0 < value < 1):
                raise UserError(f"{name}={value}: use a number in {'[0, 1]' if closed else '(0, 1)'}")
        if self.missing_iou > self.placed_iou:
            raise UserError(
                f"missing_iou={self.missing_iou} is above placed_iou={self.placed_iou}: a box would be missing where "
                "it is well placed. Use a smaller missing_iou"
            )


@dataclass(frozen=True)
class Boxes:
    """Boxes of one image.

    Args:
        xyxy: (N, 4) corners in pixels.
        labels: (N,) class indices.
        scores: (N,) the detector's scores; none for annotations.
        ids: (N,) ids of annotations; none for detections.
    """

    xyxy: Array
    labels: Array
    scores: Array | None = None
    ids: Array | None = None


@dataclass(frozen=True)
class Detection:
    """One box of the detector: corners in pixels, class index and score."""

    box: Corners
    label: int
    score: float


@dataclass(frozen=True)
class LabelFinding:
    """One doubtful label, or the lack of one.

    Args:
        kind: One of :data:`KINDS`.
        score: From 0 to 1; findings of a kind are ranked by it.
        label: Class index: for ``spurious`` that of the annotation, else the model's.
        box: (x1, y1, x2, y2) in pixels: for ``spurious`` that of the annotation, else the detector's. None for a tag.
        annotation_id: Of the annotation that it is about. None where it is about none, or about a tag.
        annotated_label: The class index of that annotation.
        iou: The largest IoU of ``box`` with an annotation that counts for the kind. None for a tag.
        alternative: 0 for the best class of a missing object, then 1, 2, ... for the other classes at the same place.
        touched_id: Of a missing object, the id of the annotation that it overlaps most, from an IoU of 0.1 on.
        touched_is_found: Whether another detection is at that annotation. If so, the missing object is a second one; if
            not, it may be the annotated one in a loose box.
        seen: For ``spurious`` the detection that overlaps the annotation most, of any class, from an IoU of 0.1 on.
    """

    kind: str
    score: float
    label: int
    box: Corners | None = None
    annotation_id: int | None = None
    annotated_label: int | None = None
    iou: float | None = None
    alternative: int = 0
    touched_id: int | None = None
    touched_is_found: bool | None = None
    seen: Detection | None = None


def find_in_boxes(
    detections: Boxes,
    annotations: Boxes,
    limits: Limits,
    ignored: Array | None = None,
    known: Collection[int] | None = None,
) -> list[LabelFinding]:
    """The findings of one image of a detection set.

    Args:
        detections: With ``scores``.
        annotations: With ``ids``. One with the label -1 is of a class that nobody knows: it is only no missing object.
        limits: Thresholds for reporting findings.
        ignored: (K, 4) regions that nothing is known about, such as crowds: a detection with more than half of its
            area in one is not looked at.
        known: The classes that the image was labelled for, all by default. An object of another one is not missing, nor
            is an annotation at its place of the wrong class.

    Returns:
        The findings in no order.
    """
    assert detections.scores is not None and annotations.ids is not None
    xyxy, scores = np.asarray(detections.xyxy, float).reshape(-1, 4), np.asarray(detections.scores, float)
    looked_at = scores >= limits.min_score
    if ignored is not None and len(ignored):
        looked_at &= overlaps(xyxy, ignored, is_region=True).max(axis=1, initial=0) <= REGION_SHARE
    found = Boxes(xyxy[looked_at], np.asarray(detections.labels, int)[looked_at], scores[looked_at])
    given = Boxes(
        np.asarray(annotations.xyxy, float).reshape(-1, 4),
        np.asarray(annotations.labels, int),
        ids=np.asarray(annotations.ids, object),  # a whole number may have more than 64 bits
    )
    iou = overlaps(found.xyxy, given.xyxy)
    is_known = np.ones(len(found.labels), bool) if known is None else np.isin(found.labels, list(known))
    findings, placing = _of_annotations(found, given, iou, limits, is_known)
    findings = [*_missing(found, given, iou, limits, placing, is_known), *findings]
    return [finding for finding in findings if finding.score >= limits.min_score]


def _missing(
    found: Boxes, given: Boxes, iou: Array, limits: Limits, placing: set[int], is_known: Array
) -> Iterator[LabelFinding]:
    """Detections that overlap no annotation, an object once per candidate class, without ``placing``."""
    assert found.scores is not None
    nearest = iou.max(axis=1, initial=0)
    ranked = found.scores * (1 - nearest)
    left = [int(i) for i in np.argsort(-ranked, kind="stable") if nearest[i] < limits.missing_iou]
    same = overlaps(found.xyxy, found.xyxy)
    while left:
        best = left[0]
        there = [i for i in left if i == best or same[best, i] > limits.same_iou]
        left = [i for i in left if i not in there]
        if best in placing or not is_known[best]:
            continue
        by_class: dict[int, int] = {}
        for i in filter(is_known.__getitem__, there):
            by_class.setdefault(int(found.labels[i]), i)
        for alternative, (label, i) in enumerate(by_class.items()):
            about = dict(iou=float(nearest[i]), alternative=alternative, **_touched(given, iou, i, limits))
            yield LabelFinding("missing", float(ranked[i]), label, _box(found, i), **about)


_TOUCHES = 0.1  # IoU from which a detection and an annotation are told to touch
_BESIDE = 0.3  # IoU from which a detection can be about an annotation


def _touched(given: Boxes, iou: Array, i: int, limits: Limits) -> dict[str, Any]:
    """The annotation that the i-th detection overlaps most, and whether another detection is at that annotation."""
    assert given.ids is not None
    if iou[i].max(initial=0) < _TOUCHES:
        return {}
    k = int(iou[i].argmax())
    others = np.delete(iou[:, k], i)
    return dict(touched_id=int(given.ids[k]), touched_is_found=bool(others.max(initial=0) >= limits.missing_iou))


def _of_annotations(
    found: Boxes, given: Boxes, iou: Array, limits: Limits, is_known: Array
) -> tuple[list[LabelFinding], set[int]]:
    """What is doubtful about the annotations, and the detections that say where badly located ones belong."""
    nearest = iou.argmax(axis=1) if iou.shape[1] else np.zeros(0, int)  # a detection speaks of one annotation
    findings: list[LabelFinding] = []
    placing: set[int] = set()
    for k in np.flatnonzero(given.labels >= 0).tolist():
        counts = is_known | (found.labels == given.labels[k])
        near = np.flatnonzero(counts & (nearest == k) & (iou[:, k] >= _BESIDE)) if len(iou) else np.zeros(0, int)
        if not (about := _of_annotation(found, given, k, iou[:, k], near, limits)):
            continue
        finding, i = about
        findings.append(finding)
        if finding.kind == "badly_located":
            placing.add(i)
    return findings, placing


def _of_annotation(
    found: Boxes, given: Boxes, k: int, iou: Array, near: Array, limits: Limits
) -> tuple[LabelFinding, int] | None:
    """What is doubtful about the k-th annotation, by the detections that are about it (``near``), and by which one."""
    assert found.scores is not None and given.ids is not None
    label = int(given.labels[k])
    about: dict[str, Any] = dict(annotation_id=int(given.ids[k]), annotated_label=label)
    own = near[found.labels[near] == label]
    others = near[(found.labels[near] != label) & (iou[near] >= limits.missing_iou)]
    own_score = float(found.scores[own].max(initial=0))
    if len(others):
        i = int(others[found.scores[others].argmax()])
        if found.scores[i] > own_score:
            score = float(found.scores[i]) - own_score
            about |= dict(iou=float(iou[i]))
            return LabelFinding("wrong_class", score, int(found.labels[i]), _box(found, i), **about), i
    if len(own) and iou[own].max() < limits.placed_iou:
        i = int(own[found.scores[own].argmax()])
        about |= dict(iou=float(iou[i]))
        return LabelFinding("badly_located", float(found.scores[i] * (1 - iou[i])), label, _box(found, i), **about), i
    if own_score < limits.doubt_below:
        about |= dict(iou=float(iou[own].max(initial=0)))
        i = int(iou.argmax()) if len(iou) else -1
        if i >= 0 and iou[i] >= _TOUCHES:
            about |= dict(seen=Detection(_box(found, i), int(found.labels[i]), float(found.scores[i])))
        return LabelFinding("spurious", 1 - own_score, label, _box(given, k), **about), i
    return None


def find_in_tags(scores: Array, tags: Array, limits: Limits) -> list[LabelFinding]:
    """The findings of one image of a multi-label set: ``missing`` and ``spurious``.

    Args:
        scores: (C,) the classifier's, in [0, 1].
        tags: (C,) 1 where the image has the label, 0 where it has not, -1 where that is not known.
        limits: ``min_score`` and ``doubt_below`` count.

    Returns:
        The findings in the order of the classes; a missing tag has the classifier's score s, a spurious one 1 - s.
    """
    findings = []
    for label, (score, tag) in enumerate(
        zip(np.asarray(scores, float).tolist(), np.asarray(tags).tolist(), strict=True)
    ):
        if tag == 0 and score >= limits.min_score:
            findings.append(LabelFinding("missing", score, label))
        elif tag == 1 and score < limits.doubt_below:
            findings.append(LabelFinding("spurious", 1 - score, label, annotated_label=label))
    return findings


def _box(boxes: Boxes, i: int) -> Corners:
    x1, y1, x2, y2 = boxes.xyxy[i].tolist()
    return x1, y1, x2, y2
