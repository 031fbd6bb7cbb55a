"""Kinds of annotation files that learn or evaluate the wrong thing, and the finding of each."""

import gzip
import json
import random
import re
import shutil
from pathlib import Path

import pytest
from commands import call, message_of
from mmdet.utils import register_all_modules
from mmengine.config import Config

import asl_mmdet.known_classes  # noqa: F401
from asl_mmdet.checks import check_datasets, check_labels
from asl_mmdet.checks.rules import RULES
from asl_mmdet.shapes import make_shapes

CONFIG = Path(__file__).parents[2] / "configs/shapes/atss_r18_asl_shapes.py"
NAMES = ("circle", "square", "star")


@pytest.fixture(autouse=True, scope="module")
def _mmdet_scope():
    register_all_modules()


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
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


@pytest.fixture
def root(clean, tmp_path):
    return shutil.copytree(clean, tmp_path / "shapes")


def config_of(root, classes=NAMES):
    cfg = Config.fromfile(CONFIG)
    for split in ("train", "val", "test"):
        cfg[f"{split}_dataloader"].dataset.update(data_root=f"{root}/", metainfo=dict(classes=classes))
    for split in ("val", "test"):
        cfg[f"{split}_evaluator"].ann_file = f"{root}/annotations/val.json"
    cfg.model.bbox_head.num_classes = 3
    return cfg


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


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_clean_files_have_no_findings(root, split):
    assert codes(root, split) == set()


RANDOM = random.Random(1)
GOOD_IDS = {
    "pandas": float,
    "negative": lambda number: -number,
    "128 bits": lambda number: (number << 100) + RANDOM.getrandbits(90),
}
BAD_IDS = {
    "text": str,
    "uuid": lambda number: f"{number:08x}-0000",
    "fraction": lambda number: number + 0.5,
    "none": lambda number: None if number == 1 else number,
    "bool": lambda number: True if number == 1 else number,
    "nan": lambda number: float("nan") if number == 1 else number,
    "infinite": lambda number: float("inf") if number == 1 else number,
    "list": lambda number: [number],
}


def renumber(key, number):
    """A change of the ids of a list, and of all that refers to them."""
    reference = dict(images="image_id", categories="category_id").get(key)

    def change(content):
        for entry in content["annotations"] if reference else []:
            entry[reference] = number(entry[reference])
        for entry in content[key]:
            entry["id"] = number(entry["id"])

    return change


@pytest.mark.parametrize("name", GOOD_IDS)
@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
def test_whole_numbers_are_ids(key, name, root):
    fixed = {}
    number = lambda old: fixed.setdefault(old, GOOD_IDS[name](old))  # noqa: E731
    edit(root, renumber(key, number))
    assert codes(root) == set()


@pytest.mark.parametrize("name", BAD_IDS)
@pytest.mark.parametrize("key, code", [("images", "D302"), ("annotations", "D402"), ("categories", "D202")])
def test_other_ids_are_an_error_that_names_the_way_out(key, code, name, root):
    edit(root, renumber(key, BAD_IDS[name]))
    finding = next(finding for finding in found_in(root) if finding.code == code)
    assert finding.is_error and "tools/fix_annotations.py" in str(finding)


@pytest.mark.parametrize("twins", [(1, 1), (1, 1.0)])
def test_ids_are_compared_by_value(twins, root):
    def change(content):
        for entry, number in zip(content["annotations"], twins, strict=False):
            entry["id"] = number

    edit(root, change)
    assert "D401" in codes(root)


@pytest.mark.parametrize("number", [0, 0.0, -0.0])
def test_annotation_id_0_is_pointed_out_where_it_is_evaluated(number, root):
    for split in ("train", "val"):
        edit(root, lambda content: content["annotations"][0].update(id=number), split)
    assert codes(root, "train") == set() and codes(root, "val") == {"D414"}


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


@pytest.mark.parametrize("name", ["Circle", " circle", "circle ", "CIRCLE"])
def test_names_that_look_alike_are_pointed_out(name, root):
    edit(root, lambda content: content["categories"].append(dict(id=9, name=name)))
    cfg = config_of(root, (*NAMES, name))
    finding = next(finding for finding in found_in(root, cfg=cfg) if finding.code == "D215")
    assert repr(name) in str(finding) and not finding.is_error


def test_the_group_of_a_roboflow_export_is_called_so(root):
    def grouped(content):
        for entry in content["categories"]:
            entry["supercategory"] = "shapes-XY12"
        content["categories"].insert(0, dict(id=0, name="shapes-XY12", supercategory="none"))

    edit(root, grouped)
    finding = next(f for f in found_in(root, cfg=config_of(root, ("shapes-XY12", *NAMES))) if f.code == "D412")
    assert "the supercategory of circle, square, star: a group, such as Roboflow's" in str(finding)


FLAGS = [
    ({"iscrowd": 1}, {"D412", "D413"}),
    ({"iscrowd": True}, {"D412", "D413"}),
    ({"iscrowd": 1.0}, {"D412", "D413"}),
    ({"ignore": 1}, {"D412", "D413"}),
    ({"iscrowd": "0"}, {"D412", "D413", "D415"}),
    ({"iscrowd": "false"}, {"D412", "D413", "D415"}),
    ({"ignore": "0"}, {"D412", "D413", "D415"}),
    ({"iscrowd": [0]}, {"D412", "D413", "D415"}),
    ({"iscrowd": 0.0, "ignore": False}, set()),
    ({"iscrowd": None}, set()),
    ({"iscrowd": ""}, set()),
]


@pytest.mark.parametrize("values, expected", FLAGS, ids=str)
def test_annotations_that_are_all_ignored_are_an_error_that_says_why(values, expected, root):
    edit(root, each("annotations", **values))
    assert codes(root) == expected
    if "D413" in expected:
        text = next(str(finding) for finding in found_in(root) if finding.code == "D413")
        assert re.search(r"All \d+ annotations have iscrowd=1 or ignore=1.*CVAT", text)


def test_a_class_and_most_objects_that_are_ignored_are_pointed_out(root):
    edit(root, each("annotations", iscrowd=lambda entry, i: int(entry["category_id"] < 3)))
    texts = {finding.code: str(finding) for finding in found_in(root)}
    assert texts.keys() == {"D412", "D417"}
    assert re.search(r"'circle', \d+ with iscrowd=1 or ignore=1", texts["D412"])


@pytest.mark.parametrize("value", ["missing", None, ""])
def test_iscrowd_that_pycocotools_misses_is_pointed_out_where_it_is_evaluated(value, root):
    change = lambda c: [a.pop("iscrowd") if value == "missing" else a.update(iscrowd=value) for a in c["annotations"]]  # noqa: E731
    edit(root, change, "train")
    edit(root, change, "val")
    assert codes(root, "train") == set() and codes(root, "val") == {"D418"}


def as_corners(content):
    for entry in content["annotations"]:
        x, y, w, h = entry["bbox"]
        entry["bbox"] = [x, y, x + w, y + h]


def with_other_area(content):
    as_corners(content)
    for entry in content["annotations"]:
        entry["area"] = entry["bbox"][2] * entry["bbox"][3]


def with_some_corners(content):
    for entry in content["annotations"][::5]:
        x, y, w, h = entry["bbox"]
        entry["bbox"] = [x, y, x + w, y + h]


@pytest.mark.parametrize("change", [as_corners, with_other_area, with_some_corners])
@pytest.mark.parametrize("split", ["train", "val"])
def test_boxes_written_as_corners_are_an_error(change, split, root):
    edit(root, change, split)
    finding = next(finding for finding in found_in(root, split) if finding.code == "D416")
    assert finding.is_error and "bbox=[x, y, width, height]" in str(finding)


def with_areas_of_masks(content):
    for i, entry in enumerate(content["annotations"]):
        entry["area"] *= 0.3 + 0.05 * (i % 12)


def whole_images(content):
    for entry in content["annotations"]:
        entry.update(bbox=[0, 0, 128, 128], area=128 * 128)


@pytest.mark.parametrize("change", [with_areas_of_masks, whole_images])
def test_boxes_as_they_should_be_are_not_taken_for_corners(change, root):
    edit(root, change)
    assert "D416" not in codes(root)


@pytest.mark.parametrize(
    "values, code",
    [
        (dict(bbox=lambda entry, i: [str(v) for v in entry["bbox"]]), "D405"),
        (dict(bbox=lambda entry, i: str(entry["bbox"])), "D405"),
        (dict(bbox=lambda entry, i: dict(zip("xywh", entry["bbox"], strict=True))), "D405"),
        (dict(bbox=None), "D405"),
        (dict(bbox=[]), "D405"),
        (dict(bbox=[1, 2, 3, None]), "D405"),
        (dict(bbox=[1, 2, 3, True]), "D405"),
        (dict(bbox=[1.0, 2.0, float("inf"), 4.0]), "D405"),
        (dict(bbox=lambda entry, i: [*entry["bbox"], 0.3]), "D405"),
        (dict(bbox=lambda entry, i: [v / 128 for v in entry["bbox"]]), "D408"),
        (dict(area=None), "D406"),
        (dict(area="12"), "D406"),
        (dict(area=float("nan")), "D406"),
        (dict(area=-1), "D409"),
        (dict(image_id=lambda entry, i: str(entry["image_id"])), "D403"),
        (dict(image_id=None), "D403"),
        (dict(category_id=lambda entry, i: [entry["category_id"]]), "D404"),
    ],
    ids=str,
)
@pytest.mark.parametrize("split", ["train", "val"])
def test_fields_of_other_kinds_are_found(values, code, split, root):
    edit(root, each("annotations", **values), split)
    found = found_in(root, split)
    assert {code, "D413"} <= {finding.code for finding in found}
    if code in ("D403", "D404"):
        assert next(iter(values)) + "=" in str(next(finding for finding in found if finding.code == code))


def with_masks(cfg):
    for split in ("train", "val"):
        next(t for t in cfg[f"{split}_dataloader"].dataset.pipeline if t.type == "LoadAnnotations").with_mask = True
    return cfg


@pytest.mark.parametrize(
    "mask, expected",
    [
        ([[1, 1, 9, 1, 9, 9]], set()),
        (dict(counts=[0, 4], size=[2, 2]), set()),
        (dict(counts="abc", size=[2, 2]), set()),
        ([], {"D419", "D412", "D413"}),
        (None, {"D419", "D412", "D413"}),
        ([[1, 1, 9, 1]], {"D420", "D412", "D413"}),
        (dict(size=[2, 2]), {"D420", "D412", "D413"}),
    ],
    ids=str,
)
def test_masks_are_needed_where_the_config_reads_them(mask, expected, root):
    edit(root, each("annotations", segmentation=mask))
    assert codes(root) == set()
    assert codes(root, cfg=with_masks(config_of(root))) == expected


def panoptic(content):
    content["annotations"] = [
        dict(image_id=1, file_name="1.png", segments_info=[dict(id=7, category_id=1, bbox=[1, 1, 2, 2], area=4)])
    ]


def captions(content):
    content["annotations"] = [dict(id=1, image_id=1, caption="a circle")]


@pytest.mark.parametrize("change, what", [(panoptic, "segments_info"), (captions, "caption")])
def test_files_of_other_tasks_are_called_so(change, what, root):
    edit(root, change)
    (finding,) = found_in(root)
    assert finding.code == "D106" and what in str(finding) and "instances" in str(finding)


def test_panoptic_data_sets_are_left_to_mmdetection(root):
    cfg = config_of(root)
    cfg.train_dataloader.dataset.type = "CocoPanopticDataset"
    edit(root, panoptic)
    assert check_datasets(cfg, ("train",), read_images=False) == {}


ENCODINGS = ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_encoding_that_mmdetection_does_not_read_is_an_error(encoding, root, tmp_path):
    path = root / "annotations/train.json"
    path.write_bytes(path.read_text().encode(encoding))
    (finding,) = found_in(root)
    assert finding.code == "D105" and finding.is_error and "UTF" in str(finding)
    assert call("fix_annotations", path, tmp_path / "fixed.json").returncode == 0
    shutil.move(tmp_path / "fixed.json", path)
    assert codes(root) == set()
    path.write_bytes(path.read_text().encode(encoding))
    cfg = config_of(root)
    cfg.train_dataloader.dataset.type = "CocoMultiLabel"  # read by this project
    assert codes(root, cfg=cfg) == set()


def test_a_compressed_file_is_called_so(root):
    path = root / "annotations/train.json"
    path.write_bytes(gzip.compress(path.read_bytes()))
    (finding,) = found_in(root)
    assert finding.code == "D102" and "compressed (gzip): unpack it" in str(finding)


def test_a_class_file_is_read_as_mmengine_does(root, tmp_path):
    (tmp_path / "classes.txt").write_text("\n".join(NAMES))
    assert codes(root, cfg=config_of(root, str(tmp_path / "classes.txt"))) == set()
    assert "D205" in codes(root, cfg=config_of(root, str(tmp_path / "none.txt")))


def lvis(content):
    for image in content["images"]:
        image["coco_url"] = f"http://images.cocodataset.org/train/{image.pop('file_name')}"
        image.update(neg_category_ids=[], not_exhaustive_category_ids=[])
    for entry in content["annotations"]:
        del entry["iscrowd"]


@pytest.mark.parametrize("kind", ["LVISV1Dataset", "KnownClassesLVIS"])
def test_lvis_v1_names_its_images_by_their_addresses(kind, root):
    edit(root, lvis)
    cfg = config_of(root)
    cfg.train_dataloader.dataset.update(type=kind, data_prefix=dict(img=""))
    assert codes(root, cfg=cfg) == set()
    cfg.train_dataloader.dataset.type = "CocoDataset"
    assert "CocoDataset reads file_name" in str(next(f for f in found_in(root, cfg=cfg) if f.code == "D303"))


def test_lvis_v05_has_names_of_2014(root):
    cfg = config_of(root)
    cfg.train_dataloader.dataset.type = "LVISV05Dataset"
    for image in json.loads((root / "annotations/train.json").read_text())["images"]:
        shutil.move(root / "train" / image["file_name"], root / "train" / f"{image['id']:012d}.jpg")
    edit(root, each("images", file_name=lambda image, i: f"COCO_train2014_{image['id']:012d}.jpg"))
    assert codes(root, cfg=cfg) == set()


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


def test_labels_are_compared_without_a_look_at_the_rest(root):
    edit(root, each("annotations", bbox=None), "val")
    assert check_labels(config_of(root), "val") == []
    (root / "annotations/train.json").unlink()
    edit(root, in_other_order, "val")
    assert check_labels(config_of(root), "val") == []  # nothing to compare with
    assert {"D211"} <= codes(root, "val")


def test_a_fix_that_a_function_says_is_no_function_in_the_docs():
    pytest.importorskip("griffe")
    from docs_build.reference import checks

    assert "function" not in checks() and len(RULES) == checks().count("\n") - 1
