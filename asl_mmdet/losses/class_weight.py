"""Weights of classes: as numbers, by name, or by how often the training data has each class. Only needs torch."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from asl_mmdet.losses._validation import check_number

SIDES = ("positive", "negative", "both")
SCHEMES = ("inverse_frequency", "effective_number")
NORMALIZATIONS = ("labels", "classes")

_FORMS = (
    "a number for every class, a dict of class names and numbers, 'inverse_frequency', 'effective_number' or "
    "dict(type='effective_number', beta=0.999)"
)


class Scheme(NamedTuple):
    """A way from the number of labels of a class to its weight: the arguments of :func:`frequency_weights`.

    Example:
        >>> Scheme.read('effective_number', 'AsymmetricLoss')
        Scheme(type='effective_number', beta=0.999, normalize=None)
    """

    type: str
    beta: float = 0.999
    normalize: str | None = None

    @classmethod
    def read(cls, given: str | Mapping[str, Any], owner: str) -> "Scheme":
        """Of a config: a name, or a dict with a ``type``; ``owner`` is the class that an error names.

        Raises:
            ValueError: If there is no such scheme or argument, or a value is out of range.
        """
        arguments = dict(type=given) if isinstance(given, str) else dict(given)
        if arguments["type"] not in SCHEMES:
            raise ValueError(f"{owner} got class_weight={given!r}: there is no such scheme, use one of {SCHEMES}")
        allowed = {"type", "normalize"} | ({"beta"} if arguments["type"] == "effective_number" else set())
        if unknown := sorted(arguments.keys() - allowed):
            raise ValueError(
                f"{owner} got class_weight={dict(arguments)!r}: {arguments['type']} has no {', '.join(unknown)}, only "
                f"{', '.join(sorted(allowed))}"
            )
        scheme = cls(**arguments)
        check_number("class_weight.beta", scheme.beta, 0, 1, owner)
        if scheme.normalize not in (None, *NORMALIZATIONS):
            raise ValueError(
                f"{owner} got class_weight.normalize={scheme.normalize!r}: use one of {NORMALIZATIONS}, or leave it out"
            )
        return scheme


ClassWeight = tuple[float, ...] | dict[str, float] | Scheme


def frequency_weights(
    counts: Sequence[int] | Tensor, scheme: str = "effective_number", beta: float = 0.999, normalize: str = "classes"
) -> Tensor:
    r"""Weights that are larger for rarer classes.

    With n_c labels of class c, ``inverse_frequency`` is :math:`w_c \propto 1 / n_c`, and ``effective_number`` is the
    class-balanced term of https://arxiv.org/abs/1901.05555,

    .. math:: w_c \propto \frac{1 - \beta}{1 - \beta^{n_c}}

    one over the effective number of samples. :math:`\beta = 0` weighs all classes alike, and :math:`\beta \to 1` gives
    ``inverse_frequency``. The paper tries 0.9, 0.99, 0.999 and 0.9999.

    The weights are scaled by one factor. ``normalize='classes'``: their mean over the classes is 1, so their sum is C,
    as in the paper. ``'labels'``: their mean over the labels, :math:`\sum_c n_c w_c / \sum_c n_c`, is 1. A class
    without a label has weight 1 and is left out of both means.

    Args:
        counts: n_c, (C,).
        scheme: 'inverse_frequency' or 'effective_number'.
        beta: :math:`\beta`, in [0, 1), for 'effective_number'.
        normalize: 'classes' or 'labels'.

    Returns:
        The weights, (C,) in float64.

    Raises:
        ValueError: If no class has a label, a count is negative, or an argument is out of range.

    Example:
        >>> frequency_weights([100, 10], 'inverse_frequency')
        tensor([0.1818, 1.8182], dtype=torch.float64)
        >>> frequency_weights([100, 10], 'inverse_frequency', normalize='labels')
        tensor([0.5500, 5.5000], dtype=torch.float64)
    """
    Scheme.read(dict(type=scheme, normalize=normalize), "frequency_weights")
    check_number("beta", beta, 0, 1, "frequency_weights")
    n = torch.as_tensor(counts, dtype=torch.float64)
    seen = n > 0
    if n.dim() != 1 or (n < 0).any() or not seen.any():
        raise ValueError(
            f"frequency_weights got counts={n.tolist()}: give the number of labels of every class, not all of them 0"
        )
    if scheme == "inverse_frequency":
        weights = 1 / n
    else:
        log_beta = math.log(beta) if beta else -math.inf
        weights = (1 - beta) / -torch.expm1(n * log_beta)
    share = n[seen] if normalize == "labels" else torch.ones_like(n[seen])
    weights = weights * share.sum() / (share * weights[seen]).sum()
    return torch.where(seen, weights, 1.0)


def check_class_weight(given: Any, owner: str) -> ClassWeight | None:
    """The ``class_weight`` of a config in one of its three forms, as far as it can be checked without the classes.

    Raises:
        ValueError: If it has another form, or a weight is no finite number from 0, or all are 0.

    Example:
        >>> check_class_weight([1, 2.5], 'AsymmetricLoss')
        (1.0, 2.5)
    """
    if given is None:
        return None
    if isinstance(given, (str, Scheme)) or (isinstance(given, Mapping) and isinstance(given.get("type"), str)):
        return given if isinstance(given, Scheme) else Scheme.read(given, owner)
    if isinstance(given, Mapping):
        return {str(name): _check_weight(given, f"[{name!r}]", value, owner) for name, value in given.items()}
    values = given.tolist() if isinstance(given, Tensor) else given
    if not isinstance(values, (list, tuple)) or not values:
        raise ValueError(f"{owner} got class_weight={given!r}: use {_FORMS}")
    weights = tuple(_check_weight(given, f"[{i}]", value, owner) for i, value in enumerate(values))
    if not any(weights):
        raise ValueError(f"{owner} got class_weight={given!r}: all weights are 0, so nothing would be learned")
    return weights


def _check_weight(given: Any, place: str, value: Any, owner: str) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= value < math.inf:
        raise ValueError(f"{owner} got class_weight{place}={value!r}: use a finite number from 0")
    return float(value)


def weights_of(
    given: ClassWeight, classes: Sequence[str], count: Callable[[], Sequence[int]], side: str, owner: str
) -> Tensor:
    """The weight of every class of a data set.

    Args:
        given: What :func:`check_class_weight` gives.
        classes: The names, in the order of the labels.
        count: Gives the number of labels of every class; only called for a scheme.
        side: What is weighted, one of :data:`SIDES`. Where a scheme has no ``normalize`` of its own, 'positive' is
            normalised over the labels, the others over the classes: over as many elements as the loss has of a class.
        owner: Who an error names.

    Returns:
        (C,) in float32.

    Raises:
        ValueError: If the number of weights is not that of the classes, or a name is none of them.

    Example:
        >>> weights_of({'dog': 3.0}, ['cat', 'dog'], lambda: [], 'positive', 'AsymmetricLoss')  # the others have 1
        tensor([1., 3.])
    """
    if isinstance(given, Scheme):
        normalize = given.normalize or ("labels" if side == "positive" else "classes")
        weights = frequency_weights(count(), given.type, given.beta, normalize)
    elif isinstance(given, dict):
        if unknown := [name for name in given if name not in classes]:
            raise ValueError(
                f"{owner} got class_weight for {', '.join(map(repr, unknown))}, which is no class of the data set; it "
                f"has {_shown(classes)}"
            )
        weights = torch.tensor([given.get(name, 1.0) for name in classes])
    else:
        if len(given) != len(classes):
            raise ValueError(
                f"{owner} got class_weight with {len(given)} numbers, and the data set has {len(classes)} classes: "
                f"give one number for each of {_shown(classes)}"
            )
        weights = torch.tensor(given)
    return weights.float()


def _shown(classes: Sequence[str]) -> str:
    more = ", ..." if len(classes) > 100 else ""
    return ", ".join(repr(name) for name in classes[:100]) + more
