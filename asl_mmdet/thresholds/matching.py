"""Match predictions to ground truth: detections to objects, or the labels of a classifier to its targets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from asl_mmdet.coco.boxes import Array, overlaps
from asl_mmdet.coco.known_categories import META_KEY
from asl_mmdet.errors import UserError

APPLIED = "thresholds_applied"  # a meta key of the data samples that thresholds have cut


@dataclass(frozen=True)
class MatchedPredictions:
    """N scores of a data set with C classes, and what is right among them.

    Args:
        classes: The C names.
        num_images: Number of images.
        image: Index of the image, (N,).
        label: Index of the class, (N,).
        score: Scores in [0, 1], (N,), float64.
        is_tp: Whether a detection is a true positive, or a label is one, (N,), bool.
        iou: IoU of a true positive with its object, 0 for the others, (N,); None for a classifier.
        any_iou: The same where every overlap above 0 makes a true positive, (N,); None for a classifier.
        truth_image: Index of the image of each of the M objects (or positive labels), (M,).
        truth_label: Its class, (M,).
    """

    classes: tuple[str, ...]
    num_images: int
    image: Array
    label: Array
    score: Array
    is_tp: Array
    iou: Array | None
    any_iou: Array | None
    truth_image: Array
    truth_label: Array

    def of_images(self, chosen: Array) -> "MatchedPredictions":
        """Those of the images where ``chosen``, (num_images,) bool, is True."""
        kept = chosen[self.image]
        return self._cut(kept, chosen[self.truth_image])

    def of_class(self, label: int) -> "MatchedPredictions":
        """Those of one class."""
        return self._cut(self.label == label, self.truth_label == label)

    def _cut(self, kept: Array, truth: Array) -> "MatchedPredictions":
        names = ("image", "label", "score", "is_tp", "iou", "any_iou")
        cut: Any = {name: None if (values := getattr(self, name)) is None else values[kept] for name in names}
        return replace(self, **cut, truth_image=self.truth_image[truth], truth_label=self.truth_label[truth])

    def truths(self) -> Array:
        """Number of objects of each class, (C,)."""
        return np.bincount(self.truth_label, minlength=len(self.classes))


def match_boxes(boxes: Array, scores: Array, truth: Array, is_ignored: Array, iou_thr: float) -> tuple[Array, Array]:
    """Match the detections of one class in one image as COCO's evaluation does.

    The detection with the highest score chooses first, and takes the free object that it overlaps most. Only where no
    object is left does it take an ignored region (a crowd), of which many detections may be part.

    Args:
        boxes: (N, 4), as x1, y1, x2, y2.
        scores: (N,).
        truth: (M, 4).
        is_ignored: Which of the M are ignored regions, (M,) bool; a detection's part inside counts as its overlap.
        iou_thr: The least overlap, inclusive; 0 stands for any overlap above 0.

    Returns:
        The IoU of each detection with its object, 0 without one, and which detections count: those that lie in an
        ignored region do not.
    """
    found, counts = np.zeros(len(boxes)), np.ones(len(boxes), bool)
    if not len(boxes) or not len(truth):
        return found, counts
    iou = overlaps(boxes, truth, is_ignored)
    is_free = ~is_ignored
    for i in np.argsort(-scores, kind="stable"):
        enough = (iou[i] >= iou_thr) & (iou[i] > 0)
        if (open_ := enough & is_free).any():
            # of equal overlaps COCO's loop keeps the last
            best = len(truth) - 1 - int(np.argmax(np.where(open_, iou[i], -1.0)[::-1]))
            found[i], is_free[best] = iou[i, best], False
        elif (enough & is_ignored).any():
            counts[i] = False
    return found, counts


def match_detections(dataset: Any, predictions: Sequence[dict[str, Any]], iou_thr: float = 0.5) -> MatchedPredictions:
    """Match what ``tools/test.py --out`` wrote to the objects of a data set, class by class.

    What ``KnownClassesCoco`` says of an image counts, as for its metric: classes that it was not labelled for are left
    out, and a detection on a box of an unknown class is neither right nor wrong.

    Args:
        dataset: A data set of MMDetection, whose ``get_data_info`` gives ``img_id`` and ``instances``.
        predictions: One record an image, in any order.
        iou_thr: The least IoU of a true positive.

    Raises:
        UserError: If the predictions are of other images or other classes.
    """
    classes = tuple(dataset.metainfo["classes"])
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    by_id = _by_image_id(predictions, [info["img_id"] for info in infos])
    rows: list[tuple[Array, ...]] = []
    truth: list[tuple[int, int]] = []
    for index, info in enumerate(infos):
        boxes, labels, ignored = truth_of(info)
        known = info.get(META_KEY, range(len(classes)))
        truth += [(index, int(label)) for label in labels[~ignored] if label in known]
        found = _match_image(index, boxes, labels, ignored, by_id[info["img_id"]], len(classes), iou_thr)
        rows.extend(found[label] for label in found if label in known)
    empty = (np.zeros(0, int), np.zeros(0, int), np.zeros(0), np.zeros(0), np.zeros(0))
    image, label, score, iou, any_iou = (np.concatenate(parts) for parts in zip(empty, *rows, strict=True))
    truth_image, truth_label = np.array(truth, int).reshape(-1, 2).T
    return MatchedPredictions(classes, len(infos), image, label, score, iou > 0, iou, any_iou, truth_image, truth_label)


def truth_of(info: dict[str, Any]) -> tuple[Array, Array, Array]:
    """The boxes (N, 4) of an image's record in a data set, their labels, and which are to be ignored."""
    instances = info["instances"]
    boxes = np.array([instance["bbox"] for instance in instances], np.float64).reshape(-1, 4)
    labels = np.array([instance["bbox_label"] for instance in instances], int)
    return boxes, labels, np.array([bool(instance.get("ignore_flag", 0)) for instance in instances], bool)


def _match_image(
    index: int,
    truth: Array,
    truth_labels: Array,
    is_ignored: Array,
    prediction: dict[str, Any],
    num_classes: int,
    iou_thr: float,
) -> dict[int, tuple[Array, ...]]:
    """Of each class that is detected: the image, the label, the scores, and their overlaps with objects."""
    found = prediction["pred_instances"]
    boxes, scores, labels = (torch.as_tensor(found[key]).numpy() for key in ("bboxes", "scores", "labels"))
    if len(labels) and labels.max() >= num_classes:
        raise UserError(
            f"the predictions have the label {labels.max()}, and the data set has {num_classes} classes: they are of a "
            "model for other classes"
        )
    rows: dict[int, tuple[Array, ...]] = {}
    of_unknown_class = truth[(truth_labels == num_classes) & ~is_ignored]
    for label in np.unique(labels).tolist():
        mine, theirs = labels == label, truth_labels == label
        arguments = (boxes[mine], scores[mine], truth[theirs], is_ignored[theirs])
        iou, counts = match_boxes(*arguments, iou_thr)
        counts &= (iou > 0) | (overlaps(boxes[mine], of_unknown_class).max(1, initial=0) < iou_thr)
        any_iou, _ = match_boxes(*arguments, 0.0)
        number = int(counts.sum())
        score = scores[mine][counts].astype(np.float64)
        rows[label] = (np.full(number, index), np.full(number, label), score, iou[counts], any_iou[counts])
    return rows


def _check_not_cut(predictions: Sequence[dict[str, Any]]) -> None:
    if any(record.get(APPLIED) for record in predictions):
        raise UserError(
            "thresholds were applied to these predictions already: make them without --thresholds, by a config "
            "without WithThresholds"
        )


def _by_image_id(predictions: Sequence[dict[str, Any]], wanted: Sequence[Any]) -> dict[Any, dict[str, Any]]:
    without = next((key for record in predictions for key in ("img_id", "pred_instances") if key not in record), None)
    if without:
        raise UserError(f"a record of the predictions has no {without}: use the file that tools/test.py --out wrote")
    _check_not_cut(predictions)
    by_id = {record["img_id"]: record for record in predictions}
    missing, strange = [i for i in wanted if i not in by_id], sorted(set(by_id) - set(wanted), key=str)
    if missing or strange:
        raise UserError(
            f"the predictions are of other images than the data set's {len(wanted)}: {len(missing)} of them have none "
            f"(img_id {missing[:3]}), and {len(strange)} of the predictions have another img_id ({strange[:3]}). Make "
            "them on this validation set"
        )
    return by_id


def match_labels(dataset: Any, predictions: Sequence[dict[str, Any]]) -> MatchedPredictions:
    """The scores of a multi-label classifier, all classes of all images; unknown labels (-1) are left out.

    Args:
        dataset: A data set of mmpretrain.
        predictions: What ``tools/test.py --out`` wrote, in the order of the data set.

    Raises:
        UserError: If the predictions are of other images or other classes.
    """
    classes = tuple(dataset.metainfo["classes"])
    for key in ("pred_score", "gt_score or gt_label"):
        if any(not set(key.split(" or ")) & record.keys() for record in predictions):
            raise UserError(f"a record of the predictions has no {key}: use the file that tools/test.py --out wrote")
    _check_not_cut(predictions)
    if len(predictions) != len(dataset):
        raise UserError(f"there are predictions of {len(predictions)} images, and the data set has {len(dataset)}")
    for index, record in enumerate(predictions):
        path = dataset.get_data_info(index).get("img_path")
        if "img_path" in record and record["img_path"] != path:
            raise UserError(
                f"the predictions are of other images: number {index} is {record['img_path']}, in the data set {path}"
            )
    score = np.stack([torch.as_tensor(record["pred_score"]).float().numpy() for record in predictions])
    if score.shape[1] != len(classes):
        raise UserError(f"the predictions have {score.shape[1]} classes, and the data set has {len(classes)}")
    truth = np.stack([_label_vector(record, len(classes)) for record in predictions])
    image, label = np.nonzero(truth >= 0)
    is_tp = truth[image, label] > 0
    scores = score[image, label].astype(np.float64)
    return MatchedPredictions(
        classes, len(predictions), image, label, scores, is_tp, None, None, image[is_tp], label[is_tp]
    )


def _label_vector(record: dict[str, Any], num_classes: int) -> Array:
    if "gt_score" in record:
        return torch.as_tensor(record["gt_score"]).numpy()
    vector = np.zeros(num_classes)
    vector[torch.as_tensor(record["gt_label"]).long().numpy()] = 1
    return vector
