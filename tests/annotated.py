"""A small data set with annotation files to change, and what the checks find in it."""

import json
import shutil
from pathlib import Path

import pytest
from mmengine.config import Config

from asl_mmdet.checks import check_datasets
from asl_mmdet.coco.shapes import make_shapes

CONFIG = Path(__file__).parents[1] / "configs/shapes/atss_r18_asl_shapes.py"
NAMES = ("circle", "square", "star")


@pytest.fixture(scope="module", name="clean")
def clean_set(tmp_path_factory):
    root = make_shapes(tmp_path_factory.mktemp("data") / "shapes", num_train=8, num_val=6, num_classes=3)
    for split in ("train", "val"):
        path = root / f"annotations/{split}.json"
        content = json.loads(path.read_text())
        for entry, name in zip(content["categories"], NAMES, strict=True):
            entry["name"] = name
        for number, entry in enumerate(content["annotations"]):  # all classes are in both
            entry["category_id"] = 1 + number % 3
        path.write_text(json.dumps(content))
    return root


@pytest.fixture(name="root")
def copied_set(clean, tmp_path):
    return shutil.copytree(clean, tmp_path / "shapes")


def config_of(root, classes=NAMES, path=CONFIG):
    cfg = Config.fromfile(path)
    for split in ("train", "val", "test"):
        cfg[f"{split}_dataloader"].dataset.update(data_root=f"{root}/", metainfo=dict(classes=classes))
    for split in ("val", "test"):
        cfg[f"{split}_evaluator"].ann_file = f"{root}/annotations/val.json"
    cfg.model.bbox_head.num_classes = 3
    return cfg


def coco(names, images, boxes):
    """A content: names by id, file names or records by id, and boxes (image id, category id) with or without a bbox."""
    records = {i: image if isinstance(image, dict) else dict(file_name=image) for i, image in images.items()}
    return dict(
        images=[dict(id=i) | dict(width=64, height=64) | record for i, record in records.items()],
        annotations=[annotation(n, *box) for n, box in enumerate(boxes, 1)],
        categories=[dict(id=i, name=name) for i, name in names.items()],
    )


def annotation(number, image, category, bbox=(4, 4, 20, 20)):
    area = bbox[2] * bbox[3]
    return dict(id=number, image_id=image, category_id=category, bbox=[*bbox], area=area, iscrowd=0)


def edit(root, change, split="train"):
    """Change the content of an annotation file."""
    path = root / f"annotations/{split}.json"
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content))


def found_in(root, split="train", cfg=None):
    found = check_datasets(cfg or config_of(root), (split,), read_images=False)
    return found[f"{split}_dataloader.dataset"]


def codes(*args, **kwargs):
    return {finding.code for finding in found_in(*args, **kwargs)}


def each(key, **values):
    """A change of every entry of a list; a function gives a value of its own to each."""

    def change(content):
        for i, entry in enumerate(content[key]):
            for name, value in values.items():
                entry[name] = value(entry, i) if callable(value) else value

    return change
