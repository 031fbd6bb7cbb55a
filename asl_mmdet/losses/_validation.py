"""Checks of arguments and tensors, and the common form that they are brought to."""

import math
from typing import Any

import torch
from torch import Tensor

from asl_mmdet.losses._device import is_cpu

REDUCTIONS = ("none", "mean", "sum")
IMPLS = ("auto", "eager", "compile")
_ROUNDING = 2**-7  # bfloat16's at 1: what a label mixed of others may be beyond [0, 1]

# Arguments of a class. ----------------------------------------------------------------------------------------------


def check_choice(name: str, value: Any, allowed: tuple[Any, ...], owner: str) -> Any:
    """``value``, if it is one of ``allowed``; ``owner`` is the class that the message names."""
    if value not in allowed:
        raise ValueError(f"{owner} got {name}={value!r}: use one of {allowed}")
    return value


def check_number(name: str, value: Any, low: float, high: float, owner: str, closed: bool = False) -> float:
    """``value``, if it is a number in [low, high), or in [low, high] if ``closed``.

    Example:
        >>> check_number('clip', 1.0, 0, 1, 'AsymmetricLoss')
        Traceback (most recent call last):
        ValueError: AsymmetricLoss got clip=1.0: use a number in [0, 1)
    """
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not (low <= value < high or (closed and value == high)):
        allowed = f"in [{low}, {high}]{' or None' if name == 'alpha' else ''}" if closed else f"in [{low}, {high})"
        raise ValueError(f"{owner} got {name}={value!r}: use a number {allowed}")
    number: float = value
    return number


def check_focusing(
    owner: str, gamma_pos: Any, gamma_neg: Any, clip: Any, alpha: Any = None, ignore_above: Any = 1.0
) -> None:
    """The parameters of the sigmoid form in their ranges; tensors, whose values are not looked at, pass.

    Example:
        >>> check_focusing('asymmetric_loss', 0, -1, 0.0)
        Traceback (most recent call last):
        ValueError: asymmetric_loss got gamma_neg=-1: use a number in [0, inf)
    """
    for name, value, low, high, closed in (
        ("gamma_pos", gamma_pos, 0, math.inf, False),
        ("gamma_neg", gamma_neg, 0, math.inf, False),
        ("clip", clip, 0, 1, False),
        ("alpha", 0.0 if alpha is None else alpha, 0, 1, True),
        ("ignore_above", ignore_above, 0, 1, True),
    ):
        if not isinstance(value, Tensor):
            check_number(name, value, low, high, owner, closed)
    if not isinstance(ignore_above, Tensor) and not isinstance(clip, Tensor) and ignore_above <= clip:
        raise ValueError(
            f"{owner} got ignore_above={ignore_above} and clip={clip}: no negative is between them, so none would be "
            "learned"
        )


# Arguments of a call. -----------------------------------------------------------------------------------------------


def check_reduction(reduction: str, avg_factor: float | Tensor | None, owner: str) -> None:
    """A reduction that exists, with an ``avg_factor`` only where something is divided."""
    check_choice("reduction", reduction, REDUCTIONS, owner)
    if avg_factor is not None and reduction == "sum":
        raise ValueError("avg_factor is what reduction='mean' divides by; with reduction='sum' leave it out")


def check_class_indices(pred: Tensor, target: Tensor) -> None:
    """The shape and the type of class indices (N,) for logits (N, C)."""
    if pred.dim() != 2 or target.shape != pred.shape[:1]:
        raise ValueError(
            f"target of shape {tuple(target.shape)} does not fit pred of shape {tuple(pred.shape)}: give class indices "
            "(N,) for logits (N, C), or labels of the logits' shape"
        )
    if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        raise ValueError(f"target (N,) holds class indices and must be of an integer type, not {target.dtype}")


def check_index_range(pred: Tensor, target: Tensor, highest: int, look: bool) -> None:
    """Class indices in 0..highest: looked at, or left to the assertion that gather makes on the device."""
    if not look:
        target.new_zeros(()).expand(len(target), highest + 1).gather(1, target.long().unsqueeze(1))
        return
    low, high = (int(v) for v in target.aminmax()) if target.numel() else (0, 0)
    if low < 0 or high > highest:
        raise ValueError(
            f"target holds the class index {low if low < 0 else high}; for logits of shape {tuple(pred.shape)} it "
            f"must be in 0..{highest}, the last one being background in a detector (mark ignored ones by weight 0)"
        )


def check_labels(labels: Tensor) -> None:
    """Labels of the logits' shape in [0, 1]; to be called where looking costs nothing."""
    if labels.dtype == torch.bool or not labels.numel():
        return
    for value in labels.aminmax():
        if not -_ROUNDING <= value.item() <= 1 + _ROUNDING:  # NaN is not in it
            raise ValueError(
                f"target of the logits' shape holds {value.item():g}; a label must be in [0, 1] (mark unknown ones by "
                "weight 0)"
            )


# The common form. ---------------------------------------------------------------------------------------------------


def as_matrix(x: Tensor) -> Tensor:
    """(N, C) in float32 or float64; labels of an integer type stay what they are."""
    x = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    return x.flatten(1) if x.dim() > 1 else x.reshape(-1, 1)


def align_weight(weight: Tensor, pred: Tensor) -> Tensor:
    """(N, 1) or (N, C)."""
    if weight.shape[:1] == pred.shape[:1] and weight.numel() == len(pred):
        return as_matrix(weight.reshape(-1))
    if weight.numel() == pred.numel():
        return as_matrix(weight.reshape(pred.shape))
    raise ValueError(f"weight of shape {tuple(weight.shape)} does not fit pred of shape {tuple(pred.shape)}")


def align_parameter(name: str, value: float | Tensor, z: Tensor, unwrap_scalar: bool) -> float | Tensor:
    """A number, or a tensor that fits a row of logits, or for ``ignore_above`` a column of them.

    ``unwrap_scalar``: take a single value on the CPU out of its tensor, which is faster than the tensor.
    """
    if not isinstance(value, Tensor):
        return value
    if value.numel() == 1:
        return value.item() if unwrap_scalar and is_cpu(value) else value.detach().reshape(()).to(z)
    if value.shape != z.shape[1:] and not (name == "ignore_above" and value.shape == (len(z), 1)):
        raise ValueError(f"{name} of shape {tuple(value.shape)} does not fit {z.shape[1]} classes: give 1 or C values")
    return value.detach().to(z)


def align_class_weight(class_weight: Tensor, z: Tensor) -> Tensor:
    """A factor for every column of the logits."""
    if class_weight.shape != z.shape[1:]:
        raise ValueError(
            f"class_weight of shape {tuple(class_weight.shape)} does not fit {z.shape[1]} classes: give (C,) for "
            "logits (N, C)"
        )
    return class_weight.detach().to(z)
