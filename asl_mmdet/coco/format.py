"""What all readers of files in COCO format share: how JSON is read, and what an id may be."""

import codecs
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from asl_mmdet.errors import UserError, stand_in

TO_UTF8 = "Save it as UTF-8 without a byte order mark: python tools/fix_annotations.py {} OUT.json does."
RENUMBER = "python tools/fix_annotations.py {} OUT.json renumbers them."
LVIS_URL = "http://images.cocodataset.org/"  # what MMDetection takes off an address
_MARKS = {
    codecs.BOM_UTF8: "UTF-8 with a byte order mark",
    codecs.BOM_UTF32_LE: "UTF-32",  # before UTF-16, whose mark is the first half of this one
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
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
        OSError: If it cannot be opened.
        UserError: If it is not JSON, or is compressed.
    """
    return parse_json(Path(path).read_bytes())


def parse_json(content: bytes) -> Any:
    """The same, of the bytes of a file."""
    for start, kind in _COMPRESSED.items():
        if content.startswith(start):
            raise UserError(f"it is compressed ({kind}): unpack it first")
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:  # of JSON or of the encoding
        raise UserError(stand_in(content) or str(error)) from error


def foreign_encoding(content: bytes) -> str:
    """The encoding of a JSON file, if it is not UTF-8 without a byte order mark, which is what MMDetection reads."""
    for mark, name in _MARKS.items():
        if content.startswith(mark):
            return name
    encoding = json.detect_encoding(content)  # by the zeros of ASCII's characters
    return "" if encoding == "utf-8" else encoding.upper()


def file_of(image: Mapping[str, Any]) -> str | None:
    """The file of an image by its record: LVIS v1 has its address instead of a ``file_name``."""
    name = image.get("file_name", image.get("coco_url"))
    return name.removeprefix(LVIS_URL) if isinstance(name, str) and name else None


def is_id(value: Any) -> bool:
    """Whether it can be the id of an image, a category or an annotation.

    That is a whole number of any size and sign. It may be written as 1.0, as pandas writes it where a column has gaps.
    """
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


LISTS = ("images", "annotations", "categories")


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
        raise UserError(f"{name} has no list {', '.join(missing)}: it must be in COCO format")


def check_ids(content: Mapping[str, Any], path: str, *keys: str) -> None:
    """Check the ids of the entries of some lists.

    Raises:
        UserError: If one cannot be an id. It names the entry and the way out.
    """
    for key in keys:
        for i, entry in enumerate(content[key]):
            if not is_id(entry.get("id")):
                raise UserError(f"{key}[{i}].id={entry.get('id')!r} is no whole number. {RENUMBER.format(path)}")


def check_own_ids(content: Mapping[str, Any], path: str, *keys: str) -> None:
    """Check that no two entries of a list have one id.

    Raises:
        UserError: If they have, or if one cannot be an id. It names the entry and the way out.
    """
    check_ids(content, path, *keys)
    for key in keys:
        seen: set[int] = set()
        for i, entry in enumerate(content[key]):
            if entry["id"] in seen:
                fix = RENUMBER.format(path) if key == "annotations" else "Give each its own."
                raise UserError(f"{key}[{i}].id={entry['id']!r} is there twice. {fix}")
            seen.add(entry["id"])


def folded(name: Any) -> str:
    """A name without the differences that people do not see: of case and of white space."""
    return " ".join(str(name).casefold().split())
