"""Predictions for the images of a folder, as COCO's JSON."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from mmdet.datasets import BaseDetDataset
from mmdet.utils import get_test_pipeline_cfg
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from mmengine.utils import ProgressBar
from PIL import Image, UnidentifiedImageError
from torch.utils.data import DataLoader

from asl_mmdet.deploy.detector import Detector
from asl_mmdet.errors import UserError

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")


def find_images(folder: str | Path) -> list[str]:
    """The images in a folder and in those below it, sorted, by their paths from it.

    Raises:
        UserError: If there is no such folder, no image in it, or a file that is named as an image and is none.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UserError(f"FOLDER {folder}: there is no such folder")
    names = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not names:
        raise UserError(f"FOLDER {folder}: there is no image in it ({', '.join(SUFFIXES)})")
    check_images(root, names)
    return names


def check_images(root: Path, names: Iterable[str]) -> None:
    """Read the images' headers: an error now, not after an hour.

    Raises:
        UserError: With the files that are missing or no images.
    """
    bad = [name for name in names if not _is_image(root / name)]
    if bad:
        shown = ", ".join(bad[:5]) + (f" and {len(bad) - 5} more" if len(bad) > 5 else "")
        raise UserError(f"FOLDER {root}: missing there, or no images: {shown}. Mend or remove them")


def _is_image(path: Path) -> bool:
    try:
        with Image.open(path):
            return True
    except (OSError, UnidentifiedImageError):
        return False


class ImageFolder(BaseDetDataset):
    """Images without labels, for the pipeline of a test.

    Args:
        root: The folder.
        names: Paths from it.
        classes: The names of the labels.
        pipeline: As in a config.
    """

    def __init__(self, root: Path, names: Sequence[str], classes: Sequence[str], pipeline: Any) -> None:
        self._paths = [str(root / name) for name in names]
        super().__init__(metainfo=dict(classes=tuple(classes)), pipeline=pipeline, test_mode=True)

    def load_data_list(self) -> list[dict[str, Any]]:
        """One record an image; it is loaded by the pipeline."""
        return [dict(img_id=i, img_path=path, instances=[]) for i, path in enumerate(self._paths)]


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
        A ``DetDataSample`` an image, with boxes (N, 4) as x1, y1, x2, y2 in pixels of the image.
    """
    with DefaultScope.overwrite_default_scope(model.cfg.get("default_scope") or "mmdet"):
        dataset = ImageFolder(Path(root), names, model.dataset_meta["classes"], get_test_pipeline_cfg(model.cfg))
    loader: DataLoader[Any] = DataLoader(dataset, batch_size, num_workers=num_workers, collate_fn=pseudo_collate)
    bar = ProgressBar(len(names))
    for batch in loader:
        with torch.no_grad():
            samples = model.test_step(batch)
        yield from samples
        bar.update(len(samples))
    print()


def to_coco(samples: Iterable[Any], names: Sequence[str], classes: Sequence[str], min_score: float = 0.0) -> Any:
    """Predictions as a data set in COCO's format, with a ``score`` in every annotation.

    Args:
        samples: One an image.
        names: What becomes ``file_name``.
        classes: The names of the labels.
        min_score: Lower scores are left out.

    Returns:
        A dict of images and categories with ids from 1, and annotations with the boxes as x, y, width, height in
        pixels.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for i, (sample, name) in enumerate(zip(samples, names, strict=True), start=1):
        height, width = sample.ori_shape[:2]
        images.append(dict(id=i, file_name=name, width=int(width), height=int(height)))
        found = sample.pred_instances
        for (x1, y1, x2, y2), score, label in zip(
            found.bboxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True
        ):
            if score < min_score:
                continue
            box = [round(value, 4) for value in (x1, y1, x2 - x1, y2 - y1)]
            area = round(box[2] * box[3], 4)
            row = dict(id=len(annotations) + 1, image_id=i, category_id=label + 1, bbox=box, area=area, iscrowd=0)
            annotations.append(dict(**row, score=round(score, 6)))
    categories = [dict(id=i, name=name) for i, name in enumerate(classes, start=1)]
    return dict(images=images, categories=categories, annotations=annotations)


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
            content = json.loads(Path(path).read_text())
            self.images: dict[str, int] = {image["file_name"]: image["id"] for image in content["images"]}
            categories = {category["name"]: category["id"] for category in content["categories"]}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"--ids-of {path} is no annotation file in COCO's format ({error!r})") from error
        if missing := [name for name in classes if name not in categories]:
            raise UserError(f"--ids-of {path} lacks classes of the model: {', '.join(missing[:5])}")
        self._categories = [categories[name] for name in classes]

    def results(self, coco: dict[str, Any]) -> list[dict[str, Any]]:
        """The list that ``pycocotools.coco.COCO.loadRes`` and COCO's servers take, of what :func:`to_coco` gives."""
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
