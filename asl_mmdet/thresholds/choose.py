"""Choosing thresholds: one for all classes, and one a class that shrinks towards it where the class has few objects."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asl_mmdet.errors import UserError
from asl_mmdet.thresholds import calibration as calibrations
from asl_mmdet.thresholds.matching import MatchedPredictions

Array = NDArray[Any]
_GRID = 2000  # candidates of the global threshold
LOWEST, HIGHEST = 1e-6, 1 - 1e-6


@dataclass(frozen=True)
class Objective:
    """What a threshold is chosen for: the best F-beta, or a required precision or recall.

    Args:
        kind: One of :data:`OBJECTIVES`.
        value: beta, or the required precision or recall in (0, 1).

    Raises:
        UserError: If an argument is out of range.
    """

    kind: str = "f"
    value: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in OBJECTIVES:
            raise UserError(f"kind={self.kind!r}: use one of {', '.join(OBJECTIVES)}")
        if self.kind == "f" and not 0 < self.value < np.inf:
            raise UserError(f"beta={self.value:g}: use a number above 0")
        if self.kind != "f" and not 0 < self.value < 1:
            raise UserError(f"{self.kind}={self.value:g}: use a number in (0, 1)")

    def __str__(self) -> str:
        return f"F{self.value:g}" if self.kind == "f" else f"{self.kind} {self.value:g}"

    def best(self, right: Array, kept: Array, truths: Array | float) -> int | None:
        """The best of the candidates, which go from the highest threshold to the lowest.

        Args:
            right: How many right scores each candidate keeps, (K,).
            kept: How many scores, (K,).
            truths: How many objects there are.

        Returns:
            Its index, or None if no candidate reaches it.
        """
        return OBJECTIVES[self.kind](right, kept, truths, self.value)


def _best_f(right: Array, kept: Array, truths: Array | float, beta: float) -> int | None:
    index = int(np.argmax(f_score(right, kept, truths, beta)))
    return index if right[index] else None


def _most_recall(right: Array, kept: Array, truths: Array | float, precision: float) -> int | None:
    """With a required precision: the lowest threshold that reaches it."""
    enough = np.flatnonzero((right >= precision * kept) & (right > 0))
    return int(enough[-1]) if len(enough) else None


def _highest_threshold(right: Array, kept: Array, truths: Array | float, recall: float) -> int | None:
    """With a required recall."""
    enough = np.flatnonzero((right >= recall * truths) & (right > 0))
    return int(enough[0]) if len(enough) else None


OBJECTIVES = {"f": _best_f, "precision": _most_recall, "recall": _highest_threshold}


def f_score(right: Array, kept: Array, truths: Array | float, beta: float = 1.0) -> Array:
    """F-beta, (1 + beta^2) TP / (beta^2 objects + kept); 0 where that is 0 / 0."""
    return (1 + beta**2) * right / np.maximum(beta**2 * truths + kept, 1e-12)


@dataclass(frozen=True)
class Thresholds:
    """Chosen thresholds.

    Args:
        of_class: (C,).
        overall: The global one.
        unshrunk: The threshold of each class before shrinkage, (C,); NaN where it has no object or nothing reaches what
            is required, and the global one stands in.
    """

    of_class: Array
    overall: float
    unshrunk: Array


def choose(
    scored: MatchedPredictions, objective: Objective, per_class: bool = True, shrinkage: float = 10.0
) -> Thresholds:
    """Choose the thresholds on all of ``scored``.

    The global threshold has the best mean F-beta over the classes with objects, or the required precision or recall of
    all scores together. A class with n objects gets, on the logit scale, w * its own + (1 - w) * the global threshold,
    with w = n / (n + shrinkage): half of each where it has ``shrinkage`` objects, and the global one without objects.

    Args:
        scored: The scores and what is right.
        objective: What is required.
        per_class: False gives all classes the global one.
        shrinkage: As above; 0 turns it off.

    Raises:
        UserError: If there is no right score at all, nothing reaches what is required, or ``shrinkage`` is below 0.
    """
    if not shrinkage >= 0:
        raise UserError(f"shrinkage={shrinkage:g}: use a number from 0")
    if not scored.is_tp.any():
        raise UserError(
            f"none of the {len(scored.score)} scores is right: there is nothing to choose a threshold by. Train the "
            "model longer, or look whether it is that of these images and boxes"
        )
    overall, truths = _overall(scored, objective), scored.truths()
    number = len(scored.classes)
    unshrunk = np.array([_own(scored.of_class(label), objective) if per_class else np.nan for label in range(number)])
    weight = np.where(np.isnan(unshrunk), 0.0, truths / np.maximum(truths + shrinkage, 1e-12))
    mixed = weight * calibrations.logit(np.nan_to_num(unshrunk, nan=0.5)) + (1 - weight) * calibrations.logit(
        np.array(overall)
    )
    of_class = np.where(weight > 0, calibrations.sigmoid(mixed), overall)
    return Thresholds(of_class, overall, unshrunk)


def _own(part: MatchedPredictions, objective: Objective) -> float:
    """The threshold of one class by itself, NaN if it has none."""
    truths = len(part.truth_label)
    if not truths or not len(part.score):
        return np.nan
    values, right, kept = _candidates(part)
    index = objective.best(right, kept, truths)
    return np.nan if index is None else float(values[index])


def _candidates(part: MatchedPredictions) -> tuple[Array, Array, Array]:
    """Thresholds from the highest to the lowest, halfway to the next lower score, and what each keeps."""
    order = np.argsort(-part.score, kind="stable")
    score, right = part.score[order], np.cumsum(part.is_tp[order])
    last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)  # the last one of equal scores
    below = np.append(score[last[1:]], score[-1])  # below the lowest there is nothing to be halfway to
    return np.clip((score[last] + below) / 2, LOWEST, HIGHEST), right[last], last + 1


def _overall(scored: MatchedPredictions, objective: Objective) -> float:
    if objective.kind != "f":
        values, right, kept = _candidates(scored)
        index = objective.best(right, kept, len(scored.truth_label))
        if index is None:
            best = (right / kept).max() if objective.kind == "precision" else right[-1] / len(scored.truth_label)
            raise UserError(f"no threshold reaches {objective}: the most is {best:.3f}. Ask for less")
        return float(values[index])
    values = _candidates(scored)[0]
    values = values[np.unique(np.linspace(0, len(values) - 1, _GRID).astype(int))]
    total = np.zeros(len(values))
    for label in np.flatnonzero(scored.truths()):
        part = scored.of_class(int(label))
        right, kept = (len(x) - np.searchsorted(np.sort(x), values) for x in (part.score[part.is_tp], part.score))
        total += f_score(right, kept, len(part.truth_label), objective.value)
    return float(values[int(np.argmax(total))])


def counts(scored: MatchedPredictions, thresholds: Array | float) -> Array:
    """What thresholds, (C,) or one, keep of each class: right scores, scores, objects, (3, C)."""
    number = len(scored.classes)
    kept = scored.score >= np.broadcast_to(thresholds, number)[scored.label]
    return np.stack(
        [
            np.bincount(scored.label[kept & scored.is_tp], minlength=number),
            np.bincount(scored.label[kept], minlength=number),
            scored.truths(),
        ]
    )


@dataclass(frozen=True)
class CrossFitted:
    """What thresholds give on images that did not choose them.

    Args:
        counts: Right scores, scores and objects of each class, summed over the folds, (3, C).
        overall_counts: The same for the global threshold.
        score: The calibrated scores, (N,), each by a calibration that its image had no part in.
        is_kept: Which of them the thresholds keep, (N,).
        empty_folds: Folds whose other images have nothing to choose by, such as no right score: none of theirs is kept.
    """

    counts: Array
    overall_counts: Array
    score: Array
    is_kept: Array
    empty_folds: int = 0


@dataclass(frozen=True)
class Settings:
    """How thresholds are chosen.

    Args:
        objective: What is required.
        per_class: One threshold a class, or the global one.
        shrinkage: As for :func:`choose`.
        calibration: 'platt', 'isotonic' or None.
        calibration_per_class: As for :func:`asl_mmdet.thresholds.calibration.fit`.
        folds: Parts of the images for the cross-fitting.
        seed: Of the division into folds.

    Raises:
        UserError: If ``folds`` is below 2.
    """

    objective: Objective = Objective()
    per_class: bool = True
    shrinkage: float = 10.0
    calibration: str | None = None
    calibration_per_class: bool = False
    folds: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise UserError(f"folds={self.folds}: use a whole number from 2")


def fit(scored: MatchedPredictions, settings: Settings) -> tuple[Thresholds, calibrations.Calibration | None]:
    """The calibration, and the thresholds of the calibrated scores, by all images.

    Raises:
        UserError: As :func:`choose` and :func:`asl_mmdet.thresholds.calibration.fit`.
    """
    calibration = None
    if settings.calibration:
        calibration = calibrations.fit(scored, settings.calibration, settings.calibration_per_class)
    thresholds = choose(calibrated(scored, calibration), settings.objective, settings.per_class, settings.shrinkage)
    return thresholds, calibration


def calibrated(scored: MatchedPredictions, calibration: calibrations.Calibration | None) -> MatchedPredictions:
    """The same with calibrated scores."""
    return scored if calibration is None else replace(scored, score=calibration(scored.score, scored.label))


def cross_fit(scored: MatchedPredictions, settings: Settings) -> CrossFitted:
    """Choose on all folds but one, count on that one, for each of them; an image is in one fold as a whole.

    Raises:
        UserError: As :func:`fit`, if that is so for every fold; and if there are fewer images than folds.
    """
    if scored.num_images < settings.folds:
        raise UserError(f"folds={settings.folds} is more than the {scored.num_images} images: use fewer folds")
    fold = np.random.default_rng(settings.seed).permutation(scored.num_images) % settings.folds
    total, overall_total = np.zeros((2, 3, len(scored.classes)), int)
    score, is_kept, empty_folds = np.zeros(len(scored.score)), np.zeros(len(scored.score), bool), 0
    for held_out in range(settings.folds):
        part = scored.of_images(fold == held_out)
        try:
            thresholds, calibration = fit(scored.of_images(fold != held_out), settings)
            part, of_class, overall = calibrated(part, calibration), thresholds.of_class, thresholds.overall
        except UserError:
            empty_folds += 1
            if empty_folds == settings.folds:
                raise
            of_class, overall = np.full(len(scored.classes), np.inf), np.inf
        total += counts(part, of_class)
        overall_total += counts(part, overall)
        mine = fold[scored.image] == held_out
        score[mine], is_kept[mine] = part.score, part.score >= of_class[part.label]
    return CrossFitted(total, overall_total, score, is_kept, empty_folds)
