"""What is tried: families of losses, their parameters on a grid, and the points that are tried first."""

from typing import Any

from asl_mmdet.config.task import DETECTION, Task
from asl_mmdet.errors import UserError
from asl_mmdet.losses.presets import PRESETS

FAMILIES = ("focal", "bce", "asl")
OWN = "own"  # the loss of the config, as it is
Params = dict[str, Any]

_GAMMAS = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0]
_WEIGHTS = [0.5, 1.0, 2.0]
_DETECTION: dict[str, dict[str, list[Any]]] = {
    "focal": dict(gamma=_GAMMAS[1:], alpha=[0.15, 0.25, 0.35, 0.5, 0.75], loss_weight=_WEIGHTS),
    "bce": dict(loss_weight=_WEIGHTS),
    "asl": dict(
        gamma_pos=_GAMMAS[:5],
        gamma_neg=_GAMMAS,
        clip=[0.0, 0.02, 0.05],
        alpha=[0.15, 0.25, 0.35, 0.5, 0.75],
        ignore_above=[0.2, 0.3, 0.4, 0.5, 1.0],
        loss_weight=_WEIGHTS,
    ),
}
_MULTI_LABEL: dict[str, dict[str, list[Any]]] = {
    "focal": dict(gamma=_GAMMAS[1:], alpha=[0.25, 0.5, 0.75], loss_weight=_WEIGHTS),
    "bce": dict(loss_weight=_WEIGHTS),
    "asl": dict(
        gamma_pos=_GAMMAS[:5],
        gamma_neg=_GAMMAS,
        clip=[0.0, 0.05, 0.1, 0.2],
        alpha=[None, 0.25, 0.75],
        ignore_above=[0.7, 0.9, 1.0],
        loss_weight=_WEIGHTS,
    ),
}


def _preset(name: str, grid: dict[str, list[Any]]) -> Params:
    """A preset as a point of ASL's grid."""
    block = dict(ignore_above=1.0, loss_weight=1.0) | PRESETS[name]
    return dict(family="asl", **{key: block[key] for key in grid})


# Focal loss with default values and with a smaller gamma, and the presets. Pretrained, alpha and weight of
# detection_small are worth more than any other change (docs/results/missing_labels.md).
_FIRST_DETECTION: list[Params] = [
    dict(family="focal", gamma=2.0, alpha=0.25, loss_weight=1.0),
    _preset("detection", _DETECTION["asl"]),
    dict(family="focal", gamma=1.5, alpha=0.5, loss_weight=2.0),
    _preset("detection_small_missing_labels", _DETECTION["asl"]),
    _preset("detection_missing_labels", _DETECTION["asl"]),
    _preset("detection_small", _DETECTION["asl"]),
    dict(family="focal", gamma=1.0, alpha=0.25, loss_weight=1.0),
    dict(family="bce", loss_weight=1.0),
]
_FIRST_MULTI_LABEL: list[Params] = [
    dict(family="bce", loss_weight=1.0),
    _preset("multi_label", _MULTI_LABEL["asl"]),
    dict(family="focal", gamma=2.0, alpha=0.5, loss_weight=1.0),
    _preset("multi_label_missing_labels", _MULTI_LABEL["asl"]),
]


def grid_of(task: Task, family: str) -> dict[str, list[Any]]:
    """The values of every parameter of a family.

    Raises:
        UserError: If there is no such family.
    """
    grids = _DETECTION if task is DETECTION else _MULTI_LABEL
    if family not in grids:
        raise UserError(f"there is no family of losses {family!r}, only {', '.join(FAMILIES)}")
    return grids[family]


def first_of(task: Task, families: list[str]) -> list[Params]:
    """What is tried first."""
    points = _FIRST_DETECTION if task is DETECTION else _FIRST_MULTI_LABEL
    return [point for point in points if point["family"] in families]


def name_of(params: Params) -> str:
    """A short name, one for one set of parameters; 'own' for none, the config's own loss.

    Example:
        >>> name_of(dict(family='bce', loss_weight=0.5))
        'bce-loss_weight0.5'
    """
    rest = [f"{key}{value if value is None else f'{value:g}'}" for key, value in params.items() if key != "family"]
    return "-".join([params.get("family", OWN), *rest])


def block_of(params: Params, task: Task) -> dict[str, Any]:
    """The block of a config for ``loss_cls`` (or mmpretrain's ``loss``).

    Example:
        >>> block_of(dict(family='focal', gamma=1.0, alpha=0.25, loss_weight=2.0), DETECTION)['type']
        'FocalLoss'
    """
    given = {key: value for key, value in params.items() if key != "family"}
    if params["family"] == "bce":
        return dict(type="CrossEntropyLoss", use_sigmoid=True, **given)
    if params["family"] == "focal":
        sigmoid = dict(use_sigmoid=True) if task is DETECTION else {}  # mmpretrain's has no other form
        return dict(type="FocalLoss", **sigmoid, **given)
    if task is DETECTION:
        return dict(type="AsymmetricLoss", use_sigmoid=True, **given)
    return dict(type="mmdet.AsymmetricLoss", use_sigmoid=True, detach_focusing=True, **given)
