import json
from collections import Counter

import cv2
import pytest
from commands import ROOT
from mmengine.config import Config
from pycocotools.coco import COCO

from asl_mmdet.coco import shapes


def tree(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def annotations(root, split="train"):
    return json.loads((root / "annotations" / f"{split}.json").read_text())["annotations"]


@pytest.fixture(scope="module")
def small_set(tmp_path_factory):
    return shapes.make_shapes(tmp_path_factory.mktemp("data") / "shapes", num_train=300, num_val=20, image_size=64)


@pytest.mark.parametrize("split, number", [("train", 300), ("val", 20)])
def test_annotations_are_valid_coco(small_set, split, number):
    coco = COCO(small_set / "annotations" / f"{split}.json")
    assert len(coco.getImgIds()) == number
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == shapes.class_names(24)
    ids = [a["id"] for a in coco.dataset["annotations"]]
    assert len(set(ids)) == len(ids) > number
    for image in coco.dataset["images"]:
        picture = cv2.imread(str(small_set / split / image["file_name"]))
        assert picture.shape == (image["height"], image["width"], 3) == (64, 64, 3)
    for annotation in coco.dataset["annotations"]:
        x, y, w, h = annotation["bbox"]
        assert 0 <= x < x + w <= 64.01
        assert 0 <= y < y + h <= 64.01
        assert annotation["iscrowd"] == 0
        # The polygon, drawn by pycocotools, has the area that is written down, up to its pixel edges.
        drawn = coco.annToMask(annotation).sum()
        assert 0 < annotation["area"] <= w * h
        assert abs(drawn - annotation["area"]) < 0.15 * annotation["area"] + 2 * (w + h)


def test_classes_are_long_tailed(small_set):
    counts = Counter(a["category_id"] for a in annotations(small_set))
    head, tail = sum(counts[i] for i in (1, 2, 3)), sum(counts[i] for i in (22, 23, 24))
    assert head > 6 * tail > 0


def test_same_seed_gives_same_bytes_and_another_seed_does_not(tmp_path):
    options = dict(num_train=6, num_val=2, image_size=48)
    first, again, other = (
        tree(shapes.make_shapes(tmp_path / name, seed=seed, **options)) for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert first == again
    assert first.keys() == other.keys()
    assert all(first[name] != other[name] for name in first)


def test_class_names_are_distinct_and_are_those_of_the_configs():
    assert len(set(shapes.class_names(shapes.MAX_CLASSES))) == shapes.MAX_CLASSES
    cfg = Config.fromfile(ROOT / "configs/_base_/shapes_detection.py")
    assert list(cfg.classes) == shapes.class_names(24)


def test_interrupted_making_leaves_nothing(tmp_path, monkeypatch):
    written = []

    def imwrite(*args):
        written.append(args)
        if len(written) == 5:
            raise KeyboardInterrupt
        return True

    monkeypatch.setattr(shapes.cv2, "imwrite", imwrite)
    with pytest.raises(KeyboardInterrupt):
        shapes.make_shapes(tmp_path / "shapes", num_train=10, num_val=2)
    assert len(written) == 5
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option, value", [("num_train", 0), ("image_size", 8), ("num_classes", 49), ("seed", -1)])
def test_bad_options_name_themselves_and_their_range(tmp_path, option, value):
    with pytest.raises(ValueError, match=rf"{option}={value}.*must be in \["):
        shapes.make_shapes(tmp_path / "shapes", **{option: value})
    assert not list(tmp_path.iterdir())


def test_existing_folder_is_not_touched(tmp_path):
    (tmp_path / "mine").write_text("x")
    with pytest.raises(FileExistsError, match="exists"):
        shapes.make_shapes(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]
