"""What is fixed in an annotation file, what is refused, and what stays as it is."""

import json

import annotated
import numpy as np
import pytest
from commands import call, message_of
from pycocotools.mask import encode

from asl_mmdet.coco.fix_annotations import fix_annotations


def coco(**values):
    """Two images, two classes, three boxes."""
    images = {1: "a.jpg", 2: dict(file_name="b.jpg", neg_category_ids=[5])}
    boxes = [(1, 3, [1, 2, 3, 4]), (1, 5, [1, 2, 3, 4]), (2, 3, [1, 2, 3, 4])]
    content = annotated.coco({3: "cat", 5: "dog"}, images, boxes)
    for entry in content["annotations"]:
        entry.update(values)
    return content | dict(info=dict(description="mine"))


def meaning(content):
    """Which boxes of which class each image has, whatever the ids."""
    names = {entry["id"]: entry["name"] for entry in content["categories"]}
    files = {entry["id"]: entry["file_name"] for entry in content["images"]}
    return sorted((files[a["image_id"]], names[a["category_id"]], a["bbox"]) for a in content["annotations"])


def test_a_sound_file_stays_as_it_is():
    assert fix_annotations(coco()) == (coco(), [])


def test_the_content_that_is_given_is_not_changed():
    content = coco()
    content["annotations"][0].update(id=0, iscrowd=None, area="12")
    before = json.dumps(content)
    fix_annotations(content, coco(), corners=True)
    assert json.dumps(content) == before


@pytest.mark.parametrize(
    "number",
    [str, float, lambda i: f"x{i}", lambda i: i + 0.5, lambda i: f"{i}.0"],
    ids=["text", "1.0", "x1", "1.5", "'1.0'"],
)
@pytest.mark.parametrize("key", ["images", "categories"])
def test_ids_become_whole_numbers_and_references_follow(key, number):
    content = coco()
    reference = "image_id" if key == "images" else "category_id"
    for entry in content[key]:
        entry["id"] = number(entry["id"])
    for entry in content["annotations"]:
        entry[reference] = number(entry[reference])
    if key == "categories":
        content["images"][1]["neg_category_ids"] = [number(5)]
    fixed, changes = fix_annotations(content)
    assert meaning(fixed) == meaning(coco())
    assert all(type(entry["id"]) is int for entry in fixed[key]) and changes
    ids = {entry["name"]: entry["id"] for entry in fixed["categories"]}
    assert fixed["images"][1]["neg_category_ids"] in ([ids["dog"]], [number(5)])


@pytest.mark.parametrize(
    "ids", [(0, 1, 2), (1, 1, 2), (1, 1.0, 2), ("a", "b", "c"), (None, 1, 2), (1.5, 2, 3), (True, 2, 3)]
)
def test_annotations_are_numbered_where_their_ids_are_not_sound(ids):
    content = coco()
    for entry, number in zip(content["annotations"], ids, strict=True):
        entry["id"] = number
    fixed, changes = fix_annotations(content)
    assert [entry["id"] for entry in fixed["annotations"]] == [1, 2, 3] and changes == ["3 ids of annotations"]


@pytest.mark.parametrize("ids", [(7, 9, 4), (-1, -2, -3), (2**80, 5, 6)])
def test_sound_ids_of_annotations_are_kept(ids):
    content = coco()
    for entry, number in zip(content["annotations"], ids, strict=True):
        entry["id"] = number
    assert [entry["id"] for entry in fix_annotations(content)[0]["annotations"]] == list(ids)


@pytest.mark.parametrize(
    "expected, values", [(0, (None, "", float("nan"), False, "0", "False", 0.0)), (1, (True, "1", 1.0, 3))]
)
@pytest.mark.parametrize("key", ["iscrowd", "ignore"])
def test_flags_become_0_or_1(key, values, expected):
    for value in values:
        content = coco(ignore=0)
        content["annotations"][0][key] = value
        flag = fix_annotations(content)[0]["annotations"][0][key]
        assert flag == expected and type(flag) is int, value


@pytest.mark.parametrize(
    "area, expected", [(None, 12), ("", 12), (0, 12), (-4, 12), (float("nan"), 12), ("7", 7), (9.5, 9.5)]
)
def test_an_area_that_says_nothing_is_width_times_height(area, expected):
    content = coco()
    content["annotations"][0]["area"] = area
    assert fix_annotations(content)[0]["annotations"][0]["area"] == expected


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
def test_ids_that_were_written_with_a_point_are_said(key):
    content = coco()
    for entry in content[key]:
        entry["id"] = float(entry["id"])
    fixed, changes = fix_annotations(content)
    assert fixed == coco() and changes == [f"{len(content[key])} ids of {key} written with a point"]


@pytest.mark.parametrize("number, reference", [(lambda i: f"00{i}", int), (int, lambda i: f"00{i}")])
def test_leading_zeros_do_not_count_where_one_entry_has_the_number(number, reference):
    content = coco()
    for entry in content["images"]:
        entry["id"] = number(entry["id"])
    for entry in content["annotations"]:
        entry["image_id"] = reference(entry["image_id"])
    assert meaning(fix_annotations(content)[0]) == meaning(coco())
    if reference is int:
        content["images"].append(dict(id="01", file_name="c.jpg"))
        assert {name for name, *_ in meaning(fix_annotations(content)[0])} == {"b.jpg"}  # 1 can be two of them


@pytest.mark.parametrize("values", [dict(image_id=1), dict(image_id="9"), dict(category_id=7), dict(category_id=None)])
def test_an_annotation_of_nothing_is_not_given_to_what_has_its_number_now(values):
    content = coco()
    for image, number in zip(content["images"], ("a", "b"), strict=True):
        image["id"] = number
    for entry in content["annotations"]:
        entry["image_id"] = "ab"[entry["image_id"] - 1]
    content["annotations"][0] |= values
    like = coco()
    like["categories"] += [dict(id=7, name="car")]
    fixed, changes = fix_annotations(content, like)
    assert meaning(fixed) == meaning(coco())[1:]
    assert changes[-1].startswith("1 annotations of what the file does not list, left out: 1 with image_id=")


def test_boxes_of_text_become_numbers_and_corners_sizes():
    content = coco()
    content["annotations"][0]["bbox"] = ["1", "2.5", "4", "6"]
    content["annotations"] = content["annotations"][:1]
    (entry,) = fix_annotations(content)[0]["annotations"]
    assert entry["bbox"] == [1, 2.5, 4, 6] and entry["area"] == 12
    (entry,) = fix_annotations(content, corners=True)[0]["annotations"]
    assert entry["bbox"] == [1, 2.5, 3, 3.5]
    assert fix_annotations(coco(), corners=True)[0]["annotations"][0]["bbox"] == [1, 2, 2, 2]


def test_sizes_of_text_become_numbers():
    content = coco()
    content["images"][0].update(width="64", height="48.0")
    fixed, changes = fix_annotations(content)
    assert fixed["images"][0] == dict(coco()["images"][0], width=64, height=48) and changes == ["1 sizes of images"]


TRIANGLE = [[2, 3, 12, 3, 12, 9]]


@pytest.mark.parametrize(
    "mask, expected",
    [
        (TRIANGLE, [2, 3, 10, 6]),
        ([*TRIANGLE, [20, 1, 22, 1, 22, 4]], [2, 1, 20, 8]),
        (dict(size=[8, 5], counts=[10, 3, 5, 3, 19]), [1, 2, 2, 3]),  # columns 1 and 2, rows 2 to 4
        (encode(np.asfortranarray(np.eye(4, dtype=np.uint8))), [0, 0, 4, 4]),
        ([], None),
        (None, None),
        (float("nan"), None),
        ([[1, 2]], None),
        (dict(size=[8, 5]), None),
    ],
)
@pytest.mark.parametrize("box", ["missing", None, []])
def test_a_box_that_is_missing_is_that_around_the_mask(box, mask, expected):
    content = coco(segmentation=mask)
    for entry in content["annotations"]:
        entry.pop("area")
        if box == "missing":
            entry.pop("bbox")
        else:
            entry["bbox"] = box
    entry = fix_annotations(content)[0]["annotations"][0]
    assert entry.get("bbox") == (expected if expected else None if box == "missing" else box)
    assert expected is None or entry["area"] == expected[2] * expected[3]


def test_categories_of_one_name_are_joined():
    content = coco()
    content["categories"].insert(0, dict(id=0, name="dog", supercategory="none"))
    content["annotations"][0]["category_id"] = 0
    fixed, changes = fix_annotations(content)
    assert [(entry["id"], entry["name"]) for entry in fixed["categories"]] == [(0, "dog"), (3, "cat")]
    assert meaning(fixed) == meaning(content) and "1 categories joined" in changes


def test_categories_are_as_in_the_training_file():
    like = dict(
        images=[], annotations=[], categories=[dict(id=9, name="car", supercategory="x"), dict(id=1, name="dog")]
    )
    content = coco()
    content["categories"][1]["name"] = " Dog"
    fixed, _ = fix_annotations(content, like)
    assert [(entry["id"], entry["name"]) for entry in fixed["categories"]] == [(6, "car"), (5, "dog"), (3, "cat")]
    assert meaning(fixed) == meaning(coco())


def test_file_names_become_those_of_the_files(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.jpg").touch()
    content = coco()
    content["images"][0]["file_name"] = "C:\\upload\\a.jpg"
    fixed, changes = fix_annotations(content, folder=str(tmp_path))
    assert [image["file_name"] for image in fixed["images"]] == ["sub/a.jpg", "b.jpg"]
    assert changes == ["1 file names", "1 file names whose file was not found, left as they are"]


def changed(key, i, **values):
    content = coco()
    content[key][i].update(values)
    return content


@pytest.mark.parametrize(
    "content, options, message",
    [
        ([], {}, "has no list images"),
        (dict(images=[], annotations=[]), {}, "the file has no list categories"),
        (coco(), dict(like={}), "the file to be like has no list images"),
        (changed("images", 1, id=1), {}, "images have the id 1 more than once"),
        (changed("images", 1, id="1"), {}, "images have the id 1 more than once"),
        (changed("categories", 1, id=3.0), {}, "categories have the id 3 more than once"),
        (changed("annotations", 1, iscrowd="maybe"), {}, r"annotations\[1\].iscrowd='maybe': write 0"),
        (changed("annotations", 1, bbox=["a", 1, 2, 3]), {}, r"annotations\[1\].bbox: 'a' is no number"),
        (
            dict(coco(), images=[dict(id="a")]),
            {},
            "no annotation is of an image and .* annotation 1 with image_id=1 and",
        ),
        (changed("annotations", 1, bbox=[5, 5, 3, 9]), dict(corners=True), r"annotations\[1\].bbox=.*no corners"),
    ],
    ids=str,
)
def test_what_can_be_meant_in_several_ways_is_refused(content, options, message):
    with pytest.raises(ValueError, match=message):
        fix_annotations(content, **options)


def test_command_says_what_was_changed_and_overwrites_nothing(tmp_path):
    source, out = tmp_path / "in.json", tmp_path / "new/out.json"
    source.write_bytes(b"\xef\xbb\xbf" + json.dumps(changed("annotations", 0, id=0)).encode())
    done = call("fix_annotations", source, out)
    assert done.returncode == 0, done.stderr
    assert "3 ids of annotations" in done.stdout and f"{out}: use it as ann_file" in done.stdout
    assert "nothing was changed" in call("fix_annotations", out, tmp_path / "again.json").stdout
    assert "exists" in message_of("fix_annotations", source, out)
