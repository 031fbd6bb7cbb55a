"""From a folder in any of the formats to annotations/train.json, val.json and images/."""

import os
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from asl_mmdet.coco.fix_annotations import OF_CATEGORIES
from asl_mmdet.coco.format import folded, of_images, write_json
from asl_mmdet.coco.importing import coco_files, voc, yolo
from asl_mmdet.coco.importing.folder import Content, Folder, Notes
from asl_mmdet.coco.importing.split import group_of, split_images
from asl_mmdet.errors import UserError

FORMATS: dict[str, ModuleType] = dict(coco=coco_files, yolo=yolo, voc=voc)
SPLITS = ("train", "val", "test")


@dataclass
class Imported:
    """What was read and written.

    Args:
        format: The name of the format, and what told it.
        contents: The contents of the files by split.
        notes: What was not read, or otherwise than it is written.
        split: In words how the validation images were chosen.
        linked: How many images are hard links.
        copied: How many were copied.
    """

    format: str
    contents: dict[str, Content]
    notes: Notes
    split: str
    linked: int = 0
    copied: int = 0

    def counts(self) -> list[tuple[str, dict[str, int]]]:
        """The boxes of every class in each split."""
        rows: dict[str, dict[str, int]] = {}
        for split, content in self.contents.items():
            found = Counter(entry["category_id"] for entry in content["annotations"])
            for category in content["categories"]:
                rows.setdefault(category["name"], {})[split] = found[category["id"]]
        return list(rows.items())


def import_dataset(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    format: str | None = None,
    val_share: float = 0.2,
    seed: int = 0,
    group_by: str | None = None,
    copy: bool = False,
) -> Imported:
    """Write ``out/annotations/train.json``, ``val.json``, ``test.json`` where there is one, and ``out/images/``.

    A validation split of the source stays as it is. Without one, images are split off the training images
    (:func:`~asl_mmdet.coco.importing.split.split_images`). Nothing is written where something is wrong with the source;
    ``annotations`` and ``images`` of ``out`` are replaced only once their successors are complete.

    Args:
        source: The folder to read.
        out: The folder to write.
        format: 'coco', 'yolo' or 'voc'; found out by default.
        val_share: Share of the images for validation, in (0, 1).
        seed: Seed of the split.
        group_by: What keeps images on one side: 'folder' or a regular expression
            (:func:`~asl_mmdet.coco.importing.split.group_of`).
        copy: Copy the images. By default they are hard links, which take no room, and copies where the file system
            has no links.

    Raises:
        UserError: If the form is unknown or could be several, something in it cannot be read, or one folder is in the
            other. It says what.
    """
    source, out = Path(source), Path(out)
    here, there = source.resolve(), out.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise UserError(f"out={out} and source={source} are in one another: name a folder beside it")
    folder = Folder(source)
    try:
        kind, why = recognise(folder, format)
        contents = {split: content for split, content in FORMATS[kind].read(folder).items() if content["images"]}
        _check_splits(folder, contents)
        contents = _same_categories(folder, contents)
        contents, words = _with_validation(folder, contents, val_share, seed, group_by)
    except UserError as error:  # what was not read may be why
        raise UserError("\n  ".join([str(error), *folder.notes.lines()])) from error
    imported = Imported(f"{FORMATS[kind].NAME}: {why}", contents, folder.notes, words)
    _write(folder, out, imported, copy)
    return imported


def recognise(folder: Folder, kind: str | None = None) -> tuple[str, str]:
    """The format of a folder, and what tells it.

    Raises:
        UserError: If it is none, several, or not the given one; says what was looked for.
    """
    found = {name: why for name, reader in FORMATS.items() if (why := reader.signs(folder))}
    if kind is not None and kind not in found:
        raise UserError(
            f"{folder.root} is not {FORMATS[kind].NAME}: looked for {FORMATS[kind].LOOKED_FOR}. There are "
            f"{folder.summary()}"
        )
    if kind is not None:
        return kind, found[kind]
    if not found:
        looked = "".join(f"\n    {name}: {reader.LOOKED_FOR}" for name, reader in FORMATS.items())
        raise UserError(
            f"{folder.root} is in none of the formats that can be read. Looked for{looked}\nThere are "
            f"{folder.summary()}"
        )
    if len(found) > 1:
        what = " and ".join(f"{name} ({why})" for name, why in found.items())
        raise UserError(f"{folder.root} can be read as {what}: choose one with --format")
    return next(iter(found.items()))


def _check_splits(folder: Folder, contents: dict[str, Content]) -> None:
    shown = ", ".join(f"{split or 'no split'} ({len(content['images'])} images)" for split, content in contents.items())
    if not contents:
        raise UserError(f"{folder.root} has no image that can be read: there are {folder.summary()}")
    if "" in contents and contents.keys() & {"train", "val"}:
        names = [image["file_name"] for image in contents[""]["images"][:3]]
        raise UserError(
            f"{folder.root} has {shown}. Put the images without a split ({', '.join(names)}, ...) into the folder of "
            "one, or move them away"
        )
    if not contents.keys() & {"", "train"}:
        raise UserError(
            f"{folder.root} has {shown}, and nothing to train on. If the training images are beside it, name the "
            "folder above; to train on these, give their folder or file the name train"
        )
    if not any(content["annotations"] for content in contents.values()):
        raise UserError(f"{folder.root} has {shown}, and no box in them")


def _same_categories(folder: Folder, contents: dict[str, Content]) -> dict[str, Content]:
    """The contents with the categories of all of them, in the order in which they come."""
    ordered = {split: contents[split] for split in ("", *SPLITS) if split in contents}
    for group in _groups(ordered):
        folder.notes.add("categories that are a group of the others, as Roboflow writes it, left out", repr(group))
        for split, content in ordered.items():
            ordered[split] = {**content, "categories": [c for c in content["categories"] if c["name"] != group]}
    union: dict[str, dict[str, Any]] = {}
    for content in ordered.values():
        for category in content["categories"]:
            union.setdefault(folded(category["name"]), {**category, "id": len(union) + 1})
    return {split: _with_categories(folder, split, content, union) for split, content in ordered.items()}


def _with_categories(folder: Folder, split: str, content: Content, union: dict[str, dict[str, Any]]) -> Content:
    """A content whose categories are the given ones, which are by folded name."""
    listed = {folded(category["name"]): category["name"] for category in content["categories"]}
    for key, category in union.items():
        if key not in listed:
            folder.notes.add("classes that a split does not list, added to it", f"{category['name']!r} to {split}")
    for category in content["categories"]:
        if category["name"] != (name := union[folded(category["name"])]["name"]):
            folder.notes.add("classes written in two ways, joined", f"{category['name']!r} as {name!r}")
    ids = {category["id"]: union[folded(category["name"])]["id"] for category in content["categories"]}
    images = []
    for image in content["images"]:
        lists = {key: [ids.get(one, one) for one in image[key]] for key in OF_CATEGORIES if image.get(key)}
        images.append({**image, **lists})
    annotations = [{**entry, "category_id": ids[entry["category_id"]]} for entry in content["annotations"]]
    return {**content, "images": images, "annotations": annotations, "categories": list(union.values())}


def _groups(contents: dict[str, Content]) -> list[str]:
    """Categories without a box that are the supercategory of others."""
    categories = [category for content in contents.values() for category in content["categories"]]
    above = {c["supercategory"] for c in categories if c.get("supercategory") != c["name"] and "supercategory" in c}
    used = {name for content in contents.values() for name in _annotated(content)}
    return [name for name in dict.fromkeys(c["name"] for c in categories) if name in above and name not in used]


def _annotated(content: Content) -> set[str]:
    names = {category["id"]: category["name"] for category in content["categories"]}
    return {names[entry["category_id"]] for entry in content["annotations"]}


def _with_validation(
    folder: Folder, contents: dict[str, Content], share: float, seed: int, group_by: str | None
) -> tuple[dict[str, Content], str]:
    """The contents with a split for validation, and in words where it is from."""
    if "val" in contents:
        _note_shared_groups(folder, contents, group_by)
        return contents, "val is that of the source"
    whole = contents.pop("", None) or contents.pop("train")
    classes: dict[Any, set[Any]] = {image["id"]: set() for image in whole["images"]}
    for entry in whole["annotations"]:
        classes[entry["image_id"]].add(entry["category_id"])
    groups = [group_of(image["file_name"], group_by) for image in whole["images"]]
    chosen = set(split_images(list(classes.values()), share, seed, groups))
    val = {image["id"] for place, image in enumerate(whole["images"]) if place in chosen}
    words = f"val is {len(val)} of {len(groups)} images, stratified by class, with seed {seed}"
    if len(set(groups)) < len(groups):
        words += f"; {len(groups)} images in {len(set(groups))} groups, each on one side"
    return {"train": of_images(whole, classes.keys() - val), "val": of_images(whole, val), **contents}, words


def _note_shared_groups(folder: Folder, contents: dict[str, Content], group_by: str | None) -> None:
    seen: dict[str, str] = {}
    for split, content in contents.items():
        names = [image["file_name"] for image in content["images"]]
        for group in {key for name in names if (key := group_of(name, group_by)) != name}:
            if seen.setdefault(group, split) != split:
                place = f"{group!r} in {seen[group]} and {split}"
                folder.notes.add("groups of images that the source has in several splits", place)


# Writing -------------------------------------------------------------------------------------------------------------


def _write(folder: Folder, out: Path, imported: Imported, copy: bool) -> None:
    """Write all into a folder in ``out``, and put it in its place once it is complete."""
    new = out / ".importing"
    _remove(new)
    try:
        paths = sorted({image["file_name"] for content in imported.contents.values() for image in content["images"]})
        names = dict(zip(paths, short_names([str(folder.path(path)) for path in paths]), strict=True))
        for path, name in names.items():
            target = new / "images" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if copy or not _link(folder.path(path), target):
                shutil.copyfile(folder.path(path), target)
                imported.copied += 1
            else:
                imported.linked += 1
        for split, content in imported.contents.items():
            images = [{**image, "file_name": names[image["file_name"]]} for image in content["images"]]
            imported.contents[split] = {**content, "images": images}
            write_json(new / "annotations" / f"{split}.json", imported.contents[split])
        for part in ("annotations", "images"):
            _remove(out / part)
            (new / part).rename(out / part)
    finally:
        _remove(new)


def short_names(paths: list[str]) -> list[str]:
    """New names of files: their own where all differ, else their paths below the folder that they share.

    Example:
        >>> short_names(["train/images/a.jpg", "valid/images/b.jpg"])
        ['a.jpg', 'b.jpg']
        >>> short_names(["x/train/a.jpg", "x/valid/a.jpg"])
        ['train/a.jpg', 'valid/a.jpg']
    """
    names = [os.path.basename(path) for path in paths]
    if len({name.casefold() for name in names}) == len(names):
        return names
    paths = [os.path.abspath(path) for path in paths]
    shared = os.path.commonpath([os.path.dirname(path) for path in paths])
    return [os.path.relpath(path, shared).replace(os.sep, "/") for path in paths]


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _link(path: Path, target: Path) -> bool:
    try:
        os.link(os.path.realpath(path), target)
    except OSError:  # another file system, or one without links
        return False
    return True
