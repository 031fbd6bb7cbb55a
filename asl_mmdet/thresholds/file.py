"""The file that carries thresholds and calibration from where they are chosen to where they are used."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asl_mmdet.coco.format import read_json, write_json
from asl_mmdet.errors import UserError
from asl_mmdet.thresholds.calibration import METHODS, Calibration, Isotonic, Map, Platt

Array = NDArray[Any]
FORMAT = 1


@dataclass(frozen=True)
class ThresholdFile:
    """What a ``thresholds.json`` holds.

    Args:
        task: 'detection' or 'multi-label'.
        classes: The C names, in the order of the labels.
        thresholds: (C,), of calibrated scores where there is a calibration.
        calibration: None leaves the scores as they are.
        score_thr: The detector's own ``test_cfg.score_thr`` while it predicted; None if it has none.
        made: How it was made, for a reader.
    """

    task: str
    classes: tuple[str, ...]
    thresholds: Array
    calibration: Calibration | None = None
    score_thr: float | None = None
    made: dict[str, Any] = field(default_factory=dict)

    def calibrate(self, score: Array, label: Array) -> Array:
        """Calibrated scores of (N,) scores and labels, float64."""
        score = np.asarray(score, np.float64)
        return score if self.calibration is None else self.calibration(score, np.asarray(label))

    def check_classes(self, classes: Sequence[str], owner: str) -> None:
        """Compare the classes with those of a model or a data set, in order.

        Raises:
            UserError: If they are others.
        """
        if tuple(classes) == self.classes:
            return
        missing = [name for name in classes if name not in self.classes]
        strange = [name for name in self.classes if name not in classes]
        if missing or strange:
            what = f"it has no threshold for {_some(missing)}, and {_some(strange)} are not classes of {owner}"
        else:
            what = f"it has the classes of {owner} in another order, {_some(self.classes)}"
        raise UserError(
            f"the thresholds are for {len(self.classes)} other classes than the {len(classes)} of {owner}: {what}. "
            "Make the file by tools/tune_thresholds.py with this config and checkpoint"
        )

    def write(self, path: str | Path) -> None:
        """Write the file."""
        calibration = None
        if self.calibration is not None:
            own = {self.classes[label]: _to_json(one) for label, one in self.calibration.own.items()}
            pooled = _to_json(self.calibration.pooled)
            calibration = dict(method=self.calibration.method, pooled=pooled, classes=own)
        content = dict(
            format=FORMAT,
            task=self.task,
            classes=self.classes,
            thresholds=dict(zip(self.classes, self.thresholds.tolist(), strict=True)),
            calibration=calibration,
            score_thr=self.score_thr,
            made=self.made,
        )
        write_json(path, content, indent=1)

    @classmethod
    def read(cls, path: str | Path) -> "ThresholdFile":
        """Read and check a file.

        Raises:
            UserError: With the key and the value, if the file is missing, no JSON, or something in it is wrong.
        """
        content = read_json(path)
        try:
            return cls._of(content)
        except KeyError as error:
            raise UserError(f"{path} has no key {error}: make it by tools/tune_thresholds.py") from error
        except (TypeError, AttributeError, ValueError) as error:
            raise UserError(f"{path}: {error}") from error

    @classmethod
    def _of(cls, content: Any) -> "ThresholdFile":
        if not isinstance(content, dict):
            raise UserError(f"it holds a {type(content).__name__} where tools/tune_thresholds.py writes an object")
        if content["format"] != FORMAT:
            raise UserError(f"format={content['format']!r}: this version reads {FORMAT}; make the file again")
        if content["task"] not in ("detection", "multi-label"):
            raise UserError(f"task={content['task']!r}: use 'detection' or 'multi-label'")
        classes, thresholds = tuple(content["classes"]), content["thresholds"]
        if set(thresholds) != set(classes) or len(set(classes)) != len(classes):
            differing = sorted(set(thresholds) ^ set(classes)) or ["a name twice"]
            raise UserError(f"thresholds and classes name different classes: {_some(differing)}")
        for name, value in thresholds.items():
            _check_number(f"thresholds[{name!r}]", value)
        if content["score_thr"] is not None:
            _check_number("score_thr", content["score_thr"])
        values = np.array([thresholds[name] for name in classes], np.float64)
        calibration = _calibration_of(content["calibration"], classes)
        made = dict(content.get("made") or {})
        return cls(content["task"], classes, values, calibration, content["score_thr"], made)


def _check_number(key: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise UserError(f"{key}={value!r}: use a number in [0, 1]")


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:5])
    return (shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")) or "none"


def _to_json(one: Map) -> dict[str, Any]:
    if isinstance(one, Platt):
        return dict(slope=one.slope, offset=one.offset)
    return dict(x=one.x, y=one.y)


def _calibration_of(content: Any, classes: tuple[str, ...]) -> Calibration | None:
    if content is None:
        return None
    method = content["method"]
    if method not in METHODS:
        raise UserError(f"calibration.method={method!r}: use one of {', '.join(METHODS)}")
    strange = [name for name in content["classes"] if name not in classes]
    if strange:
        raise UserError(f"calibration.classes has {_some(strange)}, which are not in classes")

    def read(key: str, node: Any) -> Map:
        try:
            return Platt(**node) if method == "platt" else Isotonic(tuple(node["x"]), tuple(node["y"]))
        except (TypeError, ValueError) as error:
            raise UserError(f"{key}: {error}") from error

    own = {classes.index(name): read(f"calibration.classes[{name!r}]", m) for name, m in content["classes"].items()}
    return Calibration(method, read("calibration.pooled", content["pooled"]), own)
