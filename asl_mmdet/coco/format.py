"""What all readers of files in COCO format share: how JSON is read, and what an id may be."""

import json
import os
import re
import unicodedata
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any

from asl_mmdet.errors import UserError, stand_in

TO_UTF8 = "Save it as UTF-8 without a byte order mark: python tools/fix_annotations.py {} OUT.json does."
RENUMBER = "python tools/fix_annotations.py {} OUT.json renumbers them."
JOIN = "python tools/fix_annotations.py {} OUT.json joins them."
LISTS = ("images", "annotations", "categories")
LVIS_URL = "http://images.cocodataset.org/"  # what MMDetection takes off an address
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}


def read_json(path: str | os.PathLike[str]) -> Any:
    """The content of a JSON file in UTF-8, UTF-16 or UTF-32, with a byte order mark or without.

    Raises:
        UserError: If it cannot be opened, is not JSON, or is compressed; it names the file.
    """
    try:
        return parse_json(Path(path).read_bytes())
    except (OSError, UserError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def write_json(path: str | os.PathLike[str], content: Any, indent: int | None = None) -> None:
    """Write all of a JSON file or none of it; its folder is made.

    Raises:
        UserError: If it cannot be written; it names the file.
    """
    target = Path(os.path.realpath(path))
    partial = target.with_name(f"{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(content, indent=indent), encoding="utf-8")
        partial.replace(target)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error}") from error


def parse_json(content: bytes) -> Any:
    """The content of a JSON file by its bytes.

    Raises:
        UserError: If it is not JSON, or is compressed.
    """
    for start, kind in _COMPRESSED.items():
        if content.startswith(start):
            raise UserError(f"it is compressed ({kind}): unpack it first")
    try:
        return json.loads(content, object_pairs_hook=_without_repeats if _may_repeat(content) else None)
    except UserError:  # one of ours
        raise
    except (ValueError, RecursionError) as error:  # of JSON or of the encoding
        raise UserError(stand_in(content) or _why_not(error)) from error


def _why_not(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"it is not in UTF-8, in which JSON is written: save it so ({error})"
    several = "it is several JSON documents, one behind the other: " if str(error).startswith("Extra data") else ""
    return several + str(error)


def _may_repeat(content: bytes) -> bool:
    """Whether one of COCO's lists may be there twice; a look that takes no time, before one that does."""
    return any(len(re.findall(rb'"%b"\s*:' % key.encode(), content)) > 1 for key in LISTS)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, of which JSON's readers would keep only the last of two lists."""
    found = dict(pairs)
    if len(found) < len(pairs) and (twice := [key for key in LISTS if [k for k, _ in pairs].count(key) > 1]):
        raise UserError(
            f"it has the list {twice[0]} twice, and only the last would be read: write them into files of their own "
            "and join these with tools/merge_datasets.py"
        )
    return found


def foreign_encoding(content: bytes) -> str:
    """The encoding of a JSON file, if it is not UTF-8 without a byte order mark, which is what MMDetection reads."""
    encoding = json.detect_encoding(content)  # by its byte order mark, or the zeros of ASCII's characters
    return {"utf-8": "", "utf-8-sig": "UTF-8 with a byte order mark"}.get(encoding, encoding.upper())


def file_of(image: Mapping[str, Any]) -> str | None:
    """The file of an image by its record: LVIS v1 has its address instead of a ``file_name``."""
    name = image.get("file_name", image.get("coco_url"))
    return name.removeprefix(LVIS_URL) if isinstance(name, str) and name else None


def of_images(content: dict[str, Any], ids: Container[Any]) -> dict[str, Any]:
    """A content with only some of its images, by their ids, and with their annotations."""
    images = [image for image in content["images"] if image["id"] in ids]
    return {**content, "images": images, "annotations": [a for a in content["annotations"] if a["image_id"] in ids]}


def is_id(value: Any) -> bool:
    """Whether it can be the id of an image, a category or an annotation.

    That is a whole number of any size and sign. It may be written as 1.0, as pandas writes it where a column has gaps.
    """
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


def missing_lists(content: Any, keys: Iterable[str] = LISTS) -> list[str]:
    """The lists of COCO's format that a content does not have."""
    content = content if isinstance(content, Mapping) else {}
    return [
        key
        for key in keys
        if not isinstance(content.get(key), list) or not all(isinstance(entry, dict) for entry in content[key])
    ]


def check_lists(name: str, content: Any, keys: Iterable[str] = LISTS) -> None:
    """Check that a content has the lists of COCO's format.

    Raises:
        UserError: If one is missing; it starts with the name.
    """
    if missing := missing_lists(content, keys):
        entries = content.get(missing[0]) if isinstance(content, Mapping) else None
        for i, entry in enumerate(entries if isinstance(entries, list) else []):
            if not isinstance(entry, dict):
                raise UserError(f"{name}: {missing[0]}[{i}] is {entry!s:.40}, and no object: remove it")
        raise UserError(f"{name} has no list {', '.join(missing)}: it must be in COCO format")


def check_ids(content: Mapping[str, Any], path: str, *keys: str, are_own: bool = False) -> None:
    """Check the ids of the entries of some lists.

    Raises:
        UserError: If one cannot be an id, or two entries of a list have one id where ``are_own``. It names the entry
            and the way out.
    """
    for key in keys:
        seen: set[int] = set()
        for i, entry in enumerate(content[key]):
            if not is_id(entry.get("id")):
                raise UserError(f"{key}[{i}].id={entry.get('id')!r} is no whole number. {RENUMBER.format(path)}")
            if are_own and entry["id"] in seen:
                fix = RENUMBER.format(path) if key == "annotations" else "Give each its own."
                raise UserError(f"{key}[{i}].id={entry['id']!r} is there twice. {fix}")
            seen.add(entry["id"])


def check_references(content: Mapping[str, Any], path: str) -> None:
    """Check what annotations name as their image and their category, whether the file lists it or not.

    Raises:
        UserError: If it cannot be an id. It names the annotation and the way out.
    """
    for i, entry in enumerate(content["annotations"]):
        for key in ("image_id", "category_id"):
            if not is_id(entry.get(key)):
                raise UserError(
                    f"annotations[{i}].{key}={entry.get(key)!r} is no whole number. {RENUMBER.format(path)}"
                )


def folded(name: Any) -> str:
    """A name without the differences that people do not see: of case, of white space, and of how Unicode writes it."""
    return " ".join(_printed(name).casefold().split())


def _printed(name: Any) -> str:
    """A name as it is printed: one way to write an accent, and no characters without a width."""
    text = unicodedata.normalize("NFKC", str(name))
    return "".join(character for character in text if unicodedata.category(character) != "Cf")


def told_apart(*names: str) -> list[str]:
    """Names in quotes; where some are printed alike, with what they are made of instead of the letters."""
    quote = ascii if len({_printed(name) for name in names}) < len(names) else repr
    return [quote(name) for name in names]
