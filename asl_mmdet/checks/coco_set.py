"""A data set in COCO format as the rules see it: the file, its categories, images and annotations."""

import json
import math
import os
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from mmdet.datasets import CocoDataset
from mmengine.config import ConfigDict

from asl_mmdet.config_tree import type_name

Entry = dict[str, Any]
Size = tuple[float, float]  # width, height


def kind_of(dataset: ConfigDict) -> str:
    """The type without its scope."""
    return type_name(dataset.get("type"))


def is_id(value: Any) -> bool:
    """Whether it can be an id: an integer."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


class AnnotationFile:
    """The content of a JSON file, or why it cannot be read."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.content: Any = None
        self.error: OSError | ValueError | None = None
        try:
            self.content = json.loads(Path(path).read_bytes())
        except (OSError, ValueError) as error:  # ValueError: of JSON or of the encoding
            self.error = error

    def missing_lists(self) -> list[str]:
        """The lists of COCO's format that the file does not have."""
        content = self.content if isinstance(self.content, dict) else {}
        return [
            name
            for name in ("annotations", "categories", "images")
            if not isinstance(content.get(name), list) or not all(isinstance(entry, dict) for entry in content[name])
        ]


class CocoSet:
    """The lists of a file, and what the config says about them."""

    def __init__(self, dataset: ConfigDict, file: AnnotationFile, class_counts: dict[str, Any]) -> None:
        self.dataset = dataset
        self.path = file.path
        self.images: list[Entry] = file.content["images"]
        self.annotations: list[Entry] = file.content["annotations"]
        self.categories: list[Entry] = file.content["categories"]
        self.class_counts = class_counts  # of the heads by key; none where they are not compared
        self.metainfo = dataset.get("metainfo") or {}
        self.kind = kind_of(dataset)
        self.is_detection = self.kind != "CocoMultiLabel"
        prefix: Any = dataset.get("data_prefix") or ""
        prefix = prefix.get("img", prefix.get("img_path", "")) if isinstance(prefix, dict) else prefix
        self.folder = os.path.join(dataset.get("data_root") or "", str(prefix))
        self.objects: Counter[Any] = Counter()  # usable annotations by category, once they are counted

    @cached_property
    def names(self) -> dict[Any, str]:
        """The names of all categories by id."""
        return {entry["id"]: str(entry.get("name")) for entry in self.categories if is_id(entry.get("id"))}

    @cached_property
    def classes(self) -> list[Any] | None:
        """The classes by the config, or by MMDetection's default; None if they come from the file."""
        given = self.metainfo.get("classes")
        if given is not None:
            return None if isinstance(given, str) else list(given)
        if self.kind != "CocoDataset" or self.needs_classes:
            return None
        return list(CocoDataset.METAINFO["classes"])

    @cached_property
    def needs_classes(self) -> bool:
        """Whether MMDetection would look for COCO's 80 names where the file has others."""
        if self.kind != "CocoDataset" or self.metainfo.get("classes") is not None:
            return False
        return bool(self.names) and not set(CocoDataset.METAINFO["classes"]) & set(self.names.values())

    @cached_property
    def used(self) -> dict[Any, str]:
        """The names of the categories that are trained, by id."""
        if self.classes is None:
            return self.names
        return {number: name for number, name in self.names.items() if name in self.classes}

    @cached_property
    def image_paths(self) -> dict[Any, str]:
        """The paths of the images by id."""
        return {
            entry["id"]: os.path.join(self.folder, entry["file_name"])
            for entry in self.images
            if isinstance(entry.get("file_name"), str) and is_id(entry.get("id"))
        }

    @cached_property
    def sizes(self) -> dict[Any, Size]:
        """Width and height by id, of the images that have them."""
        return {
            entry["id"]: (entry["width"], entry["height"])
            for entry in self.images
            if is_id(entry.get("id")) and entry["id"] in self.image_paths and has_size(entry)
        }


def has_size(image: Entry) -> bool:
    """Whether the entry of an image has a width and a height above 0."""
    return all(is_number(image.get(key)) and image[key] > 0 for key in ("width", "height"))


class Annotation(NamedTuple):
    """One annotation of a set."""

    entry: Entry
    coco: CocoSet

    @property
    def where(self) -> str:
        """How it is called in a message."""
        return f"annotation {self.entry.get('id')}"

    @property
    def size(self) -> Size | None:
        """Width and height of its image."""
        return self.coco.sizes.get(self.entry["image_id"])
