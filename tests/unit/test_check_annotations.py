"""Annotations that teach or evaluate the wrong thing, and the finding of each kind."""

import random
import re

import pytest
from annotated import clean_set, codes, config_of, copied_set, each, edit, found_in  # noqa: F401

pytestmark = pytest.mark.usefixtures("mmdet_scope")


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


FLAGS = {
    "D412 D413": [dict(iscrowd=1), dict(iscrowd=True), dict(iscrowd=1.0), dict(ignore=1)],
    "D412 D413 D415": [dict(iscrowd="0"), dict(iscrowd="false"), dict(ignore="0"), dict(iscrowd=[0])],
    "": [dict(iscrowd=0.0, ignore=False), dict(iscrowd=None), dict(iscrowd="")],
}


@pytest.mark.parametrize("values, expected", [(one, expected) for expected, all_ in FLAGS.items() for one in all_])
def test_annotations_that_are_all_ignored_are_an_error_that_says_why(values, expected, root):
    edit(root, each("annotations", **values))
    assert codes(root) == set(expected.split())
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
    for i, entry in enumerate(content["annotations"]):
        x, y, w, h = entry["bbox"]
        entry["area"] = w * h
        if i % 5 == 0:
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


BOXES = [
    lambda entry, i: [str(v) for v in entry["bbox"]],
    lambda entry, i: str(entry["bbox"]),
    lambda entry, i: dict(zip("xywh", entry["bbox"], strict=True)),
    lambda entry, i: [*entry["bbox"], 0.3],
    *(None, [], [1, 2, 3, None], [1, 2, 3, True], [1.0, 2.0, float("inf"), 4.0]),
]


@pytest.mark.parametrize(
    "values, code",
    [
        *((dict(bbox=box), "D405") for box in BOXES),
        (dict(bbox=lambda entry, i: [v / 128 for v in entry["bbox"]]), "D408"),
        *((dict(area=area), "D406") for area in (None, "12", float("nan"))),
        (dict(area=-1), "D409"),
        (dict(image_id=lambda entry, i: str(entry["image_id"])), "D403"),
        (dict(image_id=None), "D403"),
        (dict(category_id=lambda entry, i: [entry["category_id"]]), "D404"),
    ],
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


MASKS = {
    "": [[[1, 1, 9, 1, 9, 9]], dict(counts=[0, 4], size=[2, 2]), dict(counts="abc", size=[2, 2])],
    "D412 D413 D419": [[], None, float("nan"), "", "abc"],  # pandas writes nan where there is none
    "D412 D413 D420": [[[1, 1, 9, 1]], dict(size=[2, 2])],
}


@pytest.mark.parametrize("mask, expected", [(one, expected) for expected, all_ in MASKS.items() for one in all_])
def test_masks_are_needed_where_the_config_reads_them(mask, expected, root):
    edit(root, each("annotations", segmentation=mask))
    assert codes(root) == set()
    assert codes(root, cfg=with_masks(config_of(root))) == set(expected.split())


def test_a_box_that_is_there_twice_is_pointed_out(root):
    def change(content):
        content["annotations"] += [{**content["annotations"][0], "id": 900}, {**content["annotations"][1], "id": 901}]
        content["annotations"][-1]["category_id"] = 1 + content["annotations"][1]["category_id"] % 3  # of another class

    edit(root, change)
    (finding,) = found_in(root)
    assert finding.code == "D421" and len(finding.examples) == 1 and "annotation 900: [" in finding.examples[0]


def test_data_prefix_of_text_is_an_error_that_says_what_to_write(root):
    cfg = config_of(root)
    cfg.train_dataloader.dataset.data_prefix = "train/"
    assert codes(root, cfg=cfg) == {"D217"}
