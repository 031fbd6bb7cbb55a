"""What labels stand for, in one file and in several."""

import json
import re
import shutil

import pytest
from annotated import NAMES, clean_set, codes, config_of, copied_set, each, edit, found_in  # noqa: F401
from commands import call, message_of
from mmdet.registry import DATASETS

import asl_mmdet.known_classes  # noqa: F401
from asl_mmdet.checks import check_datasets, check_labels
from asl_mmdet.coco.annotation_file import AnnotationFile, CocoSet
from asl_mmdet.coco.merge_datasets import merge

pytestmark = pytest.mark.usefixtures("mmdet_scope")


def in_other_order(content):
    content["categories"].insert(0, content["categories"].pop())


def without_first(content):
    first = content["categories"].pop(0)["id"]
    content["annotations"] = [a for a in content["annotations"] if a["category_id"] != first]


def with_one_more(content):
    content["categories"].insert(1, dict(id=9, name="other"))


def renamed(content):
    content["categories"][1]["name"] = "Square"


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize(
    "change, expected",
    [
        (in_other_order, r"3 \(label 0 is 'star' here and 'circle' there"),
        (without_first, r"1 \('circle' lacking here\)"),
        (renamed, r"1 \('square' lacking here\)"),
    ],
)
def test_labels_that_stand_for_other_classes_than_in_training_are_an_error(split, change, expected, root, tmp_path):
    edit(root, change, "val")
    finding = next(finding for finding in found_in(root, split) if finding.code == "D216")
    assert finding.is_error and re.search(expected, str(finding)), finding
    assert "D211" not in codes(root, split)
    ann, like = re.search(r"fix_annotations.py (\S+) OUT.json --like (\S+)", str(finding)).groups()
    assert call("fix_annotations", ann, tmp_path / "fixed.json", "--like", like).returncode == 0
    shutil.move(tmp_path / "fixed.json", ann)
    assert not {"D209", "D216"} & codes(root, split)


def test_a_class_that_training_does_not_have_is_no_label_of_another(root):
    edit(root, with_one_more, "val")
    assert codes(root, "val") == {"D210"}
    cfg = config_of(root)
    cfg.val_dataloader.dataset.metainfo = dict(classes=("circle", "other", "square", "star"))
    edit(root, lambda content: content["annotations"][0].update(category_id=9), "val")
    (finding,) = [finding for finding in found_in(root, "val", cfg) if finding.is_error]
    assert finding.code == "D216" and "'other' lacking there" in str(finding)


def test_training_files_are_compared_with_the_first(root):
    cfg = config_of(root)
    one = cfg.train_dataloader.dataset
    other = {**one, "ann_file": "annotations/other.json"}
    shutil.copy(root / "annotations/train.json", root / "annotations/other.json")
    edit(root, in_other_order, "other")
    cfg.train_dataloader.dataset = dict(type="ConcatDataset", datasets=[one, other])
    found = check_datasets(cfg, ("train",), read_images=False)
    assert "D216" in {finding.code for finding in found["train_dataloader.dataset.datasets.1"]}


@pytest.mark.parametrize("kind", ["KnownClassesCoco", "CocoMultiLabel"])
def test_data_sets_that_go_by_name_may_have_any_order(kind, root):
    edit(root, in_other_order, "val")
    cfg = config_of(root)
    for split in ("train", "val"):
        cfg[f"{split}_dataloader"].dataset.type = kind
    assert "D216" not in codes(root, "val", cfg)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["categories"].insert(0, dict(id=0, name="circle", supercategory="none")),
        lambda content: content["categories"].append(dict(id=9, name="star")),
        each("categories", name="circle"),
    ],
    ids=["group", "last", "all"],
)
@pytest.mark.parametrize("kind", ["CocoDataset", "KnownClassesCoco"])
def test_two_ids_of_one_name_are_an_error(change, kind, root, tmp_path):
    edit(root, change)
    cfg = config_of(root)
    cfg.train_dataloader.dataset.type = kind
    finding = next(finding for finding in found_in(root, cfg=cfg) if finding.code == "D203")
    assert finding.is_error and re.search(r"id \d with \d+ annotations and id \d with", str(finding))
    path = root / "annotations/train.json"
    assert call("fix_annotations", path, tmp_path / "fixed.json").returncode == 0
    shutil.move(tmp_path / "fixed.json", path)
    assert "D203" not in codes(root, cfg=cfg)


@pytest.mark.parametrize("name", [None, 7, "", ["circle"]])
def test_a_category_without_a_name_is_an_error(name, root):
    edit(root, lambda content: content["categories"][0].update(name=name))
    assert "D214" in codes(root)
    edit(root, lambda content: content["categories"][0].pop("name"))
    assert "D214" in codes(root)


@pytest.mark.parametrize(
    "name", ["Circle", " circle", "circle ", "CIRCLE", "circle\u200b", "cir\u00adcle", "\uff43ircle"]
)
def test_names_that_look_alike_are_pointed_out(name, root):
    edit(root, lambda content: content["categories"].append(dict(id=9, name=name)))
    cfg = config_of(root, (*NAMES, name))
    finding = next(finding for finding in found_in(root, cfg=cfg) if finding.code == "D215")
    assert (repr(name) in str(finding) or ascii(name) in str(finding)) and not finding.is_error


@pytest.mark.parametrize(
    "mine, theirs", [("caf\u00e9", "cafe\u0301"), ("cafe\u0301", "caf\u00e9"), ("circle", "\ufeffcircle")]
)
def test_a_class_that_unicode_writes_in_another_way_is_shown_so(mine, theirs, root, tmp_path):
    edit(root, lambda content: content["categories"][0].update(name=theirs))
    cfg = config_of(root, (mine, *NAMES[1:]))
    finding = next(finding for finding in found_in(root, cfg=cfg) if finding.code == "D209")
    assert f"({mine!a}, where the file has {theirs!a})" in str(finding)
    edit(root, lambda content: content["categories"][0].update(name=mine), "val")
    assert "D216" in codes(root, "val", cfg)
    paths = [root / f"annotations/{split}.json" for split in ("val", "train")]
    with pytest.raises(ValueError, match="write them alike"):
        merge({str(path): json.loads(path.read_bytes()) for path in paths})
    assert call("fix_annotations", paths[0], tmp_path / "val.json", "--like", paths[1]).returncode == 0
    shutil.move(tmp_path / "val.json", paths[0])
    assert "D216" not in codes(root, "val", cfg)


def test_the_group_of_a_roboflow_export_is_called_so(root):
    def grouped(content):
        for entry in content["categories"]:
            entry["supercategory"] = "shapes-XY12"
        content["categories"].insert(0, dict(id=0, name="shapes-XY12", supercategory="none"))

    edit(root, grouped)
    finding = next(f for f in found_in(root, cfg=config_of(root, ("shapes-XY12", *NAMES))) if f.code == "D412")
    assert "the supercategory of circle, square, star: a group, such as Roboflow's" in str(finding)


@pytest.mark.parametrize(
    "classes, expected",
    [
        ("circle", "error: D205"),
        (dict(CLASSES=NAMES), "error: D206"),
        ({}, "error: D207"),
        ((*NAMES, "circle"), "error: D208"),
        (("CIRCLE", *NAMES[1:]), "error: D209"),
        (NAMES[:2], "warning: D210"),
        (NAMES[::-1], "warning: D211"),
    ],
)
def test_classes_that_are_not_those_of_the_file_are_found(classes, expected, root):
    cfg = config_of(root, classes)
    if isinstance(classes, dict):
        cfg.train_dataloader.dataset.metainfo = classes
    assert any(str(finding).startswith(expected) for finding in found_in(root, cfg=cfg))


def test_a_class_file_is_read_as_mmengine_does(root, tmp_path):
    (tmp_path / "classes.txt").write_text("\n".join(NAMES))
    assert codes(root, cfg=config_of(root, str(tmp_path / "classes.txt"))) == set()
    assert "D205" in codes(root, cfg=config_of(root, str(tmp_path / "none.txt")))


def test_the_test_tool_ends_where_labels_stand_for_other_classes(root, tmp_path):
    import torch

    edit(root, in_other_order, "val")
    config_of(root).dump(tmp_path / "config.py")
    torch.save(dict(state_dict={}), tmp_path / "model.pth")
    arguments = ["test", tmp_path / "config.py", tmp_path / "model.pth", "--work-dir", tmp_path / "work"]
    message = message_of(*arguments)
    assert "D216" in message and "--skip-checks" in message
    for option in (["--skip-checks"], ["--ignore", "D216"]):
        assert "D216" not in call(*arguments, *option).stderr
    thresholds = message_of("tune_thresholds", *arguments[1:3], "--out", tmp_path / "thresholds")
    assert "D216" in thresholds or "not installed" in thresholds
    audit = call("audit_labels", *arguments[1:3], "--validation", "--out", tmp_path / "audit")
    assert audit.returncode and "D216" in audit.stderr


@pytest.mark.parametrize(
    "key, values, code",
    [
        ("annotations", dict(bbox=None), "D405"),
        ("annotations", dict(area="9"), "D406"),
        ("annotations", dict(iscrowd="0"), "D415"),
        ("annotations", dict(id="x"), "D402"),
        ("images", dict(id="x"), "D302"),
        ("categories", dict(id="x"), "D202"),
        ("categories", dict(name="circle"), "D203"),
    ],
)
def test_what_predictions_cannot_be_compared_with_is_an_error(key, values, code, root):
    edit(root, each(key, **values), "val")
    assert code in {finding.code for finding in check_labels(config_of(root), "val") if finding.is_error}


def test_labels_without_a_training_file_are_not_compared(root):
    (root / "annotations/train.json").unlink()
    edit(root, in_other_order, "val")
    assert check_labels(config_of(root), "val") == []
    assert {"D211"} <= codes(root, "val")


@pytest.mark.parametrize(
    "kind", ["CocoDataset", "KnownClassesCoco", "Objects365V1Dataset", "KnownClassesLVIS", "CocoMultiLabel"]
)
@pytest.mark.parametrize("classes", [NAMES, NAMES[::-1], NAMES[1:]])
def test_labels_are_those_that_the_data_set_gives(kind, classes, root):
    if kind == "KnownClassesLVIS":
        pytest.importorskip("lvis")

    def shuffled(content):
        content["categories"] = [dict(id=i, name=name) for i, name in ((2, "star"), (9, "circle"), (4, "square"))]
        ids = {1: 9, 2: 4, 3: 2}
        for entry in content["annotations"]:
            entry["category_id"] = ids[entry["category_id"]]
        for image in content["images"]:
            image["coco_url"] = f"train/{image['file_name']}"

    edit(root, shuffled)
    cfg = config_of(root, classes)
    node = cfg.train_dataloader.dataset
    node.update(type=kind, pipeline=[])
    file = AnnotationFile(f"{root}/annotations/train.json")
    expected = CocoSet(node, file, None).class_of_label
    names = {entry["id"]: entry["name"] for entry in file.content["categories"]}
    if kind == "CocoMultiLabel":
        from asl_mmdet.multilabel import CocoMultiLabel

        data = CocoMultiLabel(file.path, data_prefix=str(root), metainfo=dict(classes=classes), pipeline=[])
        first, labels = file.content["images"][0]["id"], data.get_data_info(0)["gt_label"]
        present = {names[a["category_id"]] for a in file.content["annotations"] if a["image_id"] == first}
        assert {expected[label] for label in labels} == present & set(classes)
    else:
        data = DATASETS.build(node)
        assert {names[i]: label for i, label in data.cat2label.items()} == {name: i for i, name in enumerate(expected)}
