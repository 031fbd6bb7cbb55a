"""The share of objects without a box after an audit has added boxes to some of the annotation files."""

import mmap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mmengine import load

from asl_mmdet.coco.known_categories import is_complete
from asl_mmdet.config.tree import annotation_path, find_datasets

SOURCE = "audit_labels"  # what marks an annotation of the audit, and the key of its records in a file


class Labelled(NamedTuple):
    """How much of some images is labelled.

    Args:
        boxes: The annotated boxes, without ignored ones and those of complete images.
        added: How many of them an audit added.
        ignored: How many ignored boxes it added.
    """

    boxes: int = 0
    added: int = 0
    ignored: int = 0

    @property
    def by_audit(self) -> int:
        """How many boxes of both kinds an audit added."""
        return self.added + self.ignored

    def share_left(self, share: float, seen: "Labelled") -> float:
        """The share of the objects of these images that has no box, not even an ignored one.

        Before the audits, these images lacked boxes as those did where the share was seen.

        Args:
            share: The share there, in [0, 1).
            seen: How much is labelled there.
        """
        before = seen.boxes - seen.added
        if not before or not seen.by_audit + self.by_audit:
            return share
        missing_before = share / (1 - share) * seen.boxes + seen.by_audit
        missing = missing_before / before * (self.boxes - self.added) - self.by_audit
        return max(missing, 0) / (max(missing, 0) + self.boxes)


def labelled(*dataloaders: Any) -> list[Labelled]:
    """How much of the images of each dataloader's config is labelled, by its files in COCO's format.

    Zeros if no audit added to any of these files.
    """
    files = [set(_coco_files(dataloader)) for dataloader in dataloaders]
    if not any(map(_has_record, set().union(*files))):
        return [Labelled()] * len(dataloaders)
    contents = [[_of_content(load(file)) for file in sorted(some)] for some in files]
    return [Labelled(*map(sum, zip(*some, strict=True))) for some in contents]


def _coco_files(dataloader: Any) -> Iterator[Path]:
    for _, dataset in find_datasets(dataloader, ""):
        file = Path(annotation_path(dataset))
        if file.suffix == ".json" and file.is_file() and file.stat().st_size:
            yield file


def _has_record(file: Path) -> bool:
    """Whether an audit has changed the file, without the time and memory that a large one takes to read."""
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(f'"{SOURCE}"'.encode()) >= 0


def _of_content(coco: dict[str, Any]) -> Labelled:
    complete = {image["id"] for image in coco["images"] if is_complete(image)}
    boxes = sum(not one.get("iscrowd") and one["image_id"] not in complete for one in coco["annotations"])
    records = records_of(coco)
    return Labelled(boxes, _added(records, as_ignore=False), _added(records, as_ignore=True))


def records_of(coco: dict[str, Any]) -> list[dict[str, Any]]:
    """What each audit has done to the content of an annotation file."""
    records = coco.get(SOURCE) or []
    return [records] if isinstance(records, dict) else records  # one record, as checkouts before 0.2.0 wrote it


def _added(records: Iterable[dict[str, Any]], as_ignore: bool) -> int:
    return sum(record["added"] for record in records if bool(record.get("as_ignore")) == as_ignore)
