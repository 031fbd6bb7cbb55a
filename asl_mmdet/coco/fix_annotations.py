"""Fix a COCO-format file where there is only one way to do so: ids, flags, areas, and the order of its categories."""

import os
from collections import Counter
from typing import Any

from pycocotools.mask import frPyObjects, toBbox

from asl_mmdet.coco.annotation_file import is_number
from asl_mmdet.coco.file_names import FileFinder
from asl_mmdet.coco.format import check_lists, folded, is_id
from asl_mmdet.errors import UserError

Content = dict[str, Any]
Entry = dict[str, Any]
_FLAGS = {"": 0, "0": 0, "false": 0, "none": 0, "null": 0, "nan": 0, "1": 1, "true": 1}
OF_CATEGORIES = ("known_categories", "neg_category_ids", "not_exhaustive_category_ids")  # of an image's record


def fix_annotations(
    content: Any, like: Any = None, corners: bool = False, folder: str | None = None
) -> tuple[Content, list[str]]:
    """A content that MMDetection, pycocotools and this project read alike.

    - Categories of one name are joined. With ``like`` they are named and ordered as there, and lacking ones are added.
    - Ids that are no whole numbers are given anew, and so are those of annotations where one is 0 or is there twice.
      References follow, written as text or not. An annotation of an image or a category that is not listed is left out:
      a new id could be what it names.
    - With ``folder``, a ``file_name`` that is not there becomes that of the file that it means.
    - ``iscrowd`` and ``ignore`` become 0 or 1, boxes, areas and sizes numbers. A missing box is that around the mask,
      and a missing area is width x height.

    Args:
        content: The content of the file; it is not changed.
        like: The content of the training file, for one of another split.
        corners: The boxes are x1, y1, x2, y2.
        folder: Where the images are.

    Returns:
        The content, and what was changed, in words.

    Raises:
        UserError: If a list is missing, or something can be meant in several ways. It says where.

    Example:
        >>> entry = dict(id=0, image_id="7", category_id=2.0, bbox=[1, 1, 4, 2])
        >>> coco = dict(images=[dict(id=7)], annotations=[entry], categories=[dict(id=2, name="cat")])
        >>> fix_annotations(coco)[0]["annotations"]
        [{'id': 1, 'image_id': 7, 'category_id': 2, 'bbox': [1, 1, 4, 2], 'area': 8, 'iscrowd': 0}]
    """
    check_lists("the file", content)
    if like is not None:
        check_lists("the file to be like", like)
    changes: Counter[str] = Counter()
    categories, category_ids = _categories(content["categories"], like and like["categories"], changes)
    images, image_ids = _images(content["images"], category_ids, changes)
    category_ids, image_ids = _without_zeros(category_ids), _without_zeros(image_ids)
    if folder is not None:
        _find_files(images, folder, changes)
    annotations, unlisted = [], list[str]()
    for i, entry in enumerate(content["annotations"]):
        references = dict(
            image_id=_found(entry.get("image_id"), image_ids),
            category_id=_found(entry.get("category_id"), category_ids),
        )
        if None in references.values():
            unlisted.append(f"{entry.get('id')} with {' and '.join(f'{key}={entry.get(key)!r}' for key in references)}")
            continue
        new = {**entry, **references}
        _fix_box(new, corners, f"annotations[{i}]")
        _fix_flags(new, f"annotations[{i}]")
        changes.update(f"{key} of annotations" for key in new.keys() - {"id"} if not _is_same(entry, new, key))
        annotations.append(new)
    if unlisted and not annotations:
        raise UserError(f"no annotation is of an image and a category that it lists, such as annotation {unlisted[0]}")
    _number(annotations, changes)
    changed = [f"{number} {what}" for what, number in sorted(changes.items()) if number]
    if unlisted:
        changed.append(
            f"{len(unlisted)} annotations of what the file does not list, left out: {'; '.join(unlisted[:3])}"
        )
    return {**content, "images": images, "annotations": annotations, "categories": categories}, changed


def _is_same(old: Entry, new: Entry, key: str) -> bool:
    return key in old and type(old[key]) is type(new[key]) and bool(old[key] == new[key])


def _key(value: Any) -> str:
    """What ids that mean the same have in common: 1, 1.0 and '1'."""
    if isinstance(value, str):
        value = value.strip()
        return value.removesuffix(".0") if value.removesuffix(".0").lstrip("-").isdecimal() else value
    return str(int(value)) if is_id(value) else repr(value)


def _found(value: Any, ids: dict[str, int]) -> int | None:
    """The new id of what a reference names, with leading zeros or without."""
    key = _key(value)
    return ids.get(key, ids.get(str(int(key))) if key.isdecimal() else None)


def _without_zeros(ids: dict[str, int]) -> dict[str, int]:
    """The ids by what they were, and also by their numbers where only one entry has that number."""
    numbers = Counter(int(key) for key in ids if key.isdecimal())
    return {str(int(key)): new for key, new in ids.items() if key.isdecimal() and numbers[int(key)] == 1} | ids


def _new_ids(name: str, entries: list[Entry], changes: Counter[str]) -> list[int]:
    """The ids of entries: as they are where all are whole numbers, else from 1."""
    found = Counter(_key(entry.get("id")) for entry in entries)
    if repeated := [number for number, times in found.items() if times > 1]:
        raise UserError(f"{name} have the id {repeated[0]} more than once: what belongs to which cannot be told")
    if all(is_id(entry.get("id")) for entry in entries):
        return _whole(name, entries, changes)
    changes[f"ids of {name}"] += len(entries)
    return list(range(1, len(entries) + 1))


def _whole(name: str, entries: list[Entry], changes: Counter[str]) -> list[int]:
    """Ids without the point of 1.0."""
    changes[f"ids of {name} written with a point"] += sum(isinstance(entry["id"], float) for entry in entries)
    return [int(entry["id"]) for entry in entries]


def _images(images: list[Entry], category_ids: dict[str, int], changes: Counter[str]) -> tuple[list[Entry], Any]:
    fixed, ids = [], {}
    for image, number in zip(images, _new_ids("images", images, changes), strict=True):
        ids[_key(image.get("id"))] = number
        lists = {key: [_category(one, category_ids) for one in image[key]] for key in OF_CATEGORIES if image.get(key)}
        sizes: Entry = {
            key: _number_of(image[key], f"{key} of an image") for key in ("width", "height") if key in image
        }
        changes["sizes of images"] += any(sizes[key] is not image[key] for key in sizes)
        fixed.append({**image, "id": number, **lists, **sizes})
    return fixed, ids


def _find_files(images: list[Entry], folder: str, changes: Counter[str]) -> None:
    finder = FileFinder(folder)
    for image in images:
        name = image.get("file_name")
        if isinstance(name, str) and not finder.has(os.path.join(folder, name)):
            found = finder.find(name)
            changes["file names" if found else "file names whose file was not found, left as they are"] += 1
            image["file_name"] = found[0] if found else name


def _category(one: Any, ids: dict[str, int]) -> Any:
    """A category of an image's record, which may be named."""
    return one if isinstance(one, str) else ids.get(_key(one), one)


def _categories(categories: list[Entry], like: Any, changes: Counter[str]) -> tuple[list[Entry], dict[str, int]]:
    """The categories, a name each, and their ids by the old ones."""
    wanted = {folded(entry.get("name")): entry for entry in like or []}
    by_name: dict[Any, Entry] = {}
    ids: dict[str, int] = {}
    for entry, number in zip(categories, _new_ids("categories", categories, changes), strict=True):
        name = wanted.get(folded(entry.get("name")), entry).get("name")
        changes["names of categories"] += name != entry.get("name")
        changes["categories joined"] += name in by_name
        kept = by_name.setdefault(name, {**entry, "id": number, "name": name})
        ids[_key(entry.get("id"))] = kept["id"]
    if like is None:
        return list(by_name.values()), ids
    order = [entry.get("name") for entry in like]
    for entry in like:
        if entry.get("name") not in by_name:
            changes["categories added"] += 1
            free = max([0, *(one["id"] for one in by_name.values())]) + 1
            by_name[entry.get("name")] = {**entry, "id": free}
    fixed = sorted(by_name.values(), key=lambda one: order.index(one["name"]) if one["name"] in order else len(order))
    changes["categories at another place"] += sum(a is not b for a, b in zip(fixed, by_name.values(), strict=True))
    return fixed, ids


def _fix_box(entry: Entry, corners: bool, where: str) -> None:
    box = entry.get("bbox") or _around_mask(entry.get("segmentation"))
    if not isinstance(box, list) or len(box) != 4:
        return
    box = [_number_of(value, f"{where}.bbox") for value in box]
    if corners:
        x1, y1, x2, y2 = box
        if x2 <= x1 or y2 <= y1:
            raise UserError(f"{where}.bbox={box}: these are no corners x1, y1, x2, y2; leave --corners out")
        box = [x1, y1, x2 - x1, y2 - y1]
    area = _number_of(entry["area"], f"{where}.area") if entry.get("area") not in (None, "") else 0
    entry["bbox"], entry["area"] = box, area if is_number(area) and area > 0 else box[2] * box[3]


def _around_mask(mask: Any) -> list[float] | None:
    """The box around polygons or an RLE; None where there is neither."""
    try:
        if isinstance(mask, dict):
            counts, size = mask["counts"], mask["size"]
            rle = frPyObjects(mask, *size) if isinstance(counts, list) else dict(size=size, counts=counts)
            box = toBbox(rle).tolist()
        else:
            points = [polygon for polygon in mask if len(polygon) >= 6]
            x, y = ([float(value) for polygon in points for value in polygon[start::2]] for start in (0, 1))
            box = [min(x), min(y), max(x) - min(x), max(y) - min(y)]
    except (KeyError, TypeError, ValueError):
        return None
    return box if min(box[2:]) > 0 else None


def _number_of(value: Any, where: str) -> Any:
    """A number that may be written as text."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError as error:
        raise UserError(f"{where}: {value!r} is no number") from error


def _fix_flags(entry: Entry, where: str) -> None:
    for key in ("iscrowd", *(["ignore"] if "ignore" in entry else [])):
        value = entry.get(key)
        if is_number(value) or isinstance(value, bool):
            entry[key] = int(value != 0)
        else:
            text = str("" if value is None else value).strip().casefold()
            if text not in _FLAGS:
                raise UserError(f"{where}.{key}={value!r}: write 0, or 1 for a region to ignore")
            entry[key] = _FLAGS[text]


def _number(annotations: list[Entry], changes: Counter[str]) -> None:
    ids = [entry.get("id") for entry in annotations]
    if all(is_id(number) and number != 0 for number in ids) and len(set(ids)) == len(ids):
        numbers = _whole("annotations", annotations, changes)
    else:
        numbers = list(range(1, len(annotations) + 1))
        changes["ids of annotations"] += len(annotations)
    for entry, number in zip(annotations, numbers, strict=True):
        entry["id"] = number
