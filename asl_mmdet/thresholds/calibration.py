"""Calibration of scores, and how far scores are from what they say.

Of calibrated scores of 0.7, 70 % are right. A detection is right if it has IoU 0.5 with an object of its class.
Fitting needs scikit-learn, applying only needs NumPy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asl_mmdet.errors import UserError
from asl_mmdet.thresholds.matching import MatchedPredictions

Array = NDArray[Any]
METHODS = ("platt", "isotonic")
BINS = 25  # as in both papers on the calibration of detectors
TILT = 1e-3  # of the identity in an isotonic map
MIN_OF_EACH = 20  # right and wrong scores that a class needs for a map of its own
_SMALLEST = 1e-7


def logit(score: Array) -> Array:
    """log(p / (1 - p)), of p clipped to [1e-7, 1 - 1e-7]."""
    score = np.clip(np.asarray(score, np.float64), _SMALLEST, 1 - _SMALLEST)
    return np.log(score) - np.log1p(-score)


def sigmoid(value: Array) -> Array:
    """1 / (1 + exp(-value)), without an overflow."""
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(value, np.float64)))


@dataclass(frozen=True)
class Platt:
    """sigmoid(slope * logit(score) + offset); strictly increasing, so the order of scores stays."""

    slope: float
    offset: float

    def __post_init__(self) -> None:
        if not self.slope > 0 or not np.isfinite([self.slope, self.offset]).all():
            raise UserError(f"slope={self.slope}, offset={self.offset}: use finite numbers, and a slope above 0")

    def __call__(self, score: Array) -> Array:
        """The calibrated scores, of the same shape, float64."""
        return sigmoid(self.slope * logit(score) + self.offset)


@dataclass(frozen=True)
class Isotonic:
    """Linear interpolation between knots that rise strictly, so the order of scores stays."""

    x: tuple[float, ...]
    y: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y) or len(self.x) < 2:
            raise UserError(f"{len(self.x)} values in x and {len(self.y)} in y: use as many, and at least 2")
        for name, values in (("x", self.x), ("y", self.y)):
            if not (np.diff(values) > 0).all() or values[0] < 0 or values[-1] > 1:
                raise UserError(f"{name} does not rise strictly inside of [0, 1]")

    def __call__(self, score: Array) -> Array:
        """The calibrated scores, of the same shape, float64."""
        return np.interp(np.asarray(score, np.float64), self.x, self.y)


Map = Platt | Isotonic


def fit_platt(score: Array, is_tp: Array) -> Platt | None:
    """Platt's two numbers by scikit-learn's logistic regression on the logit of the score, without regularisation.

    Args:
        score: (N,) in [0, 1].
        is_tp: (N,) bool.

    Returns:
        The map, or None where the scores do not rise with what is right, or all are right or wrong.
    """
    from sklearn.linear_model import LogisticRegression

    if is_tp.all() or not is_tp.any():
        return None
    model = LogisticRegression(C=1e9, max_iter=1000).fit(logit(score)[:, None], is_tp)
    slope, offset = float(model.coef_[0, 0]), float(model.intercept_[0])
    return Platt(slope, offset) if slope > 0 else None


def fit_isotonic(score: Array, is_tp: Array) -> Isotonic | None:
    """Isotonic regression by scikit-learn, tilted: (1 - 0.001) * its value + 0.001 * the score.

    Isotonic regression has steps: scores on one step would be ties, and ties change the average precision. The tilt
    keeps their order at the price of at most 0.001. Arguments and return value are as for :func:`fit_platt`.
    """
    from sklearn.isotonic import IsotonicRegression

    if is_tp.all() or not is_tp.any():
        return None
    model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(score, is_tp.astype(float))
    x = np.unique(np.concatenate([[0.0], model.X_thresholds_, [1.0]]).astype(np.float64))
    y = (1 - TILT) * np.interp(x, model.X_thresholds_, model.y_thresholds_) + TILT * x
    rises = np.concatenate([[True], np.diff(y) > 0])  # scores nearer to each other than rounding
    return Isotonic(tuple(x[rises].tolist()), tuple(y[rises].tolist()))


@dataclass(frozen=True)
class Calibration:
    """One map for all classes, and those of the classes that have their own.

    Args:
        method: 'platt' or 'isotonic'.
        pooled: The map of all classes together.
        own: Maps by the index of the class.
    """

    method: str
    pooled: Map
    own: dict[int, Map]

    def __call__(self, score: Array, label: Array) -> Array:
        """The calibrated scores of (N,) scores and labels, float64."""
        result = self.pooled(score)
        for index in np.intersect1d(np.unique(label), list(self.own)).tolist():
            mine = label == index
            result[mine] = self.own[index](score[mine])
        return result


def fit(scored: MatchedPredictions, method: str, per_class: bool) -> Calibration:
    """Fit a calibration.

    Args:
        scored: The scores and what is right.
        method: 'platt' or 'isotonic'.
        per_class: Give each class its own map if it has at least 20 right and 20 wrong scores; the others share the
            pooled one.

    Raises:
        UserError: If the method is unknown, or the scores do not rise with what is right.
    """
    if method not in METHODS:
        raise UserError(f"method={method!r}: use one of {', '.join(METHODS)}")
    fit_map = fit_platt if method == "platt" else fit_isotonic
    pooled = fit_map(scored.score, scored.is_tp)
    if pooled is None:
        number, right = len(scored.score), int(scored.is_tp.sum())
        raise UserError(
            f"the scores cannot be calibrated: {right} of {number} are right, or right ones are no higher than wrong "
            "ones. Leave the calibration out"
        )
    own: dict[int, Map] = {}
    for label in range(len(scored.classes) if per_class else 0):
        part = scored.of_class(label)
        right = int(part.is_tp.sum())
        if min(right, len(part.score) - right) >= MIN_OF_EACH and (found := fit_map(part.score, part.is_tp)):
            own[label] = found
    return Calibration(method, pooled, own)


def calibration_error(score: Array, value: Array, bins: int = BINS) -> float:
    """The expected calibration error: sum over bins of the share of scores in it, times |mean score - mean value|.

    With ``value`` 1 for what is right and 0 else this is the ECE of classification and the D-ECE of detection; with
    IoUs, what LaECE sums for one class. The bins have equal width; a score on an edge belongs to the upper one.

    Args:
        score: (N,) in [0, 1].
        value: (N,), what the score should be on average.
        bins: Number of bins.
    """
    if not len(score):
        return 0.0
    index = np.minimum((np.asarray(score) * bins).astype(int), bins - 1)
    return float(np.abs(np.bincount(index, score, bins) - np.bincount(index, value, bins)).sum() / len(score))


def laece(score: Array, label: Array, iou: Array, bins: int = BINS) -> float:
    """Localisation-aware ECE: the mean over the classes with detections of their :func:`calibration_error` to IoUs.

    In a bin, precision times the mean IoU of the true positives is the sum of their IoUs by the number of detections.
    With true positives at a certain IoU this is LaECE of Oksuz et al., 'Towards Building Self-Aware Object Detectors
    via Reliable Uncertainty Quantification and Calibration', CVPR 2023 (arXiv 2307.00934); with every overlap above 0
    it is LaECE_0 of Kuzucu et al., 'On Calibration of Object Detectors', ECCV 2024 (arXiv 2405.20459).

    Args:
        score: (N,) in [0, 1].
        label: (N,).
        iou: (N,), 0 for false positives.
        bins: Number of bins.
    """
    errors = [calibration_error(score[label == index], iou[label == index], bins) for index in np.unique(label)]
    return float(np.mean(errors)) if errors else 0.0


def errors_of(scored: MatchedPredictions, score: Array, kept: Sequence[bool] | Array) -> dict[str, float]:
    """ECE, and of a detector LaECE and LaECE_0, of those ``scored`` where ``kept``, with ``score`` (N,) instead."""
    kept = np.asarray(kept, bool)
    result = dict(ECE=calibration_error(score[kept], scored.is_tp[kept]))
    for name, iou in (("LaECE", scored.iou), ("LaECE_0", scored.any_iou)):
        if iou is not None:
            result[name] = laece(score[kept], scored.label[kept], iou[kept])
    return result
