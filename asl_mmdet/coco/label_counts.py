"""How often a data set has each class."""

from collections import Counter
from typing import Any

from asl_mmdet.errors import UserError


def count_labels(dataset: Any, num_classes: int) -> list[int]:
    """The number of labels of every class: boxes of a detection set, images of a multi-label one.

    By the data set's own ``get_cat_ids``, which counts boxes that are ignored too; where one of MMEngine's wrappers has
    none, by those of the data sets inside. What a ``ClassBalancedDataset`` repeats is counted as often.

    Raises:
        UserError: If a data set has no ``get_cat_ids``.
    """
    found = _count(dataset)
    return [found[label] for label in range(num_classes)]


def _count(dataset: Any) -> Counter[int]:
    found: Counter[int] = Counter()
    if hasattr(dataset, "get_cat_ids"):
        try:
            for i in range(len(dataset)):
                found.update(int(label) for label in dataset.get_cat_ids(i))
        except NotImplementedError as error:  # what MMEngine's base class has
            raise _cannot_count(dataset) from error
    elif parts := getattr(dataset, "datasets", None) or [part for part in [getattr(dataset, "dataset", None)] if part]:
        for part in parts:
            found += _count(part)
    else:
        raise _cannot_count(dataset)
    return found


def _cannot_count(dataset: Any) -> UserError:
    return UserError(
        f"the labels of {type(dataset).__name__} cannot be counted: it has no get_cat_ids(index). Write one; a "
        "class_weight may also be a list, or name the classes"
    )
