"""Folders in other formats: which it is, what is read of them, and a word on all that is not."""

import json
import shutil
from collections import Counter
from importlib.util import find_spec

import mmcv
import pytest
from foreign_folders import BOX, FOREIGN, IMAGES, NAMES, SIZE, STEMS, YOLO_BOX, coco, files_of, notes, write, yolo
from PIL import Image

from asl_mmdet.coco.importing import import_dataset
from asl_mmdet.coco.importing.folder import split_of
from asl_mmdet.errors import UserError

READERS = pytest.mark.skipif(find_spec("supervision") is None, reason="needs pip install supervision")


def imported(tmp_path, files, **options):
    write(tmp_path / "src", files)
    return import_dataset(tmp_path / "src", tmp_path / "out", **options)


def contents(tmp_path):
    found = {}
    for path in sorted((tmp_path / "out/annotations").iterdir()):
        found[path.stem] = json.loads(path.read_text())
    return found


def boxes(tmp_path):
    """The boxes of all splits by file name, each a name of a class and the four numbers."""
    found = {}
    for content in contents(tmp_path).values():
        names = {entry["id"]: entry["name"] for entry in content["categories"]}
        files = {entry["id"]: entry["file_name"] for entry in content["images"]}
        found |= {file: [] for file in files.values()}
        for entry in content["annotations"]:
            found[files[entry["image_id"]]].append((names[entry["category_id"]], *entry["bbox"]))
    return found


def message(tmp_path, files, **options):
    with pytest.raises(UserError) as error:
        imported(tmp_path, files, **options)
    assert not (tmp_path / "out").exists()
    return str(error.value)


CASES = [pytest.param(name, marks=[READERS] if "yolo" in name or "voc" in name else []) for name in FOREIGN]


# Which format it is ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_every_format_is_recognised_and_gives_the_same_boxes(name, tmp_path):
    files, what = FOREIGN[name]
    done = imported(tmp_path, files)
    assert done.format.startswith(what)
    assert boxes(tmp_path) == {name: [("cat", *BOX)] for name in NAMES}
    assert {split: len(content["images"]) for split, content in contents(tmp_path).items()} == {"train": 4, "val": 1}
    for content in contents(tmp_path).values():
        for image in content["images"]:
            assert (image["width"], image["height"]) == SIZE
            assert (tmp_path / "out/images" / image["file_name"]).is_file()
        assert all(entry["area"] == 192 and entry["iscrowd"] == 0 for entry in content["annotations"])
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"annotations", "images"}
    assert (done.split == "val is that of the source") is ("val" in " ".join(files))


def test_unknown_folder_says_what_was_looked_for_and_what_is_there(tmp_path):
    text = message(tmp_path, {**IMAGES, "a.json": dict(shapes=[]), "b.json": "{", "list.csv": "a.jpg,1"})
    for part in ("coco: ", "yolo: ", "voc: ", "5 .jpg, 2 .json, 1 .csv", "b.json: "):
        assert part in text


def test_folder_of_two_formats_needs_the_option(tmp_path):
    files = {**yolo(STEMS), "labels.json": coco([f"images/{name}" for name in NAMES])}
    text = message(tmp_path, files)
    assert "coco (images, annotations and categories in labels.json) and yolo (class names in data.yaml)" in text
    assert "--format" in text
    import_dataset(tmp_path / "src", tmp_path / "out", format="coco")
    assert len(boxes(tmp_path)) == 5


def test_given_format_that_it_is_not_says_what_was_looked_for(tmp_path):
    text = message(tmp_path, FOREIGN["roboflow"][0], format="voc")
    assert "is not Pascal VOC: looked for an .xml with the root <annotation>" in text


def test_folder_in_the_form_already_is_named_for_coco_folder(tmp_path):
    files = {f"images/{name}": None for name in NAMES}
    files |= {"annotations/train.json": coco(NAMES[:4]), "annotations/val.json": coco(NAMES[4:])}
    assert f"in this form already: COCO_FOLDER={tmp_path / 'src'}" in message(tmp_path, files)


@pytest.mark.parametrize(
    "path, split",
    [
        ("train/x", "train"),
        ("a/valid", "val"),
        ("instances_val2017", "val"),
        ("test/images", "test"),
        ("trainval", ""),
        ("latest/contest", ""),
        ("train/test", "test"),
    ],
)
def test_words_of_a_path_name_its_split(path, split):
    assert split_of(path) == split


# COCO ----------------------------------------------------------------------------------------------------------------


def test_missing_images_and_those_that_no_file_lists_are_named_and_left_out(tmp_path):
    done = imported(tmp_path, {**dict.fromkeys(NAMES[1:]), "more/f.jpg": None, "all.json": coco(NAMES)})
    assert "left out with their boxes: 1 (all.json: a.jpg)" in notes(done)
    assert "left out: 1 (more/f.jpg)" in notes(done)
    assert sorted(boxes(tmp_path)) == NAMES[1:]


def test_export_without_its_images_is_an_error(tmp_path):
    text = message(tmp_path, {"result.json": coco(["images/1.jpg"])})
    assert "result.json: none of its 1 images is below" in text and "images/1.jpg" in text


def test_absolute_names_are_read_in_the_folder_and_elsewhere(tmp_path):
    write(tmp_path / "elsewhere", {"a.jpg": None})
    names = [str(tmp_path / "elsewhere/a.jpg"), *(str(tmp_path / "src" / name) for name in NAMES[1:])]
    done = imported(tmp_path, {**dict.fromkeys(NAMES[1:]), "all.json": coco(names)})
    assert sorted(boxes(tmp_path)) == NAMES and notes(done) == ""


def test_annotations_of_unlisted_ids_are_named_and_do_not_become_those_of_another_class(tmp_path):
    train = coco(NAMES[:4], classes=["cat"])
    train["annotations"] += [{**train["annotations"][0], "id": 90, "category_id": 2}]
    train["annotations"] += [{**train["annotations"][0], "id": 91, "image_id": 77}]
    files = {**IMAGES, "train.json": train, "val.json": coco(NAMES[4:], classes=["cat", "dog"])}
    done = imported(tmp_path, files)
    assert "left out: 90 with image_id=1 and" in notes(done)
    assert "; 91 with image_id=77 and category_id=1)" in notes(done)
    assert Counter(box[0] for found in boxes(tmp_path).values() for box in found) == {"cat": 5}


def test_class_lists_that_differ_are_joined_by_name_and_named(tmp_path):
    files = {**IMAGES, "train.json": coco(NAMES[:4], ["dog", "cat"]), "val.json": coco(["e.jpg"], ["Cat ", "cow"])}
    done = imported(tmp_path, files)
    names = [[entry["name"] for entry in content["categories"]] for content in contents(tmp_path).values()]
    assert names == [["dog", "cat", "cow"]] * 2
    assert boxes(tmp_path) == {**{name: [("dog", *BOX)] for name in NAMES[:4]}, "e.jpg": [("cat", *BOX)]}
    assert "classes that a split does not list, added to it: 2 ('cow' to train, 'dog' to val)" in notes(done)
    assert "classes written in two ways, joined: 1 ('Cat ' as 'cat')" in notes(done)


def test_known_categories_follow_the_ids(tmp_path):
    val = coco(["e.jpg"], ["dog", "cat"])
    val["images"][0].update(known_categories=[1], neg_category_ids=[2])
    imported(tmp_path, {**IMAGES, "train.json": coco(NAMES[:4], ["cat", "dog"]), "val.json": val})
    (image,) = contents(tmp_path)["val"]["images"]
    assert (image["known_categories"], image["neg_category_ids"]) == ([2], [1])


def test_group_that_roboflow_adds_is_left_out_and_a_class_above_others_is_not(tmp_path):
    content = coco(NAMES, ["pieces", "cat", "dog"], [(i, 1) for i in range(5)])
    for entry in content["categories"][1:]:
        entry["supercategory"] = "pieces"
    content["categories"] += [dict(id=4, name="person", supercategory="person")]  # as in COCO
    done = imported(tmp_path, {**IMAGES, "all.json": content})
    assert "left out: 1 ('pieces')" in notes(done)
    assert [entry["name"] for entry in contents(tmp_path)["train"]["categories"]] == ["cat", "dog", "person"]
    content["annotations"][0]["category_id"] = 1
    (tmp_path / "src/all.json").write_text(json.dumps(content))
    import_dataset(tmp_path / "src", tmp_path / "out")
    assert [entry["name"] for entry in contents(tmp_path)["train"]["categories"]] == ["pieces", "cat", "dog", "person"]


@pytest.mark.parametrize("name", [None, "", 3, ["cat"]])
def test_class_without_a_name_in_words_is_an_error(name, tmp_path):
    content = coco(NAMES)
    content["categories"][1]["name"] = name
    assert f"all.json: categories[1].name={name!r}: write a text" in message(tmp_path, {**IMAGES, "all.json": content})


def test_two_files_of_one_split_are_an_error_that_names_them(tmp_path):
    files = {**IMAGES, "train.json": coco(NAMES[:2]), "train_half.json": coco(NAMES[2:4])}
    assert "train.json and train_half.json are both of the split train" in message(tmp_path, files)
    files = {**IMAGES, "one.json": coco(NAMES[:2]), "two.json": coco(NAMES[2:4])}
    (tmp_path / "src/train.json").unlink()
    (tmp_path / "src/train_half.json").unlink()
    text = message(tmp_path, files)
    assert "one.json and two.json name no split" in text and "tools/merge_datasets.py" in text


def test_images_without_a_split_beside_others_are_an_error(tmp_path):
    files = {**IMAGES, "val.json": coco(NAMES[:2]), "rest.json": coco(NAMES[2:])}
    text = message(tmp_path, files)
    assert "no split (3 images), val (2 images)" in text
    assert "Put the images without a split (c.jpg, d.jpg, e.jpg, ...)" in text


def test_validation_images_alone_are_an_error(tmp_path):
    text = message(tmp_path, {**IMAGES, "val.json": coco(NAMES), "train.json": '{"images": ['})
    assert "val (5 images), and nothing to train on" in text
    assert "JSON files that cannot be read: 1 (train.json: " in text  # which is why


def test_same_names_in_two_folders_keep_their_folders(tmp_path):
    files = {"x/train/a.jpg": None, "x/val/a.jpg": None}
    files |= {"x/train.json": coco(["a.jpg"]), "x/val.json": coco(["a.jpg"])}
    imported(tmp_path, files)
    found = contents(tmp_path)
    assert [found[split]["images"][0]["file_name"] for split in found] == ["train/a.jpg", "val/a.jpg"]
    assert (tmp_path / "out/images/train/a.jpg").read_bytes() == (tmp_path / "src/x/train/a.jpg").read_bytes()
    assert (tmp_path / "out/images/val/a.jpg").read_bytes() == (tmp_path / "src/x/val/a.jpg").read_bytes()


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_missing_sizes_are_those_of_the_images_as_they_are_read(suffix, tmp_path):
    names = [f"a.{suffix}", "b.jpg"]
    content = coco(names)
    for image in content["images"]:
        image.update(width=None, height=None)
    write(tmp_path / "src", {**dict.fromkeys(names), "all.json": content})
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", SIZE).save(tmp_path / "src" / names[0], exif=exif)
    import_dataset(tmp_path / "src", tmp_path / "out", val_share=0.5)
    height, width = mmcv.imread(tmp_path / "src" / names[0]).shape[:2]  # OpenCV turns some formats, by its version
    found = {im["file_name"]: (im["width"], im["height"]) for c in contents(tmp_path).values() for im in c["images"]}
    assert found == {names[0]: (width, height), names[1]: SIZE}


def test_test_split_becomes_test_json(tmp_path):
    files = {**IMAGES, "train.json": coco(NAMES[:4]), "test.json": coco(NAMES[4:])}
    imported(tmp_path, files, val_share=0.25)
    numbers = {split: len(content["images"]) for split, content in contents(tmp_path).items()}
    assert numbers == dict(train=3, val=1, test=1)


# YOLO ----------------------------------------------------------------------------------------------------------------


def with_labels(**labels):
    """A YOLO folder whose first images have these label files, None for none."""
    files = yolo(STEMS)
    for name, text in labels.items():
        files[f"labels/{name}.txt"] = text
    return {name: content for name, content in files.items() if content is not None or name.endswith(".jpg")}


@READERS
def test_empty_and_missing_label_files_are_images_without_an_object(tmp_path):
    done = imported(tmp_path, with_labels(a="", b="\n \n", c=None))
    assert [boxes(tmp_path)[name] for name in NAMES] == [[], [], [], [("cat", *BOX)], [("cat", *BOX)]]
    assert notes(done) == "images without a label file, taken as images without an object: 1 (images/c.jpg)"


@READERS
@pytest.mark.parametrize(
    "line, kind",
    [
        ("1 0.2 0.2 0.6 0.2 0.6 0.6 0.2 0.6", "polygons and rotated boxes"),
        ("1 0.2 0.2 0.6 0.2 0.4 0.6 0.2 0.3 0.2 0.5 0.9", "lines with a number too many"),
        (f"1 {YOLO_BOX} 0.87", "lines with a number too many"),
    ],
)
def test_polygons_and_scores_give_a_box_and_are_named(line, kind, tmp_path):
    done = imported(tmp_path, with_labels(a=f"0 {YOLO_BOX}\n{line}\n"))
    assert boxes(tmp_path)["a.jpg"] == [("cat", *BOX), ("dog", *BOX)]
    assert kind in notes(done) and "labels/a.txt:2" in notes(done)


@READERS
@pytest.mark.parametrize("line", ["0 0.5 0.5 0.2", "cat 0.5 0.5 0.2 0.2", "0 nan 0.5 0.2 0.2", "0 0.5 0.5 -0.2 0.2"])
def test_lines_that_cannot_be_read_are_named_and_the_others_are_read(line, tmp_path):
    done = imported(tmp_path, with_labels(a=f"{line}\n1 {YOLO_BOX}"))
    assert "left out: 1 (labels/a.txt:1: " in notes(done)
    assert boxes(tmp_path)["a.jpg"] == [("dog", *BOX)]


@READERS
def test_class_without_a_name_is_an_error_that_says_where(tmp_path):
    text = message(tmp_path, with_labels(a=f"7 {YOLO_BOX}\n2 {YOLO_BOX}", b=f"2 {YOLO_BOX}"))
    assert "2 (first in labels/a.txt:2, 2 in all), 7 (first in labels/a.txt:1, 1 in all)" in text


@READERS
def test_darknet_s_lists_are_the_splits_unless_that_of_the_training_is_not_there(tmp_path):
    files = FOREIGN["yolo of cvat"][0]
    done = imported(tmp_path, files)
    assert {split: sorted(files_of(tmp_path / "out", split)) for split in ("train", "val")} == dict(
        train=NAMES[:4], val=NAMES[4:]
    )
    assert not notes(done)
    gone = {**files, "obj.data": files["obj.data"].replace("train.txt", "all.txt")}
    done = import_dataset(write(tmp_path / "gone", gone), tmp_path / "split")
    assert "lists of images that are not there: 1 (obj.data: train = data/all.txt)" in notes(done)
    assert files_of(tmp_path / "split", "train") | files_of(tmp_path / "split", "val") == set(NAMES)


@READERS
def test_keypoints_are_no_polygon(tmp_path):
    files = with_labels(a=f"1 {YOLO_BOX} 0.1 0.1 2 0.9 0.9 1")
    files["data.yaml"] += "kpt_shape: [2, 3]\n"
    done = imported(tmp_path, files)
    assert boxes(tmp_path)["a.jpg"] == [("dog", *BOX)]
    assert "keypoints, of which only the box is read: 1 (labels/a.txt:1)" in notes(done)


@READERS
def test_names_may_be_numbered_with_gaps(tmp_path):
    files = {**yolo(STEMS, "{3: cat, 12: dog}", labels=f"12 {YOLO_BOX}"), "labels/a.txt": f"3 {YOLO_BOX}"}
    imported(tmp_path, files)
    assert [boxes(tmp_path)[name][0][0] for name in NAMES] == ["cat", *["dog"] * 4]


@READERS
@pytest.mark.parametrize(
    "text, reason",
    [
        ("train: images\nnc: 2\n", "data.yaml: no names"),
        ("train: images\nnames: classes.names\n", "data.yaml: names: classes.names"),
        ("train: images\nnames: {a: cat}\n", "the keys must be the numbers"),
        ("train: images\nnames: []\n", "names is empty"),
        ("train: images\n  val: [\n", "YAML files that cannot be read: 1 (data.yaml: "),
    ],
)
def test_data_yaml_that_names_no_classes_is_named(text, reason, tmp_path):
    assert reason in message(tmp_path, {**yolo(STEMS), "data.yaml": text})


@READERS
def test_boxes_in_pixels_and_another_number_of_classes_are_named(tmp_path):
    files = {
        **with_labels(a=f"0 {YOLO_BOX}\n0 16 12 8 6\n0 1.001 0.4 0.1 0.1"),
        "data.yaml": "names: [cat, dog]\nnc: 3\n",
    }
    done = imported(tmp_path, files)
    assert "numbers above 1, read as shares of the image as YOLO has them: 1 (labels/a.txt:2)" in notes(done)
    assert "not those of the names: 1 (data.yaml: nc: 3)" in notes(done)


@READERS
def test_lists_of_names_must_agree(tmp_path):
    files = {name: content for name, content in yolo(STEMS).items() if name != "data.yaml"}
    files |= {"classes.txt": "cat\ndog\n", "labels/classes.txt": "dog\ncat\n"}
    assert "classes.txt and labels/classes.txt name classes in different ways" in message(tmp_path, files)
    imported(tmp_path, {"labels/classes.txt": "cat\ndog\n"})
    assert boxes(tmp_path) == {name: [("cat", *BOX)] for name in NAMES}


@READERS
def test_label_files_and_images_without_their_other_half_are_named(tmp_path):
    files = {**yolo(STEMS), "labels/z.txt": f"0 {YOLO_BOX}", "extra/y.jpg": None, "images/x.jpg": b"no image"}
    files |= {"labels/x.txt": f"0 {YOLO_BOX}", "labels/readme.txt": "what the classes mean"}
    done = imported(tmp_path, files)
    assert "left out: 2 (labels/x.txt, labels/z.txt)" in notes(done)
    assert "left out: 1 (extra/y.jpg)" in notes(done)
    assert "left out: 1 (images/x.jpg)" in notes(done)
    assert "readme" not in notes(done)


@READERS
def test_lists_of_images_are_read_from_where_they_are(tmp_path):
    files = yolo(STEMS, head="path: /somewhere/else\ntrain: train.txt\nval: val.txt\n")
    files |= {
        "train.txt": "./images/a.jpg\n/old/place/images/b.jpg\ndata/images/c.jpg\n",
        "val.txt": "images/d.jpg\ngone.jpg",
    }
    done = imported(tmp_path, files)
    found = {
        split: [image["file_name"] for image in content["images"]] for split, content in contents(tmp_path).items()
    }
    assert found == dict(train=NAMES[:3], val=["d.jpg"])
    assert "left out: 1 (gone.jpg)" in notes(done)
    assert "left out: 1 (images/e.jpg)" in notes(done)


@READERS
def test_splits_of_data_yaml_that_are_not_there_or_the_same(tmp_path):
    done = imported(tmp_path, yolo(STEMS, head="train: images\nval: images\ntest: images/test\n"))
    assert "left out: 1 (data.yaml: val: images)" in notes(done)
    assert "splits that are not there: 1 (data.yaml: test: images/test)" in notes(done)
    shutil.rmtree(tmp_path / "out")
    text = message(tmp_path, yolo(STEMS, head="train: images\nval: images/val\n"))
    assert "data.yaml: val: images/val is not there" in text
    assert "There are images in images (5). Correct the line, or remove it to have images split off" in text


@READERS
def test_yolo_without_a_label_file_says_where_they_were_looked_for(tmp_path):
    files = {name: content for name, content in yolo(STEMS).items() if not name.endswith(".txt")}
    assert "Looked for images/a.txt and labels/a.txt for images/a.jpg" in message(tmp_path, files)


@READERS
def test_yolo_boxes_follow_the_image_as_it_is_turned(tmp_path):
    write(tmp_path / "src", yolo(STEMS, labels="0 0.5 0.5 0.5 0.2"))
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.new("RGB", SIZE).save(tmp_path / "src/images/a.jpg", exif=exif)
    import_dataset(tmp_path / "src", tmp_path / "out")
    assert boxes(tmp_path)["a.jpg"] == [("cat", 7.5, 16.0, 15.0, 8.0)]
    assert boxes(tmp_path)["b.jpg"] == [("cat", 10.0, 12.0, 20.0, 6.0)]


def test_missing_supervision_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr("asl_mmdet.coco.importing.folder.installed_version", lambda name: "0.26.1")
    text = message(tmp_path, yolo(STEMS))
    assert "supervision 0.31 or newer, and here is 0.26.1: pip install 'supervision>=0.31'" in text
