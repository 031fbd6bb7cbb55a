"""A data set in COCO format as the rules see it: the file, its categories, images and annotations."""

import math
import os
from collections import Counter, defaultdict
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from mmdet.datasets import CocoDataset, LVISV05Dataset, LVISV1Dataset, Objects365V1Dataset, Objects365V2Dataset
from mmdet.registry import DATASETS
from mmengine.config import ConfigDict
from mmengine.fileio import list_from_file

from asl_mmdet.coco.format import LVIS_URL, foreign_encoding, is_id, missing_lists, parse_json
from asl_mmdet.config.tree import find_type, type_name

KNOWN_CLASSES = ("KnownClassesCoco", "KnownClassesLVIS")  # data sets whose classes go by name, and may lack some

Entry = dict[str, Any]
Size = tuple[float, float]  # width, height


def kind_of(dataset: ConfigDict) -> str:
    """The type without its scope."""
    return type_name(dataset.get("type"))


def class_of(dataset: ConfigDict) -> type[Any]:
    """The class of the type, ``object`` where MMDetection has none of that name."""
    found = find_type(DATASETS, dataset.get("type"))
    return found if isinstance(found, type) else object


def is_number(value: Any) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_box(value: Any) -> bool:
    """Whether it is a list of four finite numbers."""
    return isinstance(value, (list, tuple)) and len(value) == 4 and all(map(is_number, value))


class AnnotationFile:
    """The content of a JSON file, or why it cannot be read."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.content: Any = None
        self.error: OSError | ValueError | None = None
        self.foreign_encoding = ""  # that MMDetection does not read
        try:
            content = Path(path).read_bytes()
            self.content = parse_json(content)
            self.foreign_encoding = foreign_encoding(content)
        except (OSError, ValueError) as error:  # ValueError: of JSON or of the encoding
            self.error = error

    @property
    def is_plain(self) -> bool:
        """Whether MMDetection can read it."""
        return not self.error and not self.foreign_encoding

    def missing_lists(self) -> list[str]:
        """The lists of COCO's format that the file does not have."""
        return sorted(missing_lists(self.content))


class CocoSet:
    """The lists of a file, and what the config says about them."""

    def __init__(
        self, dataset: ConfigDict, file: AnnotationFile, class_counts: dict[str, Any], is_evaluated: bool = False
    ) -> None:
        self.dataset = dataset
        self.is_evaluated = is_evaluated
        self.path = file.path
        self.images: list[Entry] = file.content["images"]
        self.annotations: list[Entry] = file.content["annotations"]
        self.categories: list[Entry] = file.content["categories"]
        self.class_counts = class_counts  # of the heads by key; none where they are not compared
        self.metainfo = dataset.get("metainfo") or {}
        self.kind = kind_of(dataset)
        self.dataset_class = class_of(dataset)
        self.is_lvis = issubclass(self.dataset_class, LVISV05Dataset)
        self.is_detection = self.kind != "CocoMultiLabel"
        prefix: Any = dataset.get("data_prefix") or ""
        prefix = prefix.get("img", prefix.get("img_path", "")) if isinstance(prefix, dict) else prefix
        self.root = str(dataset.get("data_root") or "")
        self.folder = os.path.join(self.root, str(prefix))
        # Of usable and of ignored annotations by category, once they are counted.
        self.objects: Counter[Any] = Counter()
        self.ignored: Counter[Any] = Counter()

    @cached_property
    def names(self) -> dict[Any, str]:
        """The names of all categories by id."""
        return {entry["id"]: str(entry.get("name")) for entry in self.categories if is_id(entry.get("id"))}

    @cached_property
    def count_of_categories(self) -> Counter[Any]:
        """How many annotations each category has, of any kind."""
        return Counter(entry["category_id"] for entry in self.annotations if is_id(entry.get("category_id")))

    @cached_property
    def classes(self) -> list[Any] | None:
        """The classes by the config, or by MMDetection's default; None if they come from the file."""
        given = self.metainfo.get("classes")
        if isinstance(given, str):  # MMEngine reads such a file
            return list_from_file(given) if os.path.isfile(given) else None
        if given is not None:
            return list(given)
        if self.kind != "CocoDataset" or self.needs_classes:
            return None
        return list(CocoDataset.METAINFO["classes"])

    @cached_property
    def class_of_label(self) -> list[str]:
        """The class that each label stands for, as the data set gives labels to the categories of its file."""
        if self.kind in ("KnownClassesCoco", "CocoMultiLabel") and self.classes is not None:  # by name
            return [str(name) for name in self.classes]
        entries = [entry for entry in self.categories if is_id(entry.get("id"))]
        if self.kind == "CocoMultiLabel" or issubclass(self.dataset_class, Objects365V1Dataset):
            entries = sorted(entries, key=lambda entry: entry["id"])
        if self.is_lvis:  # all of the file, whatever metainfo says
            return [str(entry.get("name")) for entry in entries]
        return [self.names[entry["id"]] for entry in entries if entry["id"] in self.used]

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
    def repeated_names(self) -> dict[str, list[Any]]:
        """The ids of the categories that are trained and share a name, by the name; where they are not joined by it."""
        if self.kind == "CocoMultiLabel" and self.classes is not None:
            return {}
        ids: dict[str, list[Any]] = defaultdict(list)
        for number, name in self.used.items():
            ids[name].append(number)
        return {name: numbers for name, numbers in ids.items() if len(numbers) > 1}

    @cached_property
    def image_paths(self) -> dict[Any, str]:
        """The paths of the images by id."""
        files = ((entry.get("id"), self.file_of(entry)) for entry in self.images)
        return {number: os.path.join(self.folder, file) for number, file in files if is_id(number) and file}

    @property
    def file_key(self) -> str:
        """What names an image's file in its record."""
        return "coco_url" if issubclass(self.dataset_class, LVISV1Dataset) else "file_name"

    def file_of(self, image: Entry) -> str:
        """The file of an image below the folder, as the data set makes it of the record; empty without one."""
        name = image.get(self.file_key)
        if not isinstance(name, str):
            return ""
        if issubclass(self.dataset_class, LVISV1Dataset):
            return name.replace(LVIS_URL, "")
        if self.is_lvis:  # COCO's names of 2014, in the folder of 2017
            return name[-16:] if name.startswith("COCO") else name
        if issubclass(self.dataset_class, Objects365V2Dataset):
            folder, name = os.path.split(name)
            return os.path.join(os.path.basename(folder), name)
        return name

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
