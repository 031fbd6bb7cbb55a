"""Predictions for the images of a folder, as COCO's JSON."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmdet.datasets import BaseDetDataset
from mmdet.utils import get_test_pipeline_cfg
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope
from mmengine.utils import ProgressBar
from torch.utils.data import DataLoader

from asl_mmdet.coco.file_names import entries_below
from asl_mmdet.coco.format import check_ids, check_lists, file_of, read_json
from asl_mmdet.coco.image_files import DARK, SUFFIXES, ImageFile, Loading, opens_with_pillow
from asl_mmdet.config.tree import type_name
from asl_mmdet.deploy.detector import Detector
from asl_mmdet.errors import UserError, first_line, stand_in

# Folders that systems and programs make: of a Mac's archives, of Synology's thumbnails, of Windows' deleted files.
SYSTEM_FOLDERS = ("__MACOSX", "@eaDir", "$RECYCLE.BIN")
DOUBT = "lost_range"  # of a data sample's metainfo: in words, what is left of an image of more than 8 bits
PATIENCE = 8  # so many images may fail in the model before one is predicted


@dataclass(frozen=True)
class Found:
    """The files of a folder.

    Args:
        images: Paths from the folder, sorted.
        others: Those that are passed over: their names do not end as an image's.
        hidden: Those that are passed over: they or a folder of theirs are hidden, or a system's.
    """

    images: list[str]
    others: list[str]
    hidden: list[str]


def find_images(folder: str | Path) -> Found:
    """The images in a folder and in those below it, linked ones too.

    Raises:
        UserError: If there is no such folder, it cannot be listed, or there is no image in it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UserError(f"FOLDER {folder}: there is no such folder")
    found = Found([], [], [])
    try:
        names = sorted(name for name, _ in entries_below(root))
    except OSError as error:
        raise UserError(f"FOLDER {folder} cannot be listed: {error}") from error
    for name in names:
        path = Path(name)
        if any(part.startswith(".") or part in SYSTEM_FOLDERS for part in path.parts):
            found.hidden.append(name)
        else:
            (found.images if path.suffix.lower() in SUFFIXES else found.others).append(name)
    if not found.images:
        raise UserError(f"FOLDER {folder}: there is no image in it ({', '.join(SUFFIXES)})")
    return found


@dataclass(frozen=True)
class Failed:
    """An image without a prediction, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        """The line that the command prints."""
        return f"{self.name}: {self.reason}"


class ImageFolder(BaseDetDataset):
    """Images without labels, for the pipeline of a test. What cannot be prepared becomes a :class:`Failed`.

    Args:
        root: The folder.
        names: Paths from it.
        classes: The names of the labels.
        pipeline: As in a config.
    """

    def __init__(self, root: Path, names: Sequence[str], classes: Sequence[str], pipeline: Any) -> None:
        self._names, self._paths = names, [str(root / name) for name in names]
        self._loading, self._by_pillow = Loading.of(pipeline), Compose(_with_pillow(pipeline))
        super().__init__(metainfo=dict(classes=tuple(classes)), pipeline=pipeline, test_mode=True)

    def load_data_list(self) -> list[dict[str, Any]]:
        """One record an image; it is loaded by the pipeline."""
        return [dict(img_id=i, img_path=path, instances=[]) for i, path in enumerate(self._paths)]

    def __getitem__(self, index: int) -> Any:
        """What the pipeline makes of an image, or why it makes nothing of it."""
        name, file = self._names[index], ImageFile(self._paths[index], self._loading)
        if not file.content:
            return Failed(name, "missing there, or empty")
        if file.is_truncated:
            return Failed(name, "truncated: copy it again")
        try:
            return self._prepared(self.pipeline, index, file)
        except Exception as error:  # of any transform, for an image that it was not made for
            if file.pixels is not None:
                return Failed(name, first_line(error))
        if not opens_with_pillow(file.content):
            return Failed(name, stand_in(file.content) or "cannot be decoded")
        try:
            return self._prepared(self._by_pillow, index, file)
        except Exception as error:
            return Failed(name, first_line(error))

    def _prepared(self, pipeline: Compose, index: int, file: ImageFile) -> Any:
        packed = pipeline(self.get_data_info(index))
        if packed["inputs"].dtype == torch.uint8 and packed["inputs"].max() < DARK and file.lost_range:
            packed["data_samples"].set_metainfo({DOUBT: file.lost_range})
        return packed


def _with_pillow(pipeline: Any) -> Any:
    """The same pipeline, which decodes by Pillow: it knows formats that OpenCV does not."""
    pipeline = deepcopy(pipeline)
    for block in pipeline:
        if type_name(block.get("type")) == "LoadImageFromFile":
            block["imdecode_backend"] = "pillow"
    return pipeline


def predict_images(
    model: Detector, root: str | Path, names: Sequence[str], *, batch_size: int = 8, num_workers: int = 0
) -> Iterator[Any]:
    """What a detector finds in images, in their order.

    Args:
        model: Of :func:`asl_mmdet.deploy.detector.load_detector`, or of ``mmdet.apis.init_detector``.
        root: The folder.
        names: Paths of images from there.
        batch_size: Images at a time.
        num_workers: Processes that load images; 0 is this one.

    Yields:
        A ``DetDataSample`` an image, with boxes (N, 4) as x1, y1, x2, y2 in pixels of the image; or a :class:`Failed`
        where it cannot be read, prepared or predicted.

    Raises:
        Exception: What the model raises, if it raises for every image of the first ones.
    """
    with DefaultScope.overwrite_default_scope(model.cfg.get("default_scope") or "mmdet"):
        dataset = ImageFolder(Path(root), names, model.dataset_meta["classes"], get_test_pipeline_cfg(model.cfg))
    loader: DataLoader[Any] = DataLoader(dataset, batch_size, num_workers=num_workers, collate_fn=list)
    predictor = _Predictor(model)
    bar = ProgressBar(len(names))
    for first, items in zip(range(0, len(names), batch_size), loader, strict=True):
        yield from predictor.predict(items, names[first : first + batch_size])
        bar.update(len(items))
    print()
    predictor.end()


class _Predictor:
    """Predicts batches; where one fails, its images one by one."""

    def __init__(self, model: Detector) -> None:
        self.model = model
        self.predicted = self.refused = 0
        self.error: Exception | None = None  # the model's first one

    def predict(self, items: Sequence[Any], names: Sequence[str]) -> Iterator[Any]:
        """A sample or a :class:`Failed` for every item."""
        good = [item for item in items if not isinstance(item, Failed)]
        samples = iter(self._step(good) if good else [])
        for item, name in zip(items, names, strict=True):
            sample = item if isinstance(item, Failed) else next(samples)
            if isinstance(sample, Exception) and len(good) > 1:
                (sample,) = self._step([item])  # alone it may be predicted, as with less memory
            yield self._refuse(sample, name) if isinstance(sample, Exception) else sample

    def _step(self, items: Sequence[Any]) -> list[Any]:
        """The samples, or as often the error of the model."""
        try:
            with torch.no_grad():
                samples: list[Any] = self.model.test_step(pseudo_collate(items))
        except Exception as error:  # of any model, for images that it was not made for
            self.error = self.error or error
            return [error] * len(items)
        self.predicted += len(samples)
        return samples

    def _refuse(self, error: Exception, name: str) -> Failed:
        self.refused += 1
        if not self.predicted and self.refused >= PATIENCE:
            raise error  # it is not the images
        return Failed(name, first_line(error))

    def end(self) -> None:
        """Raise what the model raised if it predicted nothing."""
        if self.error and not self.predicted:
            raise self.error


class CocoResult:
    """A data set in COCO's format, to which the predictions of one image after the other are added.

    Ids are from 1, those of images in the order of their names; an image without a prediction leaves its id out. Scores
    below ``min_score`` are left out.
    """

    def __init__(self, classes: Sequence[str], min_score: float = 0.0) -> None:
        self.min_score = min_score
        categories = [dict(id=i, name=name) for i, name in enumerate(classes, start=1)]
        self.content: dict[str, Any] = dict(images=[], categories=categories, annotations=[])

    def add(self, number: int, name: str, sample: Any) -> None:
        """Add what was found in an image, with a ``score`` in every annotation.

        Args:
            number: Its id.
            name: Its ``file_name``.
            sample: A ``DetDataSample``; its boxes become x, y, width, height in pixels.
        """
        annotations = self.content["annotations"]
        height, width = sample.ori_shape[:2]
        self.content["images"].append(dict(id=number, file_name=name, width=int(width), height=int(height)))
        found = sample.pred_instances
        for (x1, y1, x2, y2), score, label in zip(
            found.bboxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True
        ):
            if score < self.min_score:
                continue
            box = [round(value, 4) for value in (x1, y1, x2 - x1, y2 - y1)]
            area = round(box[2] * box[3], 4)
            row = dict(id=len(annotations) + 1, image_id=number, category_id=label + 1, bbox=box, area=area, iscrowd=0)
            annotations.append(dict(**row, score=round(score, 6)))


def _by_name(entries: list[tuple[Any, Any]]) -> dict[str, int]:
    """Ids by name, UserError where a name is missing or has several."""
    found: dict[str, int] = {}
    for name, number in entries:
        if not isinstance(name, str) or name in found:
            raise UserError(f"{name!r} with the id {number!r} has no name of its own")
        found[name] = number
    return found


class Ids:
    """The ids that an annotation file gives to images and categories, for predictions that it is to be compared with.

    Args:
        path: A file in COCO's format.
        classes: The names of the labels; the file must have them all.

    Raises:
        UserError: If the file cannot be read, or lacks a class.
    """

    def __init__(self, path: str | Path, classes: Sequence[str]) -> None:
        try:
            content = read_json(path)
            check_lists("the file", content, ("images", "categories"))
            check_ids(content, str(path), "images", "categories", are_own=True)
            images = [(file_of(image), image.get("id")) for image in content["images"]]
            categories = [(category.get("name"), category.get("id")) for category in content["categories"]]
            self.images: dict[str, int] = _by_name(images)
            by_name = _by_name(categories)
        except UserError as error:
            raise UserError(f"--ids-of {path} cannot be used: {error}") from error
        if not images:
            raise UserError(f"--ids-of {path} has no image")
        if missing := [name for name in classes if name not in by_name]:
            raise UserError(f"--ids-of {path} lacks classes of the model: {', '.join(missing[:5])}")
        self._categories = [by_name[name] for name in classes]

    def results(self, coco: dict[str, Any]) -> list[dict[str, Any]]:
        """The list that ``pycocotools.coco.COCO.loadRes`` and COCO's servers take, of the content of a result."""
        names = {image["id"]: image["file_name"] for image in coco["images"]}
        return [
            dict(
                image_id=self.images[names[row["image_id"]]],
                category_id=self._categories[row["category_id"] - 1],
                bbox=row["bbox"],
                score=row["score"],
            )
            for row in coco["annotations"]
        ]
