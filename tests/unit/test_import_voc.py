"""Pascal VOC folders: what is read of them, and a word on all that is not."""

import pytest
from foreign_folders import BOX, NAMES, STEMS, files_of, load, notes, voc_object, write, xml

from asl_mmdet.coco.importing import import_dataset
from asl_mmdet.errors import UserError

pytest.importorskip("supervision", reason="needs pip install supervision")


def voc(**objects):
    """A VOC folder of five images with a cat; some have other objects, and None stands for no file."""
    files = {f"JPEGImages/{name}": None for name in NAMES}
    texts = {name: xml("cat") for name in STEMS} | {
        name: o if o is None or isinstance(o, str) else xml(*o) for name, o in objects.items()
    }
    return files | {f"Annotations/{name}.xml": text for name, text in texts.items() if text is not None}


def imported_voc(tmp_path, files, **options):
    return import_dataset(write(tmp_path / "src", files), tmp_path / "out", **options)


def annotations_of(root, file):
    for split in ("train", "val"):
        content = load(root, split)
        names = {entry["id"]: entry["name"] for entry in content["categories"]}
        for image in content["images"]:
            if image["file_name"] == file:
                return [
                    (names[a["category_id"]], a["iscrowd"], a["bbox"])
                    for a in content["annotations"]
                    if a["image_id"] == image["id"]
                ]
    return None


def test_difficult_objects_are_regions_to_ignore_and_named(tmp_path):
    objects = [voc_object("dog", "<difficult>1</difficult>"), voc_object("cat", "<difficult>0</difficult>")]
    done = imported_voc(tmp_path, voc(a=objects))
    assert annotations_of(tmp_path / "out", "a.jpg") == [("dog", 1, BOX), ("cat", 0, BOX)]
    assert "difficult objects" in notes(done) and ": 1 (Annotations/a.xml, object 1)" in notes(done)


def test_objects_that_cannot_be_read_are_named_and_the_others_are_read(tmp_path):
    objects = ["<name>dog</name>", "<bndbox/>", "<name>dog</name><bndbox><xmin>x</xmin></bndbox>", voc_object("dog")]
    done = imported_voc(tmp_path, voc(a=objects, b=[]))
    assert annotations_of(tmp_path / "out", "a.jpg") == [("dog", 0, BOX)]
    assert annotations_of(tmp_path / "out", "b.jpg") == []
    assert "left out: 3 (Annotations/a.xml, object 1: " in notes(done)


def test_corners_in_reverse_order_are_exchanged_and_named(tmp_path):
    corners = "<bndbox><xmin>24</xmin><ymin>7</ymin><xmax>9</xmax><ymax>18</ymax></bndbox>"
    done = imported_voc(tmp_path, voc(a=[f"<name>dog</name>{corners}"]))
    assert annotations_of(tmp_path / "out", "a.jpg") == [("dog", 0, BOX)]
    assert "read with these exchanged: 1 (Annotations/a.xml, object 1)" in notes(done)


def test_files_without_their_other_half_are_named(tmp_path):
    files = {**voc(a=None, b="<annotation><object>"), "Annotations/z.xml": xml("cat"), "JPEGImages/d.jpg": b""}
    done = imported_voc(tmp_path, files, val_share=0.5)
    assert "XML files that are no annotation of an image, not read: 1 (Annotations/b.xml)" in notes(done)
    assert "left out: 1 (Annotations/z.xml)" in notes(done)
    assert "left out: 2 (JPEGImages/a.jpg, JPEGImages/b.jpg)" in notes(done)
    assert "left out: 1 (JPEGImages/d.jpg)" in notes(done)
    assert files_of(tmp_path / "out", "train") | files_of(tmp_path / "out", "val") == {"c.jpg", "e.jpg"}


def test_image_is_found_by_the_name_in_the_file_and_another_size_is_named(tmp_path):
    files = voc(a=None, b=xml("cat", size=(80, 60)))
    done = imported_voc(tmp_path, {**files, "Annotations/0001.xml": xml("dog", filename="a.jpg")})
    assert annotations_of(tmp_path / "out", "a.jpg") == [("dog", 0, BOX)]
    assert "whose boxes may be wrong: 1 (JPEGImages/b.jpg: 40 x 30, not 80 x 60)" in notes(done)


def test_lists_of_voc_are_the_splits_and_images_in_none_are_named(tmp_path):
    lists = {"ImageSets/Main/train.txt": "a\nb\n", "ImageSets/Main/val.txt": "c\n", "ImageSets/Main/test.txt": "d"}
    done = imported_voc(tmp_path, {**voc(), **lists})
    found = [files_of(tmp_path / "out", split) for split in ("train", "val", "test")]
    assert found == [{"a.jpg", "b.jpg"}, {"c.jpg"}, {"d.jpg"}]
    assert "left out: 1 (JPEGImages/e.jpg)" in notes(done)


def test_lists_of_voc_may_have_suffixes_and_names_a_space(tmp_path):
    files = {"1 a.jpg": None, "1 a.xml": xml("cat"), "b.c.jpg": None, "b.c.xml": xml("cat")}
    lists = {"ImageSets/Main/train.txt": "1 a.jpg\n", "ImageSets/Main/val.txt": "b.c \n\n"}
    imported_voc(tmp_path, {**files, **lists})
    assert [files_of(tmp_path / "out", split) for split in ("train", "val")] == [{"1 a.jpg"}, {"b.c.jpg"}]


def test_images_of_trainval_alone_are_trained_on_and_lists_of_several_years_are_joined(tmp_path):
    lists = {"ImageSets/Main/trainval.txt": "a\nb\nc\nd\n", "ImageSets/Main/test.txt": "e"}
    imported_voc(tmp_path, {**voc(), **lists})
    found = [files_of(tmp_path / "out", split) for split in ("train", "val", "test")]
    assert found[0] | found[1] == {"a.jpg", "b.jpg", "c.jpg", "d.jpg"} and all(found[:2])
    assert found[2] == {"e.jpg"}
    years = {"VOC2007/ImageSets/Main/train.txt": "a", "VOC2007/ImageSets/Main/val.txt": "b"}
    years |= {"VOC2007/ImageSets/Main/trainval.txt": "a\nb", "VOC2012/ImageSets/Main/trainval.txt": "c\nd\ne"}
    import_dataset(write(tmp_path / "years", {**voc(), **years}), tmp_path / "joined")
    found = [files_of(tmp_path / "joined", split) for split in ("train", "val")]
    assert found == [{"a.jpg", "c.jpg", "d.jpg", "e.jpg"}, {"b.jpg"}]


def test_image_of_the_same_folder_is_taken_and_a_tie_is_an_error(tmp_path):
    files = {"train/a.jpg": None, "train/a.xml": xml("cat"), "valid/a.jpg": None, "valid/a.xml": xml("dog")}
    imported_voc(tmp_path, files)
    assert annotations_of(tmp_path / "out", "train/a.jpg") == [("cat", 0, BOX)]
    assert annotations_of(tmp_path / "out", "valid/a.jpg") == [("dog", 0, BOX)]
    write(tmp_path / "tie", {"x/a.jpg": None, "x/a.png": None, "x/a.xml": xml("cat")})
    with pytest.raises(UserError, match=r"x/a.xml can be of x/a.jpg and x/a.png: keep one"):
        import_dataset(tmp_path / "tie", tmp_path / "other")


def test_two_files_of_one_image_and_files_without_an_object_are_errors(tmp_path):
    write(tmp_path / "two", {"1.jpg": None, "1.xml": xml("cat"), "xml/1.xml": xml("dog")})
    with pytest.raises(UserError, match=r"1.xml and xml/1.xml are both of 1.jpg: keep one"):
        import_dataset(tmp_path / "two", tmp_path / "out")
    write(tmp_path / "none", {"1.jpg": None, "1.xml": xml(), "2.xml": "<annotations/>"})
    with pytest.raises(UserError, match="have no object with a name"):
        import_dataset(tmp_path / "none", tmp_path / "out")
    write(tmp_path / "alone", {"1.xml": xml("cat")})
    with pytest.raises(UserError, match=r"has an image beside it: there are 1 .xml"):
        import_dataset(tmp_path / "alone", tmp_path / "out")
