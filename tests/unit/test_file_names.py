"""Which file is meant by a name that is not there."""

import unicodedata

import pytest

from asl_mmdet.coco.file_names import FileFinder, entries_below


@pytest.fixture
def folder(tmp_path):
    for name in ("one.jpg", "my photo (1) größe.jpg", "sub/two.jpg", "sub/same.jpg", "other/same.jpg", "Three.JPG"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    "name, found, change",
    [
        ("one.jpg", "one.jpg", ""),
        ("images\\one.jpg", "one.jpg", r"/ instead of \, without folders"),
        ("..\\..\\media\\upload\\4\\one.jpg", "one.jpg", r"/ instead of \, without folders"),
        ("sub\\two.jpg", "sub/two.jpg", r"/ instead of " + "\\"),
        ("/home/me/data/sub/two.jpg", "sub/two.jpg", "without folders"),
        (
            "my%20photo%20%281%29%20gr%C3%B6%C3%9Fe.jpg",
            "my photo (1) größe.jpg",
            "characters instead of %20 and the like",
        ),
        (unicodedata.normalize("NFD", "my photo (1) größe.jpg"), "my photo (1) größe.jpg", "other letters"),
        ("upload/4/1a2b3c4d-one.jpg", "one.jpg", "without Label Studio's prefix"),
        ("/data/local-files/?d=x/one.jpg", "one.jpg", "a path after ?d=, without folders"),
        ("http://host:8080/data/upload/1/one.jpg", "one.jpg", "without folders"),
        ("three.jpg", "Three.JPG", "other letters"),
        ("one.png", "one.jpg", "another suffix"),
        ("two.jpg", "sub/two.jpg", "in the folder where it is"),
        (" one.jpg ", "one.jpg", "no white space around it"),
    ],
)
def test_the_smallest_change_that_finds_a_file_is_said(name, found, change, folder):
    assert FileFinder(str(folder)).find(name) == (found, change)


@pytest.mark.parametrize("name", ["same.jpg", "x/same.jpg", "none.jpg", "", "..", "\\"])
def test_no_file_is_taken_by_chance(name, folder):
    assert FileFinder(str(folder)).find(name) is None


def test_links_that_go_round_end(folder):
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "nowhere.jpg").symlink_to("none.jpg")
    (folder / "sub/up").symlink_to(folder)
    (folder / "sub/other").symlink_to(folder / "other")
    (folder / "other/sub").symlink_to(folder / "sub")
    found = [name for name, _ in entries_below(folder, lambda name: name == "up")]
    assert {"loop.jpg", "nowhere.jpg", "one.jpg", "sub/two.jpg", "sub/other/same.jpg", "other/sub/two.jpg"} <= set(
        found
    )
    assert len(found) == len(set(found)) < 20 and not any("up" in name for name in found)
    finder = FileFinder(str(folder))
    assert finder.find("Four.jpg") is None and not finder.has(str(folder / "loop.jpg"))
    assert finder.has(str(folder / "sub/other/same.jpg"))


def test_a_folder_that_is_not_there_has_no_file(tmp_path):
    assert FileFinder(str(tmp_path / "none")).find("one.jpg") is None
