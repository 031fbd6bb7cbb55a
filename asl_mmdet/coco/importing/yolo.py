"""YOLO: a data.yaml or a list of class names, with or without Darknet's obj.data, and a text file for every image."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from asl_mmdet.coco.importing.folder import (
    EXAMPLES,
    Content,
    Folder,
    add_box,
    add_image,
    empty_content,
    folder_split,
    need_supervision,
)
from asl_mmdet.errors import UserError

NAME = "YOLO"
LOOKED_FOR = (
    "a .yaml with names (data.yaml), or classes.txt, _darknet.labels or a .names (obj.names), and a text file of boxes "
    "for an image"
)
_YAML = (".yaml", ".yml")
_LISTS = ("classes.txt", "_darknet.labels")  # and what ends in .names
_KEYS = dict(train=("train",), val=("val", "valid", "validation"), test=("test",))


def signs(folder: Folder) -> str:
    """What tells that a folder is in this form; empty if nothing does."""
    yamls = list(_yamls(folder))
    if yamls:
        return f"class names in {' and '.join(yamls)}"
    lists = _class_lists(folder)
    labels = (name for name in folder.ending_in(".txt") if PurePosixPath(name).stem in folder.stems)
    label = next((name for name in labels if _is_label_file(folder, name)), "")
    return f"class names in {' and '.join(lists)} and boxes in {label}" if lists and label else ""


def read(folder: Folder) -> dict[str, Content]:
    """The contents by split; '' is that of images without one.

    supervision parses the lines; one that it refuses is noted, and the others are read. Its
    ``DetectionDataset.from_yolo`` would stop at the first one, read no lists of images and no folders of folders,
    leave out label files without an image, and keep a mask of the whole image for every polygon.

    Raises:
        UserError: If the class names or a split cannot be read, there is no label file, or a label file has a class
            that has no name.
    """
    need_supervision()
    source, data = _description(folder)
    names = _names(source, data)
    if data.get("nc", len(names)) != len(names):
        folder.notes.add("numbers of classes that are not those of the names", f"{source}: nc: {data['nc']}")
    reader = _Labels(folder, names, _keypoints(source, data))
    contents: dict[str, Content] = {}
    lists, named = (source, data) if source.endswith(_YAML) else _darknet(folder)
    for split, image in _images(folder, lists, named):
        content = contents.setdefault(split, empty_content(list(names.values())))
        reader.read(content, image)
    reader.check(source)
    return contents


def _yamls(folder: Folder) -> Iterator[str]:
    for name in folder.ending_in(*_YAML):
        try:
            content = yaml.safe_load(folder.text(name))
        except yaml.YAMLError as error:
            folder.notes.add("YAML files that cannot be read", f"{name}: {' '.join(str(error).split())}")
            continue
        if not isinstance(content, dict):
            continue
        if isinstance(names := content.get("names"), (list, dict)):
            yield name
        elif content.keys() & {"names", "nc", *_KEYS}:
            shown = f"names: {names}" if "names" in content else "no names"
            folder.notes.add("YAML files without a list of class names, not read", f"{name}: {shown}")


def _class_lists(folder: Folder) -> list[str]:
    return [name for name in folder.files if PurePosixPath(name).name in _LISTS or name.endswith(".names")]


def _description(folder: Folder) -> tuple[str, dict[str, Any]]:
    """The file that names the classes, and its content."""
    found = list(_yamls(folder)) or _class_lists(folder)
    if len({folder.text(name) for name in found}) > 1:
        raise UserError(f"{' and '.join(found)} name classes in different ways: move all but one out of {folder.root}")
    if found[0].endswith(_YAML):
        return found[0], yaml.safe_load(folder.text(found[0]))
    return found[0], dict(names=[line.strip() for line in folder.text(found[0]).splitlines() if line.strip()])


def _darknet(folder: Folder) -> tuple[str, dict[str, Any]]:
    """Darknet's obj.data, and the lists of images that it names; nothing where that of the training is not there."""
    for source in folder.ending_in(".data"):
        pairs = (line.partition("=")[::2] for line in folder.text(source).splitlines())
        named = {key.strip(): value.strip() for key, value in pairs if value.strip()}
        lists = {key: named[key] for keys in _KEYS.values() for key in keys if key in named}
        gone = [key for key in lists if _place(folder, source, {}, lists[key]) is None]
        for key in gone:
            folder.notes.add("lists of images that are not there", f"{source}: {key} = {lists.pop(key)}")
        if "train" in lists:
            return source, lists
    return "", {}


def _names(source: str, data: dict[str, Any]) -> dict[int, str]:
    """The class names by the numbers that label files have."""
    names = data["names"]
    try:
        found = {int(key): str(name) for key, name in (names.items() if isinstance(names, dict) else enumerate(names))}
    except (TypeError, ValueError) as error:
        raise UserError(f"{source}: names={names!r:.80}: the keys must be the numbers of the classes") from error
    if not found:
        raise UserError(f"{source}: names is empty: name the classes")
    return dict(sorted(found.items()))


def _keypoints(source: str, data: dict[str, Any]) -> int:
    """How many numbers of keypoints follow a box."""
    shape = data.get("kpt_shape")
    if shape is None:
        return 0
    if not isinstance(shape, list) or len(shape) != 2 or not all(isinstance(one, int) and one > 0 for one in shape):
        raise UserError(
            f"{source}: kpt_shape={shape!r}: write the number of keypoints and of values of each, as [17, 3]"
        )
    return int(shape[0] * shape[1])


# Images --------------------------------------------------------------------------------------------------------------


def _images(folder: Folder, source: str, data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every image with its split: by data.yaml, or by its folders where that names none."""
    named = {split: value for split, keys in _KEYS.items() for key in keys if (value := data.get(key))}
    if not named:
        yield from ((folder_split(name), name) for name in folder.images)
        return
    if "train" in named and named.get("val") == named["train"]:
        folder.notes.add("splits that are the training images again, left out", f"{source}: val: {named.pop('val')}")
    seen: set[str] = set()
    for split, value in named.items():
        for one in value if isinstance(value, list) else [value]:
            place = _place(folder, source, data, str(one))
            if place is None and split == "test":  # Roboflow names one whether there is one or not
                folder.notes.add("splits that are not there", f"{source}: test: {one}")
            elif place is None:
                raise UserError(
                    f"{source}: {split}: {one} is not there, from {folder.root / source}"
                    + (f" or path: {data['path']}" if data.get("path") else "")
                    + f". There are images in {_image_folders(folder)}. Correct the line"
                    + ", or remove it to have images split off" * (split == "val")
                )
            else:
                images = list(_listed(folder, place)) if place.is_file() else _inside(folder, place)
                seen.update(images)
                yield from ((split, image) for image in images)
    for name in folder.images:
        if name not in seen:
            folder.notes.add(f"images that {source} does not name, left out", name)


def _image_folders(folder: Folder) -> str:
    found = Counter(str(PurePosixPath(name).parent) for name in folder.images)
    return ", ".join(f"{name} ({number})" for name, number in found.most_common(4)) or "no folder"


def _place(folder: Folder, source: str, data: dict[str, Any], value: str) -> Path | None:
    """The folder or list that a value of data.yaml names; Roboflow writes ../train/images for train/images."""
    here = (folder.root / source).parent
    for base in (here / str(data.get("path") or ""), here, folder.root):
        for candidate in (value, value.removeprefix("../")):
            if (base / candidate).exists():
                return Path(os.path.abspath(base / candidate))
    found = folder.finder.find(value) if value.endswith(".txt") else None
    return folder.root / found[0] if found else None


def _inside(folder: Folder, place: Path) -> list[str]:
    name = folder.below(place)
    if name == ".":
        return folder.images
    if os.path.isabs(name):
        return [f"{name}/{image}" for image in Folder(place).images]
    return [image for image in folder.images if image.startswith(name + "/")]


def _listed(folder: Folder, place: Path) -> Iterator[str]:
    """The images of a list, whose paths start from its folder or from where a training once ran."""
    for line in place.read_text(encoding="utf-8-sig").splitlines():
        if not (name := line.strip()):
            continue
        path = next(filter(os.path.isfile, (os.path.join(base, name) for base in (place.parent, folder.root))), None)
        if path is not None:
            yield folder.below(path)
        elif found := folder.finder.find(name):
            yield found[0]
        else:
            folder.notes.add(f"images of {place.name} that are not there, left out", name)


# Labels --------------------------------------------------------------------------------------------------------------


class _Labels:
    """Reads label files, and remembers which there were."""

    def __init__(self, folder: Folder, names: dict[int, str], keypoints: int) -> None:
        from supervision.dataset.formats.yolo import yolo_annotations_to_detections

        self.parse = yolo_annotations_to_detections
        self.folder, self.keypoints = folder, keypoints
        self.ids = {number: place for place, number in enumerate(names, 1)}
        self.read_files: set[str] = set()
        self.unknown: dict[int, list[str]] = defaultdict(list)

    def read(self, content: Content, image: str) -> None:
        """Add an image and its boxes to a content."""
        if (size := self.folder.size(image)) is None:
            return
        image_id = add_image(content, image, size)
        places = _label_places(image)
        label = next((place for place in places if self.folder.path(place).is_file()), None)
        if label is None:
            self.folder.notes.add("images without a label file, taken as images without an object", image)
            return
        self.read_files.add(label)
        numbered = enumerate(self.folder.text(label).splitlines(), 1)
        lines = [(f"{label}:{number}", line) for number, line in numbered if line.strip()]
        for where, category, corners in self._parse(
            [(where, self._as_box(line, where)) for where, line in lines], size
        ):
            if category in self.ids:
                add_box(content, image_id, self.ids[category], corners)
            else:
                self.unknown[category].append(where)

    def _parse(self, lines: list[tuple[str, str]], size: tuple[int, int]) -> Iterator[tuple[str, int, Any]]:
        """Where each box is, its class and corners; where one of the lines cannot be read, each is tried alone."""
        try:
            found: Any = self.parse([line for _, line in lines], size, with_masks=False)
        except ValueError as error:
            if len(lines) == 1:
                self.folder.notes.add("lines that cannot be read, left out", f"{lines[0][0]}: {error}")
            else:
                for one in lines:
                    yield from self._parse([one], size)
            return
        if lines:
            yield from zip((where for where, _ in lines), map(int, found.class_id), found.xyxy, strict=True)

    def _as_box(self, line: str, where: str) -> str:
        """A line without what is no box, which is noted."""
        values = line.split()
        if self.keypoints and len(values) == 5 + self.keypoints:
            self.folder.notes.add("keypoints, of which only the box is read", where)
            return " ".join(values[:5])
        if len(values) > 6:
            self.folder.notes.add("polygons and rotated boxes, of which the upright box around is read", where)
        if any(_is_above_one(value) for value in values[1:5]):
            self.folder.notes.add("lines with numbers above 1, read as shares of the image as YOLO has them", where)
        if len(values) > 5 and len(values) % 2 == 0:
            self.folder.notes.add("lines with a number too many, such as a score, which is not read", where)
        return line

    def check(self, source: str) -> None:
        """Note what was not read; raise an error where nothing was, or a class has no name."""
        if self.unknown:
            shown = [f"{n} (first in {at[0]}, {len(at)} in all)" for n, at in sorted(self.unknown.items())]
            more = f" and {len(shown) - EXAMPLES} more" * (len(shown) > EXAMPLES)
            raise UserError(
                f"label files have classes that {source} does not name: {', '.join(shown[:EXAMPLES])}{more}. It names "
                f"{len(self.ids)}, numbered from {min(self.ids)} to {max(self.ids)}: add the missing names in "
                "the order of the numbers, or correct the lines"
            )
        if not self.read_files:
            raise UserError(
                f"no image of {self.folder.root} has a label file. Looked for images/a.txt and labels/a.txt for "
                "images/a.jpg"
            )
        folders = Counter(str(PurePosixPath(name).parent) for name in self.read_files)
        for name in self.folder.ending_in(".txt"):
            is_beside = str(PurePosixPath(name).parent) in folders and name not in self.read_files
            if is_beside and _is_label_file(self.folder, name):
                self.folder.notes.add("label files without an image, left out", name)


def _is_above_one(value: str) -> bool:
    try:
        return float(value) > 1.01  # rounding gives a little more than 1
    except ValueError:
        return False  # of a line that is refused


def _label_places(image: str) -> Iterator[str]:
    """Where the label file of an image may be: below labels/ for images/, else beside it."""
    path = PurePosixPath(image).with_suffix(".txt")
    parts = list(path.parts)
    if "images" in parts[:-1]:
        last = len(parts) - 2 - parts[-2::-1].index("images")
        yield str(PurePosixPath(*parts[:last], "labels", *parts[last + 1 :]))
    yield str(path)


def _is_label_file(folder: Folder, name: str) -> bool:
    """Whether the first line of a file is one of numbers, or there is none."""
    first = folder.text(name).strip().partition("\n")[0].split()
    try:
        return len([float(value) for value in first]) >= 5 or not first
    except ValueError:
        return False
