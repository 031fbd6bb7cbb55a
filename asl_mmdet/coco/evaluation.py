"""COCO's evaluation, right whatever the ids of an annotation file are.

pycocotools and its relatives keep the id of the annotation that a detection matched, and take 0 for "none": the object
with the id 0 counts as never found. They sort the ids of images and categories by NumPy, which makes floats of whole
numbers that 64 bits do not hold, and then finds no object by them. Nothing of this is an error there.
"""

from collections import Counter
from typing import Any

import numpy as np

from asl_mmdet.coco.format import is_id
from asl_mmdet.errors import UserError

_LARGEST = 2**53  # a float64 holds every whole number up to it


def prepare(metric: Any) -> None:
    """Make the COCO or LVIS object of a metric one that is evaluated right; other metrics stay as they are.

    MMEngine's metrics call it before they evaluate (:mod:`asl_mmdet.compat.patches`).

    Raises:
        UserError: If two images or categories have one id, or ids have no order.
    """
    coco: Any = getattr(metric, "_coco_api", None)
    lvis: Any = getattr(metric, "_lvis_api", None)
    api = coco or lvis
    if api is None or _is_panoptic(api):
        return
    try:
        make_evaluable(api)
        if getattr(metric, "img_ids", api) is None:  # as before the first evaluation
            metric.img_ids = exact("images", list(api.imgs))
        if getattr(metric, "cat_ids", api) is None:
            used = coco.getCatIds(catNms=metric.dataset_meta["classes"]) if coco else lvis.get_cat_ids()
            metric.cat_ids = exact("categories", used)
    except UserError as error:
        raise UserError(f"{type(metric).__name__}: {error}") from error


def _is_panoptic(api: Any) -> bool:
    """Whether its annotations are images of segments, which are told apart by their colours."""
    annotations = api.dataset.get("annotations")
    return bool(annotations) and "segments_info" in annotations[0]


def make_evaluable(api: Any) -> Any:
    """Make the annotations of a COCO or LVIS object ones that its evaluation counts right.

    They are numbered anew, from 1, where one has no id that can be counted by; nothing but the matching looks at these
    ids. ``iscrowd`` is 0 where it is missing or empty, as MMDetection takes it.

    Args:
        api: The object; its annotations are changed.

    Returns:
        The object.

    Raises:
        UserError: If two images or categories have one id, or ``iscrowd`` is no number.
    """
    for key in ("images", "categories"):
        ids = Counter(entry["id"] for entry in api.dataset.get(key, []))
        if repeated := [number for number, times in ids.items() if times > 1]:
            raise UserError(f"{key} of the annotation file have the id {repeated[0]!r} more than once: renumber them")
    annotations = api.dataset.get("annotations", [])
    for entry in annotations:
        if entry.get("iscrowd") in (None, ""):
            entry["iscrowd"] = 0
        if not isinstance(entry["iscrowd"], (int, float)):
            raise UserError(
                f"annotation {entry['id']!r} of the annotation file has iscrowd={entry['iscrowd']!r}: write 0, or 1 "
                "for a region to ignore"
            )
    ids = Counter(entry["id"] for entry in annotations)
    if len(ids) < len(annotations) or not all(is_id(number) and 0 < number <= _LARGEST for number in ids):
        for number, entry in enumerate(annotations, 1):
            entry["id"] = number
        api.anns = {entry["id"]: entry for entry in annotations}
    return api


def exact(key: str, ids: list[Any]) -> Any:
    """The ids of a list as NumPy sorts them without a change: as they are, or an array of objects.

    Raises:
        UserError: If they have no order, such as numbers and texts.
    """
    try:
        sorted(ids)
    except TypeError as error:
        raise UserError(f"{key} of the annotation file have ids of several kinds: renumber them ({error})") from error
    if np.asarray(ids).tolist() == ids:
        return ids
    array = np.empty(len(ids), dtype=object)
    array[:] = ids
    return array
