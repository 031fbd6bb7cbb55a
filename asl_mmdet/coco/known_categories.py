"""Which classes an image was labelled for, by its record in a COCO-format file."""

from collections.abc import Collection, Mapping
from typing import Any

from asl_mmdet.errors import UserError

META_KEY = "known_classes"  # of a data sample's metainfo: the indices of the classes, sorted
COMPLETE = "complete"  # key of an image's record: all objects of its known classes are known to have a box


def is_complete(image: Mapping[str, Any]) -> bool:
    """Whether all objects of an image, of the classes it was labelled for, are known to have a box.

    Raises:
        UserError: If its record says neither true nor false.
    """
    value = image.get(COMPLETE, False)
    if not isinstance(value, bool):
        raise UserError(
            f"image {image.get('file_name', image.get('id'))} has {COMPLETE}={value!r}: write true or false, or leave "
            "it out"
        )
    return value


def known_categories(image: Mapping[str, Any], annotated: Collection[int], names: Mapping[int, str]) -> set[int]:
    """The categories for which all objects of an image were labelled, so that the rest of it is background.

    By the first of these that the record has:

    - ``known_categories``, a list of names or ids;
    - ``neg_category_ids``, as in LVIS and Open Images: these, which are not in the image, and the annotated ones;
    - neither: all categories of the file.

    ``not_exhaustive_category_ids``, those of which only some objects have a box, are left out of any.

    Args:
        image: The record in ``images``.
        annotated: The ids of the categories that the image has annotations of.
        names: All categories of the file, by id.

    Raises:
        UserError: If the record names a category that the file has not, or the image has an annotation of a category
            that it was not labelled for.
    """
    partly = _ids(image, "not_exhaustive_category_ids", names)
    if "known_categories" in image:
        known = _ids(image, "known_categories", names)
        if wrong := sorted({names[i] for i in annotated if i in names} - {names[i] for i in known | partly}):
            raise UserError(
                f"image {image.get('file_name', image.get('id'))} has boxes of {', '.join(wrong)}, and its "
                "known_categories do not name them: add them, or remove the boxes; if only some of their objects have "
                "a box, put them into not_exhaustive_category_ids"
            )
    elif "neg_category_ids" in image:
        known = _ids(image, "neg_category_ids", names) | {i for i in annotated if i in names}
    else:
        known = set(names)
    return known - partly


def _ids(image: Mapping[str, Any], key: str, names: Mapping[int, str]) -> set[int]:
    """The categories that a field lists by id or name."""
    given = image.get(key) or []
    is_list = isinstance(given, Collection) and not isinstance(given, str)
    if not is_list or not all(isinstance(one, (int, float, str)) for one in given):
        raise UserError(f"image {image.get('id')}: {key}={given!r} is not a list of category names or ids")
    if all(isinstance(one, int) and one in names for one in given):  # a data set has millions
        return set(given)
    by_name = {name: i for i, name in names.items()}
    ids = {one if one in names else by_name.get(one) for one in given}
    if None in ids:
        wrong = [one for one in given if one not in names and one not in by_name]
        shown = ", ".join([*list(by_name)[:30], *(["..."] if len(by_name) > 30 else [])])
        raise UserError(f"image {image.get('id')}: {key} has {wrong}, and the categories of the file are {shown}")
    return {i for i in ids if i is not None}
