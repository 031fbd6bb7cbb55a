"""Defects are planted in a data set and in a config, and each must be found."""

import json
import math
import re
import shutil
from pathlib import Path

import cv2
import pytest
from commands import call
from mmdet.utils import register_all_modules
from mmengine.config import Config

from asl_mmdet.checks import check_datasets
from asl_mmdet.checks.finding import Rule
from asl_mmdet.checks.rules import RULES
from asl_mmdet.coco.shapes import make_shapes

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs/shapes/atss_r18_asl_shapes.py"
NEW_STYLE = ROOT / "configs/shapes/atss_r18_asl_shapes_new_style.py"


@pytest.fixture(autouse=True, scope="module")
def _mmdet_scope():
    register_all_modules()


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    root = make_shapes(tmp_path_factory.mktemp("data") / "shapes", num_train=12, num_val=4, num_classes=3)
    train = json.loads((root / "annotations/train.json").read_text())
    counts = {a["category_id"] for a in train["annotations"]}
    assert counts == {1, 2, 3}
    (root / "annotations/val.json").write_text(json.dumps(train))  # every class is in it
    shutil.rmtree(root / "val")
    shutil.copytree(root / "train", root / "val")
    return root


def config_of(root, path=CONFIG):
    cfg = Config.fromfile(path)
    names = [c["name"] for c in json.loads((root / "annotations/train.json").read_text())["categories"]]
    for split in ("train", "val", "test"):
        cfg[f"{split}_dataloader"].dataset.update(data_root=f"{root}/", metainfo=dict(classes=tuple(names)))
    for split in ("val", "test"):
        cfg[f"{split}_evaluator"].ann_file = f"{root}/annotations/val.json"
    cfg.model.bbox_head.num_classes = 3
    return cfg


def test_clean_set_has_no_findings(clean):
    found = check_datasets(config_of(clean), ("train", "val"), read_images=True)
    assert found == {"train_dataloader.dataset": [], "val_dataloader.dataset": []}


class Planter:
    """Changes the training set of one test."""

    def __init__(self, root):
        self.root = root
        self.path = root / "annotations/train.json"
        self.content = json.loads(self.path.read_text())
        self.images, self.annotations = self.content["images"], self.content["annotations"]
        self.categories = self.content["categories"]
        self.classes = None

    def image(self, i):
        return self.root / "train" / self.images[i]["file_name"]

    def save(self):
        if self.content is not None:
            self.path.write_text(json.dumps(self.content))


def no_json(p):
    p.path.write_text(json.dumps(p.content)[:-40])
    p.content = None


def turned(p):
    picture = cv2.imread(str(p.image(0)))
    cv2.imwrite(str(p.image(0)), picture[:, :100])


def truncated(p):
    content = p.image(0).read_bytes()
    p.image(0).write_bytes(content[: len(content) // 2])


def all_of_one_class_dropped(p):
    p.annotations[:] = [a for a in p.annotations if a["category_id"] != 3]


def box(*values):
    return lambda p: p.annotations[0].update(bbox=list(values))


def renamed(p):
    p.classes = tuple(c["name"] for c in p.categories)
    p.categories[0]["name"] = p.categories[0]["name"].upper()


def without_last(p):
    p.classes = tuple(c["name"] for c in p.categories[:-1])


def in_another_order(p):
    p.classes = tuple(c["name"] for c in p.categories[::-1])


def id_zero(p):
    for entry in p.categories:
        entry["id"] -= 1
    for entry in p.annotations:
        entry["category_id"] -= 1


DEFECTS = {
    "no file": (
        lambda p: (p.path.unlink(), setattr(p, "content", None)),
        r"error: D101 .*: 1 \(.*/train.json: No such file",
    ),
    "not json": (no_json, "error: D102 .*: 1 .*/train.json: "),
    "a list": (lambda p: setattr(p, "content", []), r"error: D103 .*: 3 \(annotations, categories, images\)"),
    "no categories": (lambda p: p.content.pop("categories"), r"error: D103 .*: 1 \(categories\)"),
    "no images": (lambda p: p.images.clear(), r"error: D104 .*: 1 \(images\)"),
    "no annotations": (lambda p: p.annotations.clear(), "error: D413 .*: 1 "),
    "missing image": (lambda p: p.image(0).unlink(), "error: D310 .*: 1 .*000001.jpg"),
    "broken image": (lambda p: p.image(0).write_bytes(b"nothing"), "error: D312 .*: 1"),
    "empty image": (lambda p: p.image(0).write_bytes(b""), "error: D312 .*: 1"),
    "truncated image": (truncated, "error: D311 .*: 1"),
    "other size": (turned, "error: D313 image size differs .*100 x 128, not 128 x 128"),
    "no size": (lambda p: p.images[0].pop("width"), "error: D304 .*: 1"),
    "no file name": (lambda p: p.images[0].pop("file_name"), "error: D303 .*: 1"),
    "listed twice": (lambda p: p.images[1].update(file_name=p.images[0]["file_name"]), "warning: D305 .*: 1"),
    "image id twice": (lambda p: p.images[1].update(id=1), r"error: D301 .*: 1 \(1\)"),
    "image id a string": (lambda p: p.images[0].update(id="1"), "error: D302 image id is missing or not a whole"),
    "annotation id twice": (lambda p: p.annotations[1].update(id=1), "error: D401 .*: 1"),
    "category id twice": (lambda p: p.categories[1].update(id=1), "error: D201 .*: 1"),
    "category name twice": (lambda p: p.categories[1].update(name=p.categories[0]["name"]), "error: D203 .*: 1"),
    "category id 0": (id_zero, "warning: D204 .*: 1"),
    "zero width": (box(5, 5, 0, 10), "warning: D407 .*: 1 .*0 x 10.*leaves it out"),
    "negative height": (box(5, 5, 10, -3), "warning: D407 .*: 1 .*10 x -3"),
    "less than a pixel": (box(5, 5, 0.5, 10), "warning: D408 .*: 1"),
    "outside": (box(200, 5, 10, 10), r"warning: D410 .*: 1 .*\[200, 5, 10, 10\]"),
    "sticking out": (box(100, 100, 60, 20), "warning: D411 box that reaches .*128 x 128.*used as it is"),
    "not a number": (box(5, 5, math.nan, 10), "error: D405 .*: 1"),
    "three numbers": (box(5, 5, 10), "error: D405 .*: 1"),
    "no area": (lambda p: p.annotations[0].pop("area"), "error: D406 .*: 1"),
    "area 0": (lambda p: p.annotations[0].update(area=0), "warning: D409 .*: 1"),
    "unknown image": (lambda p: p.annotations[0].update(image_id=99), "warning: D403 .*: 1"),
    "unknown category": (lambda p: p.annotations[0].update(category_id=9), "warning: D404 .* of a category .*: 1"),
    "class without objects": (all_of_one_class_dropped, "warning: D412 .*: 1"),
    "class the file has not": (renamed, "error: D209 .*: 1 .*file has 'RED"),
    "class the config has not": (without_last, "warning: D210 .*: 1"),
    "another order": (in_another_order, "warning: D211 order of the classes differs"),
    "a string as classes": (
        lambda p: setattr(p, "classes", "red circle"),
        r"error: D205 metainfo.classes .*\('name',\)",
    ),
    "a class twice": (
        lambda p: setattr(p, "classes", (*(c["name"] for c in p.categories), p.categories[0]["name"])),
        "error: D208 .*: 1",
    ),
    "no classes": (lambda p: setattr(p, "classes", False), "error: D207 .*without metainfo.classes: 3 .*num_classes=3"),
    "wrong num_classes": (
        without_last,
        r"error: D212 .*: 1 \(model.bbox_head.num_classes=3, 2 in metainfo.*write num_classes=2",
    ),
}


@pytest.mark.parametrize("path", [CONFIG, NEW_STYLE], ids=["names", "classes"])
@pytest.mark.parametrize("name", DEFECTS)
def test_planted_defect_is_found(name, path, clean, tmp_path):
    plant, expected = DEFECTS[name]
    root = shutil.copytree(clean, tmp_path / "shapes")
    cfg = config_of(root, path)
    planter = Planter(root)
    plant(planter)
    planter.save()
    if planter.classes is False:
        del cfg.train_dataloader.dataset["metainfo"]
    elif planter.classes is not None:
        cfg.train_dataloader.dataset.metainfo = dict(classes=planter.classes)
    found = check_datasets(cfg, ("train",), read_images=True)["train_dataloader.dataset"]
    assert any(re.match(expected, str(finding)) for finding in found), "\n".join(map(str, found))


def test_every_defect_of_a_kind_is_counted_and_shared_images_are_found(clean, tmp_path):
    root = shutil.copytree(clean, tmp_path / "shapes")
    planter = Planter(root)
    for entry in planter.annotations[:7]:
        entry["bbox"][2] = 0
    planter.save()
    cfg = config_of(root)
    cfg.val_dataloader.dataset.data_prefix.img = "train/"
    found = check_datasets(cfg, ("train", "val"), read_images=False)
    (finding,) = found["train_dataloader.dataset"]
    assert len(finding.examples) == 7 and ": 7 (" in str(finding) and "..." in str(finding)
    assert any("D501" in str(f) and ": 12" in str(f) for f in found["val_dataloader.dataset"])


def test_tool_and_training_end_with_the_findings(clean, tmp_path):
    root = shutil.copytree(clean, tmp_path / "shapes")
    config_of(root).dump(tmp_path / "config.py")

    done = call("check_dataset", tmp_path / "config.py")
    assert done.returncode == 0, done.stderr
    assert "train_dataloader.dataset: no findings" in done.stdout
    planter = Planter(root)
    planter.annotations[0]["bbox"][3] = -1
    planter.save()
    warned = call("check_dataset", tmp_path / "config.py", "--fast")
    assert (warned.returncode, "D407" in warned.stdout) == (0, True)
    assert call("check_dataset", tmp_path / "config.py", "--fast", "--strict").returncode == 1
    planter.image(3).unlink()
    assert call("check_dataset", tmp_path / "config.py").returncode == 1
    refused = call("train", tmp_path / "config.py", "--work-dir", tmp_path / "work")
    assert refused.returncode == 1
    assert "D310" in refused.stderr
    assert "tools/check_dataset.py" in refused.stderr
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
def test_truncation_is_recognised_in_jpeg_and_png_only(suffix, clean, tmp_path):
    root = shutil.copytree(clean, tmp_path / "shapes")
    planter = Planter(root)
    content = cv2.imencode(suffix, cv2.imread(str(planter.image(0))))[1].tobytes()
    planter.images[0]["file_name"] = f"other{suffix}"
    planter.save()

    def codes(content):
        planter.image(0).write_bytes(content)
        found = check_datasets(config_of(root), ("train",), read_images=True)["train_dataloader.dataset"]
        return [finding.code for finding in found]

    assert codes(content) == codes(content + b"camera's own data") == []
    assert ("D311" in codes(content[:-20])) == (suffix != ".bmp")


def test_every_rule_has_a_code_of_its_own_and_words():
    assert len(RULES) > 50
    for rule in RULES.values():
        assert re.fullmatch(r"[DCP]\d{3}", rule.code), rule
        assert rule.severity in ("error", "warning"), rule
        assert rule.title and rule.title[-1] != "." and rule.consequence.endswith("."), rule
    with pytest.raises(ValueError, match="D104"):
        Rule("D104", "error", "another", "Training fails.", "", lambda subject: ())


def test_ignored_rules_find_nothing(clean, tmp_path):
    root = shutil.copytree(clean, tmp_path / "shapes")
    planter = Planter(root)
    planter.annotations[0]["bbox"][3] = -1
    planter.save()
    planter.image(3).unlink()
    config_of(root).dump(tmp_path / "config.py")
    arguments = ["check_dataset", tmp_path / "config.py", "--fast", "--strict"]
    done = call(*arguments)
    assert done.returncode == 1 and "D407" in done.stdout and "D310" in done.stdout
    done = call(*arguments, "--ignore", "D407")
    assert done.returncode == 1 and "D407" not in done.stdout and "D310" in done.stdout
    assert call(*arguments, "--ignore", "D407", "--ignore", "D310").returncode == 0
    done = call(*arguments, "--ignore", "D999")
    assert done.returncode == 2 and "D999" in done.stderr
    done = call("train", tmp_path / "config.py", "--work-dir", tmp_path / "work", "--ignore", "D407")
    assert done.returncode == 1 and "D407" not in done.stderr and "--ignore CODE" in done.stderr
