"""Merge COCO-format annotation files with different classes into one; each image names its known classes."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from asl_mmdet.coco.format import RENUMBER, file_of, is_id
from asl_mmdet.coco.known_categories import known_categories
from asl_mmdet.errors import UserError

Content = dict[str, Any]
_KEPT = ("images", "annotations", "categories", "licenses", "info")
_POINTS = ("keypoints", "skeleton")  # of a category; the numbers of its annotations are in their order


def merge(files: Mapping[str, Content], prefixes: Sequence[str] | None = None) -> Content:
    """One content of several; classes go by name, and keep the order in which they come.

    Images, annotations, categories and licenses are renumbered, from 1. An image's record gets ``known_categories``,
    the ids of the classes that it was labelled for: all of its file, or as its own record says
    (:func:`asl_mmdet.coco.known_categories.known_categories`). What else a record has stays; :func:`left_out` says what
    does not.

    Args:
        files: The contents by a name of each, such as the path.
        prefixes: A folder for every file, put before the ``file_name`` of its images.

    Returns:
        ``images``, ``annotations`` and ``categories``, and ``info`` and ``licenses`` where a file has them.

    Raises:
            UserError: If a file lacks a list or a key, or uses an id or a name twice; an annotation is of no image or
            category; names differ in case or blanks alone, or have other keypoints; or two images have one
                ``file_name``. It says where.

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
    merged: Content = dict(images=[], annotations=[], categories=list(_entries(files, ids)))
    merged |= _info(files)
    licenses: list[Any] = []
    origin: dict[str, str] = {}
    for (path, content), prefix in zip(files.items(), prefixes, strict=True):
        names = {c["id"]: c["name"] for c in content["categories"]}
        images = _by_id(path, content, "images", "file_name")
        new_license = _licenses(content, licenses)
        annotations: dict[Any, list[dict[str, Any]]] = {number: [] for number in images}
        for i, entry in enumerate(content["annotations"]):
            if not _is_of(entry.get("image_id"), images) or not _is_of(entry.get("category_id"), names):
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
            if record.get("license") in new_license:
                record["license"] = new_license[record["license"]]
            merged["images"].append({**record, "id": len(merged["images"]) + 1, "file_name": file_name})
            for entry in annotations[number]:
                new = dict(id=len(merged["annotations"]) + 1, image_id=len(merged["images"]))
                merged["annotations"].append({**entry, **new, "category_id": ids[names[entry["category_id"]]]})
    return {**merged, "licenses": licenses} if licenses else merged


def left_out(files: Mapping[str, Content]) -> Iterator[str]:
    """What the files have and a merged one has not, in words."""
    for path, content in files.items():
        if keys := [key for key in content if key not in _KEPT]:
            yield f"{path}: {', '.join(keys)} left out"
    first: dict[str, tuple[str, Content]] = {}
    for path, content in files.items():
        for entry in content["categories"]:
            before, kept = first.setdefault(entry["name"], (path, entry))
            for key in entry.keys() & kept.keys() - {"id"}:
                if entry[key] != kept[key]:
                    yield (
                        f"category {entry['name']!r}: {key}={kept[key]!r} of {before} kept, {entry[key]!r} of {path} "
                        "left out"
                    )


def _is_of(number: Any, entries: Mapping[Any, Any]) -> bool:
    return is_id(number) and number in entries


def _entries(files: Mapping[str, Content], ids: Mapping[str, int]) -> Iterator[Content]:
    """The categories, each with all that a file says of it; the first file that says something decides."""
    for name, number in ids.items():
        found = [(path, c) for path, content in files.items() for c in content["categories"] if c["name"] == name]
        entry: Content = {}
        for path, one in found:
            for key in _POINTS:
                if key in one and key in entry and one[key] != entry[key]:
                    raise UserError(
                        f"{path}: the {key} of category {name!r} are {one[key]!r}, and {entry[key]!r} in a file before "
                        "it: bring them and their annotations into one order, or rename the category"
                    )
            entry = {**one, **entry}
        yield {**entry, "id": number, "name": name}


def _info(files: Mapping[str, Content]) -> Content:
    """``info``: the one that there is, or those of all files."""
    infos = {path: content["info"] for path, content in files.items() if content.get("info")}
    if not infos:
        return {}
    first = next(iter(infos.values()))
    if all(info == first for info in infos.values()):
        return dict(info=first)
    return dict(info=dict(description=f"merged from {', '.join(files)}", merged=infos))


def _licenses(content: Content, merged: list[Any]) -> dict[Any, int]:
    """Add the licenses of a file to those that there are; its ids, by the old ones."""
    new: dict[Any, int] = {}
    for entry in content.get("licenses") or []:
        if isinstance(entry, dict) and is_id(entry.get("id")):
            same = (one["id"] for one in merged if {**one, "id": entry["id"]} == entry)
            number = next(same, len(merged) + 1)
            if number > len(merged):
                merged.append({**entry, "id": number})
            new[entry["id"]] = number
    return new


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
        if needed == "file_name" and file_of(entry):
            entry = {**entry, needed: file_of(entry)}
        if not isinstance(entry.get(needed), str) or not is_id(entry.get("id")):
            raise UserError(
                f"{path}: {key}[{i}] needs a whole number as id and a {needed}, and is {str(entry)[:60]}. "
                + RENUMBER.format(path)
            )
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
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    said = ("known_categories", "neg_category_ids", "not_exhaustive_category_ids")
    record = {key: value for key, value in image.items() if key not in said}
    partly = sorted({ids[names[a["category_id"]]] for a in own if a["category_id"] not in known})
    record["known_categories"] = sorted(ids[names[i]] for i in known)
    return {**record, "not_exhaustive_category_ids": partly} if partly else record
