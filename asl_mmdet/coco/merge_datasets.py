"""Merge COCO-format annotation files with different classes into one; each image names its known classes."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from asl_mmdet.coco.annotation_file import is_box
from asl_mmdet.coco.boxes import Array, corners, overlaps
from asl_mmdet.coco.format import RENUMBER, check_lists, check_references, file_of, folded, is_id, told_apart
from asl_mmdet.coco.known_categories import COMPLETE, is_complete, known_categories
from asl_mmdet.errors import UserError

Content = dict[str, Any]
_KEPT = ("images", "annotations", "categories", "licenses", "info")
_SAME_IOU = 0.5  # from where boxes of one class in two files are one object
_PARTLY = "not_exhaustive_category_ids"
_POINTS = ("keypoints", "skeleton")  # of a category; the numbers of its annotations are in their order


@dataclass
class _Image:
    """An image with what all files say of it, by the new category ids."""

    paths: list[str]
    record: Content
    annotations: list[Content]
    duplicates: list[tuple[Content, int]] = field(default_factory=list)  # and the place of the one that is kept

    def join(self, other: "_Image") -> None:
        """Add what another file says of it."""
        mine, yours = self.record, other.record
        sizes = [tuple(record.get(key) for key in ("width", "height")) for record in (mine, yours)]
        if None not in sizes[0] + sizes[1] and sizes[0] != sizes[1]:
            raise UserError(
                f"{other.paths[0]}: the image {yours['file_name']!r} has width, height={sizes[1]}, and {sizes[0]} in "
                f"{self.paths[0]}. If they are different images, name a folder for every file; else correct the size"
            )
        known = {*mine["known_categories"], *yours["known_categories"]}
        partly = {*mine.get(_PARTLY, ()), *yours.get(_PARTLY, ())} - known
        self.record = {**yours, **mine, "known_categories": sorted(known), _PARTLY: sorted(partly)}
        if not partly:
            del self.record[_PARTLY]
        if not (is_complete(mine) and is_complete(yours)):
            self.record.pop(COMPLETE, None)
        self.paths += other.paths
        there = _same_object(self, other)
        self.duplicates += [(other.annotations[i], place) for i, place in there.items()]
        self.annotations += [entry for i, entry in enumerate(other.annotations) if i not in there]


def merge(files: Mapping[str, Content], prefixes: Sequence[str] | None = None) -> Content:
    """One content of several; classes go by name, and keep the order in which they come.

    Images, annotations, categories and licenses are renumbered, from 1. An image's record gets ``known_categories``,
    the ids of the classes that it was labelled for: all of its file, or as its own record says
    (:func:`asl_mmdet.coco.known_categories.known_categories`). What else a record has stays; :func:`left_out` says what
    does not.

    An image that is in several files has the annotations and the known classes of all of them. Boxes of one class in
    two files with an IoU of at least 0.5 are one object: the box of the first file is kept, and the other is listed in
    ``duplicates``, with the id of the kept one as ``duplicate_of``. The image is complete if all of its files say so.
    Without ``prefixes`` files of one folder are taken to have one folder of images, and files of several are not.

    Args:
        files: The contents by a name of each, such as the path.
        prefixes: A folder for every file, put before the ``file_name`` of its images.

    Returns:
        ``images``, ``annotations`` and ``categories``; ``info`` and ``licenses`` where a file has them; ``duplicates``
        where there are some.

    Raises:
        UserError: If a file lacks a list or a key, or uses an id or a name twice; an annotation is of no image or
            category; names differ only in case or blanks, or have other keypoints; or an image has another size in
            another file, or may be another image. It says where.

    Example:
        >>> a = dict(images=[dict(id=5, file_name="a.jpg")], annotations=[], categories=[dict(id=3, name="cat")])
        >>> b = dict(images=[dict(id=5, file_name="b.jpg")], annotations=[], categories=[dict(id=3, name="car")])
        >>> [image["known_categories"] for image in merge({"a": a, "b": b})["images"]]
        [[1], [2]]
    """
    named, prefixes = bool(prefixes), prefixes or [""] * len(files)
    if len(prefixes) != len(files):
        raise UserError(f"{len(prefixes)} folders for {len(files)} files: give one for each, in their order")
    ids = _categories(files)
    merged: Content = dict(images=[], annotations=[], categories=list(_entries(files, ids)))
    merged |= _info(files)
    licenses: list[Any] = []
    images: dict[str, _Image] = {}
    for (path, content), prefix in zip(files.items(), prefixes, strict=True):
        for image in _images(path, content, prefix, ids, _licenses(content, licenses)):
            there = images.setdefault(image.record["file_name"], image)
            if path in there.paths and there is not image:
                raise UserError(f"{path}: two images have file_name={image.record['file_name']!r}: join them first")
            if there is not image:
                if not named and os.path.dirname(path) != os.path.dirname(there.paths[0]):
                    raise UserError(
                        f"the image {image.record['file_name']!r} is in {there.paths[0]} and in {path}, which lie in "
                        "different folders, so it may be two images. Name the folder of each file's images by "
                        "--folders: the same folder twice if it is one image, such as --folders . ."
                    )
                there.join(image)
    duplicates: list[Content] = []
    for image_id, image in enumerate(images.values(), 1):
        first = len(merged["annotations"]) + 1
        merged["images"].append({**image.record, "id": image_id})
        merged["annotations"] += [
            {**entry, "id": number, "image_id": image_id} for number, entry in enumerate(image.annotations, first)
        ]
        duplicates += [
            {**entry, "image_id": image_id, "duplicate_of": first + place} for entry, place in image.duplicates
        ]
    return merged | (dict(licenses=licenses) if licenses else {}) | (dict(duplicates=duplicates) if duplicates else {})


def _images(
    path: str, content: Content, prefix: str, ids: Mapping[str, int], licenses: Mapping[Any, int]
) -> Iterator[_Image]:
    names = {c["id"]: c["name"] for c in content["categories"]}
    images = _by_id(path, content, "images", "file_name")
    check_references(content, path)
    annotations: dict[Any, list[Content]] = {number: [] for number in images}
    for i, entry in enumerate(content["annotations"]):
        if entry["image_id"] not in images or entry["category_id"] not in names:
            raise UserError(
                f"{path}: annotations[{i}] is of image_id={entry['image_id']!r} and category_id="
                f"{entry['category_id']!r}, and the file lacks one of them"
            )
        annotations[entry["image_id"]].append(entry)
    for number, image in images.items():
        record = _record(path, image, annotations[number], names, ids)
        record["file_name"] = os.path.normpath(os.path.join(prefix, image["file_name"]))
        if record.get("license") in licenses:
            record["license"] = licenses[record["license"]]
        yield _Image([path], record, [{**a, "category_id": ids[names[a["category_id"]]]} for a in annotations[number]])


def _same_object(image: _Image, other: _Image) -> dict[int, int]:
    """The places of the other's annotations that the image has already, and where it has them; each is taken once."""
    iou = overlaps(_corners(image), _corners(other))
    for i, entry in enumerate(image.annotations):
        iou[i] *= [_kind(entry) == _kind(one) for one in other.annotations]
    found: dict[int, int] = {}
    while iou.size and iou.max() >= _SAME_IOU:
        i, j = (int(place) for place in np.unravel_index(iou.argmax(), iou.shape))
        found[j] = i
        iou[i], iou[:, j] = 0, 0
    return found


def _corners(image: _Image) -> Array:
    """The boxes (N, 4); the same for all annotations that have none, which are labels of the image."""
    boxes = [entry.get("bbox", (0, 0, 1, 1)) for entry in image.annotations]
    for box in boxes:
        if not is_box(box):
            raise UserError(
                f"{image.paths[-1]}: a box of {image.record['file_name']!r} is bbox={box!r}, and must be "
                "[x, y, width, height]"
            )
    return corners(boxes)


def _kind(entry: Content) -> tuple[Any, ...]:
    """What two annotations of one object have in common."""
    return entry["category_id"], bool(entry.get("iscrowd")), bool(entry.get("ignore")), "bbox" in entry


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
        check_lists(path, content)
        names = [category["name"] for category in _by_id(path, content, "categories", "name").values()]
        if repeated := [name for name, times in Counter(names).items() if times > 1]:
            raise UserError(f"{path} has the category {repeated[0]!r} more than once: join them first")
        for name in names:
            first, where = spelt.setdefault(folded(name), (name, path))
            if first != name:
                mine, theirs = told_apart(name, first)
                raise UserError(f"{path} has the category {mine}, and {where} has {theirs}: write them alike")
            ids.setdefault(name, len(ids) + 1)
    return ids


def _by_id(path: str, content: Content, key: str, needed: str) -> dict[Any, dict[str, Any]]:
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
    path: str, image: dict[str, Any], own: list[dict[str, Any]], names: dict[int, str], ids: Mapping[str, int]
) -> dict[str, Any]:
    """An image's record with the new ids of its known classes instead of the old fields."""
    try:
        known = known_categories(image, {a["category_id"] for a in own if not a.get("ignore")}, names)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    said = ("known_categories", "neg_category_ids", _PARTLY)
    record = {key: value for key, value in image.items() if key not in said}
    partly = sorted({ids[names[a["category_id"]]] for a in own if a["category_id"] not in known})
    record["known_categories"] = sorted(ids[names[i]] for i in known)
    return {**record, _PARTLY: partly} if partly else record
