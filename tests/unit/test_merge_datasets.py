"""Data sets with different classes, merged into one file."""

import json

import pytest
from annotated import annotation, coco
from commands import call, message_of
from mmdet.registry import DATASETS

import asl_mmdet.known_classes  # noqa: F401
from asl_mmdet.coco.merge_datasets import merge
from asl_mmdet.errors import UserError


def animals():
    return coco({3: "dog", 1: "cat"}, {1: "a.jpg", 2: "b.jpg"}, [(1, 3), (2, 1), (2, 3)])


def traffic():
    return coco({1: "car", 9: "dog"}, {1: "c.jpg", 7: dict(file_name="d.jpg", neg_category_ids=[9])}, [(1, 1)])


def test_merged_file_is_read_with_the_classes_that_every_image_was_labelled_for(tmp_path):
    paths = [tmp_path / name for name in ("animals.json", "traffic.json", "out.json")]
    for path, content in zip(paths, (animals(), traffic()), strict=False):
        path.write_text(json.dumps(content))
    done = call("merge_datasets", *paths[:2], "--out", paths[2], "--folders", "animals", "traffic/images")
    assert done.returncode == 0, done.stderr
    table = {tuple(line.split()) for line in done.stdout.splitlines()}
    assert {("dog", "2", "0"), ("car", "not", "labelled", "1")} <= table and ("cat", "1") in {row[:2] for row in table}
    names = [image["file_name"] for image in json.loads(paths[2].read_text())["images"]]
    assert names == ["animals/a.jpg", "animals/b.jpg", "traffic/images/c.jpg", "traffic/images/d.jpg"]
    block = dict(type="KnownClassesCoco", ann_file=str(paths[2]), metainfo=dict(classes=("cat", "dog", "car")))
    dataset = DATASETS.build(block | dict(data_prefix=dict(img=""), filter_cfg=dict(filter_empty_gt=False)))
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [info["known_classes"] for info in infos] == [(0, 1), (0, 1), (1, 2), (1,)]
    labels = [[instance["bbox_label"] for instance in info["instances"]] for info in infos]
    assert labels == [[1], [0, 1], [2], []]
    assert "exists" in message_of("merge_datasets", *paths[:2], "--out", paths[2])


def test_objects_that_are_labelled_in_part_stay_so():
    content = traffic()
    content["images"][0]["not_exhaustive_category_ids"] = [1]
    record = merge({"a": animals(), "b": content})["images"][2]
    car, dog = 3, 1
    assert (record["known_categories"], record["not_exhaustive_category_ids"]) == ([dog], [car])


def changed(content, key, i, **values):
    content[key][i] |= values
    return content


@pytest.mark.parametrize(
    "second, message",
    [
        (coco({1: "Dog"}, {1: "c.jpg"}, []), "b has the category 'Dog', and a has 'dog': write them alike"),
        (coco({1: "car", 2: "car"}, {}, []), "b has the category 'car' more than once"),
        (coco({1: "car"}, {1: dict(file_name="a.jpg", width=32)}, []), r"b: the image 'a.jpg' has .*\(32, 64\)"),
        (coco({1: "car"}, {1: "c.jpg", 2: "./c.jpg"}, []), "b: two images have file_name='c.jpg'"),
        (changed(coco({3: "dog"}, {1: "a.jpg"}, [(1, 3)]), "annotations", 0, bbox=[1, 2]), "b: a box of 'a.jpg'.*1, 2"),
        (coco({1: "car"}, {1: "c.jpg"}, [(1, 4)]), r"b: annotations\[0\] is of image_id=1 and category_id=4"),
        (changed(traffic(), "images", 1, id=1), r"b: images\[1\] has id=1, and so has another"),
        (changed(traffic(), "images", 1, file_name=None), r"b: images\[1\] needs a whole number as id and a file_name"),
        (changed(traffic(), "images", 0, known_categories=["dog"]), "b: image c.jpg has boxes of car"),
        (dict(images=[], annotations=[]), "b has no list categories"),
        ([], "b has no list images"),
    ],
)
def test_clashes_are_refused(second, message):
    with pytest.raises(ValueError, match=message):
        merge({"a": animals(), "b": second})


def keyed():
    content = animals()
    content |= dict(
        info=dict(description="mine"),
        licenses=[dict(id=4, name="CC BY"), dict(id=9, name="CC0")],
        dropped=dict(rate=0.5),
    )
    for entry in content["categories"]:
        entry.update(supercategory="animal", keypoints=["nose", "tail"], skeleton=[[1, 2]])
    for image, number in zip(content["images"], (9, 4), strict=True):
        image["license"] = number
    content["annotations"][0].update(keypoints=[1, 2, 2, 0, 0, 0], num_keypoints=1, attributes=dict(occluded=True))
    return content


def test_what_records_have_beside_ids_and_names_stays():
    other = traffic() | dict(info=dict(description="yours"), licenses=[dict(id=1, name="CC0"), dict(id=2, name="GPL")])
    other["images"][0]["license"], other["images"][1]["license"] = 1, 2
    merged = merge(dict(a=keyed(), b=other))
    assert merged["info"] == dict(
        description="merged from a, b", merged=dict(a=dict(description="mine"), b=dict(description="yours"))
    )
    assert merged["licenses"] == [dict(id=1, name="CC BY"), dict(id=2, name="CC0"), dict(id=3, name="GPL")]
    assert [image["license"] for image in merged["images"]] == [2, 1, 2, 3]
    assert merged["categories"][0] == dict(
        id=1, name="dog", supercategory="animal", keypoints=["nose", "tail"], skeleton=[[1, 2]]
    )
    assert merged["annotations"][0]["keypoints"] == [1, 2, 2, 0, 0, 0]
    assert merged["annotations"][0]["attributes"] == dict(occluded=True)
    assert merge(dict(a=keyed(), b=traffic()))["info"] == dict(description="mine")
    assert merge(dict(a=animals(), b=traffic())).keys() == {"images", "annotations", "categories"}


def test_what_cannot_stay_is_said(tmp_path):
    other = traffic()
    other["categories"][1]["supercategory"] = "pet"
    paths = [tmp_path / name for name in ("a.json", "b.json", "out.json")]
    for path, content in zip(paths, (keyed(), other), strict=False):
        path.write_text(json.dumps(content))
    said = call("merge_datasets", *paths).stdout
    assert "a.json: dropped left out" in said
    assert "category 'dog': supercategory='animal' of" in said and "'pet' of" in said


def test_keypoints_in_another_order_are_refused():
    other = traffic()
    other["categories"][1]["keypoints"] = ["tail", "nose"]
    with pytest.raises(ValueError, match=r"b: the keypoints of category 'dog' are .* bring them"):
        merge(dict(a=keyed(), b=other))


def test_lvis_images_get_the_names_of_their_files():
    content = traffic()
    for image in content["images"]:
        image["coco_url"] = f"http://images.cocodataset.org/train2017/{image.pop('file_name')}"
    merged = merge(dict(a=animals(), b=content))
    assert [image["file_name"] for image in merged["images"]][2:] == ["train2017/c.jpg", "train2017/d.jpg"]


def box(number, image, category, x):
    return annotation(number, image, category, (x, 4, 20, 20))


def labelled(names, *annotations, **record):
    """One image that a person labelled for these classes."""
    content = coco(names, {1: dict(file_name="a.jpg", **record)}, [])
    return content | dict(annotations=list(annotations))


def test_an_image_labelled_by_several_people_has_what_all_of_them_say():
    dogs = labelled({1: "dog"}, box(1, 1, 1, 4), complete=True)
    cars = labelled({1: "car"}, box(1, 1, 1, 4), complete=True, date_captured="today")
    merged = merge({"a": dogs, "b": cars})
    (image,) = merged["images"]
    assert image["known_categories"] == [1, 2] and image["complete"] and image["date_captured"] == "today"
    assert [(a["id"], a["image_id"], a["category_id"]) for a in merged["annotations"]] == [(1, 1, 1), (2, 1, 2)]
    assert "duplicates" not in merged
    del dogs["images"][0]["complete"]
    assert "complete" not in merge({"a": cars, "b": dogs})["images"][0]


def test_a_class_labelled_in_part_is_known_where_another_file_has_all_of_it():
    part = labelled({1: "dog", 2: "cat"}, box(1, 1, 1, 4), box(2, 1, 2, 9), not_exhaustive_category_ids=[1, 2])
    (image,) = merge({"a": part, "b": labelled({5: "dog"}, box(1, 1, 5, 4))})["images"]
    assert (image["known_categories"], image["not_exhaustive_category_ids"]) == ([1], [2])
    (image,) = merge({"a": labelled({5: "dog", 6: "cat"}), "b": part})["images"]
    assert image["known_categories"] == [1, 2] and "not_exhaustive_category_ids" not in image


def test_of_two_boxes_of_one_object_the_first_is_kept_and_the_other_listed():
    first = labelled({1: "dog", 2: "cat"}, box(1, 1, 1, 4), box(2, 1, 1, 9), box(3, 1, 2, 4))
    second = labelled(
        {1: "dog", 2: "cat"},
        box(1, 1, 1, 8),  # IoU 0.90 with the second dog, 0.67 with the first
        box(2, 1, 1, 7) | dict(iscrowd=1),
        box(3, 1, 1, 5),  # 0.90 with the first dog
        box(4, 1, 1, 6),  # 0.82 and 0.74, but both are taken
        box(5, 1, 2, 10.6),  # 0.504 with the cat
    )
    merged = merge({"a": first, "b": second})
    assert [(a["category_id"], a["bbox"][0]) for a in merged["annotations"]] == [(1, 4), (1, 9), (2, 4), (1, 7), (1, 6)]
    listed = {(a["category_id"], a["bbox"][0]): a["duplicate_of"] for a in merged["duplicates"]}
    assert listed == {(1, 8): 2, (1, 5): 1, (2, 10.6): 3}
    second["annotations"][-1]["bbox"][0] = 10.7  # 0.498
    assert len(merge({"a": first, "b": second})["duplicates"]) == 2


def test_labels_of_images_are_there_once():
    tags = labelled({1: "dog"}, dict(id=1, image_id=1, category_id=1))
    merged = merge({"a": tags, "b": tags, "c": labelled({1: "dog"}, box(1, 1, 1, 4))})
    assert ["bbox" in a for a in merged["annotations"]] == [False, True]
    assert [a["duplicate_of"] for a in merged["duplicates"]] == [1]


def test_images_of_one_name_in_files_of_different_folders_may_be_two_images():
    files = {f"{folder}/train.json": labelled({1: "dog"}, box(1, 1, 1, 4)) for folder in ("a", "b")}
    with pytest.raises(UserError, match=r"b/train.json.*--folders"):
        merge(files)
    assert len(merge(files, [".", "."])["images"]) == 1
    assert len(merge(files, ["a", "b"])["images"]) == 2


def test_the_command_says_what_it_joined(tmp_path):
    paths = [tmp_path / name for name in ("a.json", "b.json", "out.json")]
    paths[0].write_text(json.dumps(labelled({1: "dog", 2: "cat"}, box(1, 1, 1, 4), box(2, 1, 2, 4))))
    paths[1].write_text(json.dumps(labelled({1: "dog", 2: "car"}, box(1, 1, 1, 5), box(2, 1, 2, 4))))
    said = call("merge_datasets", *paths).stdout
    assert "joined with it: 1. If they are different ones, use --folders" in said
    assert "duplicates of dog, left out and listed in 'duplicates': 1" in said
    assert "1 images, 3 annotations" in said
    split = call("merge_datasets", *paths, "--force", "--folders", "a", "b").stdout
    assert "joined" not in split and "2 images, 4 annotations" in split
