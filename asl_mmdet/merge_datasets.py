"""Merge COCO-format annotation files with different classes into one; each image names its known classes."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from asl_mmdet.errors import UserError
from asl_mmdet.known_categories import known_categories

Content = dict[str, Any]


def merge(files: Mapping[str, Content], prefixes: Sequence[str] | None = None) -> Content:
    """One content of several; classes go by name, and keep the order in which they come.

    Images, annotations and categories are renumbered, from 1. An image's record gets ``known_categories``, the ids
    of the classes that it was labelled for: all of its file, or as its own record says
    (:func:`asl_mmdet.known_categories.known_categories`).

    Args:
        files: The contents by a name of each, such as the path.
        prefixes: A folder for every file, put before the ``file_name`` of its images.

    Returns:
        ``images``, ``annotations`` and ``categories``.

    Raises:
        UserError: If a file lacks a list or a key, or uses an id or a name twice; an annotation is of no image or
            category; names differ in case or blanks alone; or two images have one ``file_name``. It says where.

    Example:
        >>> a = dict(images=[dict(id=5, file_name="a.jpg")], annotations=[], categories=[dict(id=3, name="cat")])
        >>> b = dict(images=[dict(id=5, file_name="b.jpg")], annotations=[], categories=[dict(id=3, name="car")])
        >>> [image["known_categories"] for image in merge({"a": a, "b": b})["images"]]
        [[1], [2]]
    """
    prefixes = prefixes or [""] * len(files)
    if len(prefixes) != len(files):
        raise UserError(f"{len(prefixes)} folders for {len(files)} files: give one for each, in their order")
    ids = _categories(files)
    merged: Content = dict(images=[], annotations=[], categories=[dict(id=i, name=name) for name, i in ids.items()])
    origin: dict[str, str] = {}
    for (path, content), prefix in zip(files.items(), prefixes, strict=True):
        names = {c["id"]: c["name"] for c in content["categories"]}
        images = _by_id(path, content, "images", "file_name")
        annotations: dict[Any, list[dict[str, Any]]] = {number: [] for number in images}
        for i, entry in enumerate(content["annotations"]):
            if entry.get("image_id") not in images or entry.get("category_id") not in names:
                raise UserError(
                    f"{path}: annotations[{i}] is of image_id={entry.get('image_id')!r} and category_id="
                    f"{entry.get('category_id')!r}, and the file lacks one of them"
                )
            annotations[entry["image_id"]].append(entry)
        for number, image in images.items():
            file_name = os.path.normpath(os.path.join(prefix, image["file_name"]))
            if file_name in origin:
                raise UserError(
                    f"{path}: an image {file_name!r} is in {origin[file_name]} already. If they are different images, "
                    "name a folder for every file; if it is the same one, it must be in one file alone"
                )
            origin[file_name] = path
            record = _record(path, image, annotations[number], names, ids)
            merged["images"].append({**record, "id": len(merged["images"]) + 1, "file_name": file_name})
            for entry in annotations[number]:
                new = dict(id=len(merged["annotations"]) + 1, image_id=len(merged["images"]))
                merged["annotations"].append({**entry, **new, "category_id": ids[names[entry["category_id"]]]})
    return merged


def counts(files: Mapping[str, Content]) -> list[tuple[str, list[int | None]]]:
    """The boxes of every class in each file; None where the file does not have the class."""
    rows = []
    for name in _categories(files):
        row: list[int | None] = []
        for content in files.values():
            number = next((c["id"] for c in content["categories"] if c["name"] == name), None)
            found = Counter(a["category_id"] for a in content["annotations"])
            row.append(None if number is None else found[number])
        rows.append((name, row))
    return rows


def _categories(files: Mapping[str, Content]) -> dict[str, int]:
    """The ids of all classes by name."""
    ids: dict[str, int] = {}
    spelt: dict[str, tuple[str, str]] = {}
    for path, content in files.items():
        for key in ("images", "annotations", "categories"):
            lists = content.get(key) if isinstance(content, dict) else None
            if not isinstance(lists, list) or not all(isinstance(entry, dict) for entry in lists):
                raise UserError(f"{path} has no list {key}: it must be in COCO format")
        names = [category["name"] for category in _by_id(path, content, "categories", "name").values()]
        if repeated := [name for name, times in Counter(names).items() if times > 1]:
            raise UserError(f"{path} has the category {repeated[0]!r} more than once: join them first")
        for name in names:
            first, where = spelt.setdefault(" ".join(name.lower().split()), (name, path))
            if first != name:
                raise UserError(f"{path} has the category {name!r}, and {where} has {first!r}: write them alike")
            ids.setdefault(name, len(ids) + 1)
    return ids


def _by_id(path: str, content: Content, key: str, needed: str) -> dict[Any, dict[str, Any]]:
    """The entries of a list by id."""
    found: dict[Any, dict[str, Any]] = {}
    for i, entry in enumerate(content[key]):
        if not isinstance(entry.get(needed), str) or not isinstance(entry.get("id"), int):
            raise UserError(f"{path}: {key}[{i}] needs an integer id and a {needed}, and is {str(entry)[:60]}")
        if entry["id"] in found:
            raise UserError(f"{path}: {key}[{i}] has id={entry['id']}, and so has another: renumber them")
        found[entry["id"]] = entry
    return found


def _record(
    path: str, image: dict[str, Any], own: list[dict[str, Any]], names: dict[int, str], ids: dict[str, int]
) -> dict[str, Any]:
    """An image's record with the new ids of its known classes instead of the old fields."""
    try:
        known = known_categories(image, {a["category_id"] for a in own if not a.get("ignore")}, names)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    said = ("known_categories", "neg_category_ids", "not_exhaustive_category_ids")
    record = {key: value for key, value in image.items() if key not in said}
    partly = sorted({ids[names[a["category_id"]]] for a in own if a["category_id"] not in known})
    record["known_categories"] = sorted(ids[names[i]] for i in known)
    return {**record, "not_exhaustive_category_ids": partly} if partly else record
