"""Pascal VOC: an XML file for every image."""

import os
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any
from xml.etree import ElementTree

from asl_mmdet.coco.importing.folder import (
    Content,
    Folder,
    add_box,
    add_image,
    empty_content,
    folder_split,
    need_supervision,
)
from asl_mmdet.errors import UserError

NAME = "Pascal VOC"
LOOKED_FOR = "an .xml with the root <annotation> for every image"


def signs(folder: Folder) -> str:
    """What tells that a folder is in this form; empty if nothing does."""
    first = next((name for name in folder.ending_in(".xml") if _root(folder, name) is not None), "")
    return f"the root <annotation> in {first}" if first else ""


def read(folder: Folder) -> dict[str, Content]:
    """The contents by split; '' is that of images without one.

    supervision parses the objects; one that it refuses is noted, and the others are read. Its
    ``DetectionDataset.from_pascal_voc`` would stop at the first one, does not read ``difficult``, and goes by the
    images of a folder, so that a file without an image is left out.

    Raises:
        UserError: If no file has an image or an object, or it cannot be told which image is whose.
    """
    need_supervision()
    xml_of, classes = _pairs(folder)
    for image in folder.images:
        if image not in xml_of:
            folder.notes.add("images without an .xml, left out", image)
    splits = _splits(folder)
    contents: dict[str, Content] = {}
    for image, name in xml_of.items():
        for split in _splits_of(folder, splits, image):
            content = contents.setdefault(split, empty_content(classes))
            _add(folder, content, image, name, _root(folder, name))  # read again: all at once take a lot of memory
    return contents


def _pairs(folder: Folder) -> tuple[dict[str, str], list[str]]:
    found: dict[str, str] = {}
    classes: set[str] = set()
    for name in folder.ending_in(".xml"):
        root = _root(folder, name)
        if root is None:
            folder.notes.add("XML files that are no annotation of an image, not read", name)
        elif not (image := _image_of(folder, name, root)):
            folder.notes.add("XML files whose image is not there, left out", name)
        elif image in found:
            raise UserError(f"{found[image]} and {name} are both of {image}: keep one of them")
        else:
            found[image] = name
            classes.update(filter(None, map(_class_of, root.findall("object"))))
    if not found:
        raise UserError(f"no .xml of {folder.root} has an image beside it: there are {folder.summary()}")
    if not classes:
        raise UserError(f"the .xml files of {folder.root} have no object with a name")
    return found, sorted(classes)


def _root(folder: Folder, name: str) -> Any:
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import parse

    try:
        root = parse(folder.path(name)).getroot()
    except (ElementTree.ParseError, DefusedXmlException, OSError):
        return None
    return root if root is not None and root.tag == "annotation" else None


def _class_of(obj: Any) -> str:
    return (obj.findtext("name") or "").strip()


def _image_of(folder: Folder, name: str, root: Any) -> str | None:
    """The image of a file: the one of its name that is nearest, else the one that it names."""
    alike = folder.stems.get(PurePosixPath(name).stem, [])
    if not alike:
        found = folder.finder.find((root.findtext("filename") or "").strip() or name)
        return found[0] if found and found[0] in folder.stems.get(PurePosixPath(found[0]).stem, []) else None
    if len(alike) == 1:
        return alike[0]
    near = {image: len(os.path.commonpath(["/" + image, "/" + name])) for image in alike}
    best = [image for image in alike if near[image] == max(near.values())]
    if len(best) > 1:
        raise UserError(f"{name} can be of {' and '.join(best)}: keep one of them")
    return best[0]


def _splits(folder: Folder) -> dict[str, set[str]]:
    """The names of images by the lists in ImageSets/Main, of all years of a VOCdevkit."""
    found: dict[str, set[str]] = {}
    for name in folder.files:
        path = PurePosixPath(name)
        if path.match("ImageSets/Main/*.txt") and path.stem in ("train", "val", "trainval", "test"):
            lines = map(str.strip, folder.text(name).splitlines())
            found.setdefault(path.stem, set()).update(filter(None, lines))
    if rest := found.pop("trainval", set()).difference(*found.values()):
        found.setdefault("train", set()).update(rest)
    return found


def _splits_of(folder: Folder, splits: dict[str, set[str]], image: str) -> Iterator[str]:
    if not splits:
        yield folder_split(image)
        return
    path = PurePosixPath(image)
    found = [split for split, names in splits.items() if names & {path.stem, path.name}]
    if not found:
        folder.notes.add("images in no list of ImageSets/Main, left out", image)
    yield from found


def _add(folder: Folder, content: Content, image: str, name: str, root: Any) -> None:
    from supervision.dataset.formats.pascal_voc import detections_from_xml_obj

    if (size := folder.size(image)) is None:
        return
    if (written := _written_size(root)) not in (None, size):
        place = f"{image}: {size[0]} x {size[1]}, not {written[0]} x {written[1]}"
        folder.notes.add("images of another size than their .xml says, whose boxes may be wrong", place)
    image_id = add_image(content, image, size)
    ids = {category["name"]: category["id"] for category in content["categories"]}
    for number, obj in enumerate(root.findall("object"), 1):
        where = f"{name}, object {number}"
        alone = ElementTree.Element("annotation")
        alone.append(obj)
        try:
            found, _ = detections_from_xml_obj(alone, [], size)
            category = ids[_class_of(obj)]
        except (ValueError, KeyError) as error:
            folder.notes.add("objects that cannot be read, left out", f"{where}: {error}")
            continue
        if any(float(obj.findtext(f"bndbox/{a}max")) < float(obj.findtext(f"bndbox/{a}min")) for a in "xy"):
            folder.notes.add("boxes with xmax < xmin or ymax < ymin, read with these exchanged", where)
        if obj.find("polygon") is not None:
            folder.notes.add("polygons, of which the box is read", where)
        is_difficult = (obj.findtext("difficult") or "0").strip() not in ("0", "")
        if is_difficult:
            folder.notes.add("difficult objects, written with iscrowd=1: neither learned nor evaluated", where)
        add_box(content, image_id, category, found.xyxy[0], int(is_difficult))


def _written_size(root: Any) -> Any:
    """Width and height by the file; None where it has none, or zeros as some tools write them."""
    try:
        size = tuple(int(float(root.findtext(f"size/{key}") or 0)) for key in ("width", "height"))
    except ValueError:
        return None
    return size if min(size) > 0 else None
