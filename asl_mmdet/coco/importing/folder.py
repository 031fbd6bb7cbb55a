"""What all readers share: the files of a folder, the split that a path names, and notes on what was not read."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from mmengine.utils import digit_version
from PIL import Image

from asl_mmdet.coco.file_names import FileFinder, entries_below
from asl_mmdet.coco.format import missing_lists, parse_json
from asl_mmdet.coco.image_files import ORIENTATION, SUFFIXES, ImageFile, without_pixel_limit
from asl_mmdet.compat.stack import installed_version
from asl_mmdet.errors import UserError

Content = dict[str, Any]
EXAMPLES = 3
SUPERVISION = "0.31"  # its first version whose functions read YOLO and VOC as the tests here say
_SPLITS = dict(train="train", training="train", val="val", valid="val", validation="val", test="test", testing="test")


class Notes:
    """What was not read, or otherwise than it is written: kinds, each with its places."""

    def __init__(self) -> None:
        self._places: dict[str, dict[str, None]] = defaultdict(dict)  # in their order, each once

    def add(self, kind: str, place: str) -> None:
        """Add a place to a kind."""
        self._places[kind][place] = None

    def lines(self) -> Iterator[str]:
        """A line for every kind, with its number and the first places."""
        for kind, places in self._places.items():
            more = ", ..." if len(places) > EXAMPLES else ""
            yield f"{kind}: {len(places)} ({', '.join(list(places)[:EXAMPLES])}{more})"


@dataclass
class Folder:
    """A folder of images and annotations in any form; files are named by their paths below it, with a slash.

    ``notes`` says what was not read.
    """

    root: Path
    notes: Notes = field(default_factory=Notes)

    @cached_property
    def files(self) -> list[str]:
        """All files, sorted, without hidden ones and those that macOS adds to archives."""
        entries = entries_below(self.root, lambda name: name.startswith((".", "__MACOSX")))
        return sorted(name for name, entry in entries if not entry.name.startswith("."))

    def ending_in(self, *suffixes: str) -> list[str]:
        """The files with one of the suffixes, in any case."""
        return [name for name in self.files if PurePosixPath(name).suffix.lower() in suffixes]

    @cached_property
    def images(self) -> list[str]:
        """The images."""
        return self.ending_in(*SUFFIXES)

    @cached_property
    def stems(self) -> dict[str, list[str]]:
        """The images by their names without folder and suffix."""
        found: dict[str, list[str]] = defaultdict(list)
        for name in self.images:
            found[PurePosixPath(name).stem].append(name)
        return found

    @cached_property
    def finder(self) -> FileFinder:
        """What finds a file by a name that was right elsewhere."""
        return FileFinder(str(self.root))

    @cached_property
    def coco_files(self) -> dict[str, Content]:
        """The contents of the files in COCO format."""
        found = {}
        for name in self.ending_in(".json"):
            try:
                content = parse_json(self.path(name).read_bytes())
            except (OSError, ValueError) as error:
                self.notes.add("JSON files that cannot be read", f"{name}: {error}")
                continue
            if is_coco(content):
                found[name] = content
        return found

    def path(self, name: str) -> Path:
        """The path of a file."""
        return self.root / name

    def below(self, path: str | os.PathLike[str]) -> str:
        """How a path is named here; one elsewhere stays absolute."""
        path = os.path.abspath(path)
        below = os.path.relpath(path, os.path.abspath(self.root))
        return (path if below.startswith("..") else below).replace(os.sep, "/")

    def text(self, name: str) -> str:
        """The text of a file in UTF-8, with a byte order mark or without."""
        return self.path(name).read_text(encoding="utf-8-sig", errors="replace")

    def size(self, name: str) -> tuple[int, int] | None:
        """Width and height of an image as MMDetection reads it, turned by its EXIF tag; None if it is no image."""
        try:
            with without_pixel_limit(), Image.open(self.path(name)) as image:
                pixels = None
                if image.getexif().get(ORIENTATION, 1) in range(2, 9):  # OpenCV turns some formats, by its version
                    pixels = ImageFile(str(self.path(name))).pixels
                return image.size if pixels is None else (pixels.shape[1], pixels.shape[0])
        except Exception:  # of Pillow, for a file that is broken or in a format that it does not know
            self.notes.add("images that cannot be read, left out", name)
            return None

    def summary(self) -> str:
        """What kinds of files there are."""
        kinds = Counter(PurePosixPath(name).suffix.lower() or "without a suffix" for name in self.files)
        return ", ".join(f"{number} {kind}" for kind, number in kinds.most_common(6)) or "no files"


def is_coco(content: Any) -> bool:
    """Whether a content has the three lists of COCO's format, and is one of boxes."""
    return not missing_lists(content) and all(
        "file_name" in image or "coco_url" in image for image in content["images"][:1]
    )


def split_of(path: str) -> str:
    """The split that the last such word of a path names: 'train', 'val' or 'test'; empty without one."""
    words = (_SPLITS.get(word) for word in reversed(re.findall("[a-z]+", path.lower())))
    return next(filter(None, words), "")


def folder_split(name: str) -> str:
    """The split that the folders of a file name, whatever its own name is."""
    return split_of(str(PurePosixPath(name).parent))


def empty_content(classes: list[str]) -> Content:
    """A content in COCO format without an image."""
    categories = [dict(id=number, name=name) for number, name in enumerate(classes, 1)]
    return dict(images=[], annotations=[], categories=categories)


def add_image(content: Content, name: str, size: tuple[int, int]) -> int:
    """Add an image; its id."""
    number = len(content["images"]) + 1
    content["images"].append(dict(id=number, file_name=name, width=size[0], height=size[1]))
    return number


def add_box(content: Content, image_id: int, category_id: int, corners: Any, iscrowd: int = 0) -> None:
    """Add a box by its corners, which supervision has in single precision."""
    x1, y1, x2, y2 = (float(value) for value in corners)
    box = [round(value, 3) for value in (x1, y1, x2 - x1, y2 - y1)]
    new = dict(id=len(content["annotations"]) + 1, image_id=image_id, category_id=category_id, bbox=box)
    content["annotations"].append({**new, "area": round(box[2] * box[3], 3), "iscrowd": iscrowd})


def need_supervision() -> None:
    """Check that the package that parses YOLO and VOC is there.

    Raises:
        UserError: If it is not, or is too old; with the command that installs it.
    """
    version = installed_version("supervision")
    if version is None or digit_version(version) < digit_version(SUPERVISION):
        raise UserError(
            f"YOLO and VOC are read with supervision {SUPERVISION} or newer, and here is {version or 'none'}: "
            f"pip install 'supervision>={SUPERVISION}'"
        )
