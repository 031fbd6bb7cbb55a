"""COCO: one JSON for all images or one for every split, as Roboflow, CVAT, Label Studio and many others write it."""

import os
import re
import shlex
from pathlib import PurePosixPath

from asl_mmdet.coco.annotation_file import has_size
from asl_mmdet.coco.fix_annotations import fix_annotations
from asl_mmdet.coco.format import file_of, of_images
from asl_mmdet.coco.importing.folder import Content, Folder, split_of
from asl_mmdet.errors import UserError

NAME = "COCO"
LOOKED_FOR = "a .json with the lists images, annotations and categories"
_OTHER_TASK = re.compile(r"(person_keypoints|captions|panoptic|stuff|labels|image_info)_")
_SAMPLE = 50  # images by which the folder that file names start from is told


def signs(folder: Folder) -> str:
    """What tells that a folder is in this form, and who wrote it; empty if nothing does."""
    files = _files(folder)
    if not files:
        return ""
    name, content = next(iter(files.items()))
    info = content.get("info")
    author = ""
    if PurePosixPath(name).name == "_annotations.coco.json":
        author = ", named as Roboflow does"
    elif isinstance(info, dict) and info.get("contributor") == "Label Studio":
        author = ", written by Label Studio"
    elif any("attributes" in entry for entry in content["annotations"][:1]):
        author = ", with attributes as CVAT writes them"
    return f"images, annotations and categories in {' and '.join(files)}{author}"


def read(folder: Folder) -> dict[str, Content]:
    """The contents by split; '' is that of a file without one.

    Raises:
        UserError: If several files are of one split, a file cannot be mended, none of its images is there, or the
            folder needs no import.
    """
    _refuse_own_form(folder)
    contents: dict[str, Content] = {}
    source: dict[str, str] = {}
    for name, content in _files(folder).items():
        split = split_of(str(PurePosixPath(name).with_suffix("")))
        if split in source:
            what = f"are both of the split {split}" if split else "name no split, such as train or val"
            raise UserError(
                f"{source[split]} and {name} {what}. Move one out of {folder.root}, or join files of different images: "
                f"python tools/merge_datasets.py {folder.root / source[split]} {folder.root / name} --out ..."
            )
        source[split] = name
        for i, entry in enumerate(content["categories"]):
            if not isinstance(entry.get("name"), str) or not entry["name"].strip():
                raise UserError(f"{name}: categories[{i}].name={entry.get('name')!r}: write a text")
        try:
            mended, changes = fix_annotations(content)
        except UserError as error:
            raise UserError(f"{name}: {error}") from error
        for change in changes:
            folder.notes.add("mended", f"{name}: {change}")
        contents[split] = _with_files(folder, name, mended, split)
    listed = {image["file_name"] for content in contents.values() for image in content["images"]}
    for image in folder.images:
        if image not in listed:
            folder.notes.add("images that no .json lists, left out", image)
    return contents


def _files(folder: Folder) -> dict[str, Content]:
    return {n: c for n, c in folder.coco_files.items() if not _OTHER_TASK.match(PurePosixPath(n).name)}


def _refuse_own_form(folder: Folder) -> None:
    """There is nothing to do for a folder that ``configs/small`` reads as it is."""
    files = _files(folder)
    if files.keys() - {"annotations/test.json"} == {"annotations/train.json", "annotations/val.json"}:
        images = [image for content in files.values() for image in content["images"]]
        if all(folder.path(f"images/{file_of(image)}").is_file() for image in images):
            raise UserError(f"{folder.root} is in this form already: COCO_FOLDER={shlex.quote(str(folder.root))}")


def _with_files(folder: Folder, name: str, content: Content, split: str) -> Content:
    """A content whose images are there, each named by its path below the folder."""
    start = _start(folder, name, content, split)
    images = []
    for image in content["images"]:
        path = _locate(folder, start, file_of(image) or "")
        if not path:
            folder.notes.add("images that are not there, left out with their boxes", f"{name}: {file_of(image)}")
        elif has_size(image):
            images.append({**image, "file_name": path})
        elif size := folder.size(path):
            images.append({**image, "file_name": path, "width": size[0], "height": size[1]})
    if content["images"] and not images:
        raise UserError(
            f"{name}: none of its {len(content['images'])} images is below {folder.root}, such as "
            f"{file_of(content['images'][0])}. Export it with the images, or put them there"
        )
    return of_images({**content, "images": images}, {image["id"] for image in images})


def _start(folder: Folder, name: str, content: Content, split: str) -> str:
    """The folder that the file names of a JSON start from: the one below which most of them are."""
    wanted = [file for image in content["images"][:_SAMPLE] if (file := file_of(image))]
    places = {str(parent) for image in folder.images for parent in PurePosixPath(image).parents} | {"."}
    beside = str(PurePosixPath(name).parent)

    def fit(place: str) -> tuple[int, bool, bool, int]:
        found = sum(os.path.isfile(folder.root / place / file) for file in wanted)
        return found, split_of(place) == split, place == beside, -len(PurePosixPath(place).parts)

    return max(sorted(places), key=fit)


def _locate(folder: Folder, start: str, file: str) -> str | None:
    if file and os.path.isfile(path := folder.root / start / file):
        return folder.below(path)
    found = folder.finder.find(file) if file else None
    if found:
        folder.notes.add("images found by another name", f"{file}: {found[0]} ({found[1] or 'as it is'})")
    return found[0] if found else None
