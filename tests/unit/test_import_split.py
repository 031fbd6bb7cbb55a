"""What is made of a folder in another format: the split, the files, and what the command says."""

import os
import re
from collections import Counter
from importlib.util import find_spec

import numpy as np
import pytest
from commands import call, message_of
from foreign_folders import IMAGES, NAMES, STEMS, coco, files_of, load, notes, write, yolo
from mmengine.config import Config

from asl_mmdet.checks.preflight import check_data
from asl_mmdet.coco.importing import import_dataset
from asl_mmdet.coco.importing.split import group_of, split_images
from asl_mmdet.errors import UserError

READERS = pytest.mark.skipif(find_spec("supervision") is None, reason="needs pip install supervision")


# The split -----------------------------------------------------------------------------------------------------------


def images_of_classes(seed=0, number=400):
    """Classes of images, from one in every second image to one in 15 of them."""
    rng = np.random.default_rng(seed)
    return [{c for c, share in enumerate((0.5, 0.2, 0.1, 15 / number)) if rng.random() < share} for _ in range(number)]


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_split_has_the_share_of_every_class_within_an_image(share):
    classes = images_of_classes()
    chosen = split_images(classes, share)
    for c in range(4):
        images = [place for place, found in enumerate(classes) if c in found]
        assert abs(len(set(images) & set(chosen)) - share * len(images)) <= 1
    assert abs(len(chosen) - share * len(classes)) <= 4  # rounded per class


def test_same_seed_gives_the_same_split_and_another_one_another():
    classes = images_of_classes()
    one, again, other = (split_images(classes, 0.2, seed=seed) for seed in (1, 1, 2))
    assert one == again != other


def test_groups_stay_on_one_side_and_classes_are_stratified_all_the_same():
    classes = images_of_classes(number=600)
    groups = [place // 6 for place in range(600)]
    chosen = set(split_images(classes, 0.2, groups=groups))
    assert all(len({place in chosen for place in range(start, start + 6)}) == 1 for start in range(0, 600, 6))
    for c in range(4):
        images = {place for place, found in enumerate(classes) if c in found}
        assert len(images & chosen) == pytest.approx(0.2 * len(images), rel=0.3)


def test_class_in_one_group_is_trained_on():
    for seed in range(20):
        assert 0 not in split_images([{"rare"}, *[{"cat"}] * 9], 0.4, seed)


def test_split_without_images_on_a_side_is_an_error():
    with pytest.raises(UserError, match=r"share=0\.2 leaves a side of 3 images in 1 groups without one"):
        split_images([{"cat"}] * 3, 0.2, groups=["a"] * 3)
    with pytest.raises(UserError, match="share=1: use a number between 0 and 1"):
        split_images([{"cat"}] * 3, 1)


def test_groups_by_folder_by_pattern_and_of_copies():
    assert group_of("a/b/1.jpg", "folder") == "a/b"
    assert group_of("a/clip7_001.jpg", r"(clip\d+)_") == group_of("b/clip7_200.jpg", r"(clip\d+)_") == "clip7"
    assert group_of("a/clip7_001.jpg", r"clip\d") == "clip7"
    assert group_of("a/other.jpg", r"(clip\d+)_") == "a/other.jpg"
    assert group_of("train/x_jpg.rf.0a1b2c3d4e5f.jpg") == group_of("valid/x_jpg.rf.ffffffffffff.jpg")
    assert group_of("a/x.jpg") != group_of("b/x.jpg")


def test_frames_of_a_video_and_copies_are_on_one_side(tmp_path):
    frames = [f"clips/{clip}_{frame:03}.jpg" for clip in "abcdefghij" for frame in range(4)]
    source = write(tmp_path / "src", {**dict.fromkeys(frames), "all.json": coco(frames)})
    done = import_dataset(source, tmp_path / "out", group_by=r"([a-z])_\d+")
    sides = [{name[0] for name in files_of(tmp_path / "out", split)} for split in ("train", "val")]
    assert not sides[0] & sides[1] and len(sides[1]) == 2
    assert "40 images in 10 groups, each on one side" in done.split
    copies = [f"{image}_jpg.rf.{copy}0123456789abcde.jpg" for image in range(10) for copy in range(3)]
    source = write(tmp_path / "copies", {**dict.fromkeys(copies), "all.json": coco(copies)})
    import_dataset(source, tmp_path / "two")
    sides = [Counter(name[0] for name in files_of(tmp_path / "two", split)) for split in ("train", "val")]
    assert not sides[0].keys() & sides[1].keys() and set(sides[1].values()) == {3}


def test_copies_in_two_splits_of_the_source_are_named(tmp_path):
    names = [f"{split}/x_jpg.rf.{number}123456789abc.jpg" for number, split in enumerate(["train", "valid"])]
    files = {**dict.fromkeys(names), "train.json": coco(names[:1]), "val.json": coco(names[1:])}
    done = import_dataset(write(tmp_path / "src", files), tmp_path / "out")
    assert "groups of images that the source has in several splits: 1 ('x_jpg.jpg' in train and val)" in notes(done)


# The files -----------------------------------------------------------------------------------------------------------


def test_images_are_linked_copied_on_demand_and_where_links_fail(tmp_path, monkeypatch):
    source = write(tmp_path / "src", {**IMAGES, "all.json": coco(NAMES)})
    (source / "a.jpg").rename(tmp_path / "elsewhere.jpg")
    (source / "a.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    done = import_dataset(source, tmp_path / "linked")
    assert (done.linked, done.copied) == (5, 0)
    assert all((tmp_path / f"linked/images/{name}").samefile(source / name) for name in NAMES)
    assert not (tmp_path / "linked/images/a.jpg").is_symlink()
    done = import_dataset(source, tmp_path / "copied", copy=True)
    assert (done.linked, done.copied) == (0, 5)
    monkeypatch.setattr(os, "link", lambda *args: (_ for _ in ()).throw(OSError("another file system")))
    done = import_dataset(source, tmp_path / "fallen back")
    assert (done.linked, done.copied) == (0, 5)
    for out in ("copied", "fallen back"):
        for name in NAMES:
            assert (tmp_path / out / "images" / name).read_bytes() == (source / name).read_bytes()
            assert not (tmp_path / out / "images" / name).samefile(source / name)


def test_folder_is_not_written_into_its_source(tmp_path):
    source = write(tmp_path / "src", {**IMAGES, "all.json": coco(NAMES)})
    for out in (source, source / "out", tmp_path):
        with pytest.raises(UserError, match="are in one another"):
            import_dataset(source, out)
    assert sorted(path.name for path in source.iterdir()) == ["a.jpg", "all.json", *NAMES[1:]]


def test_what_is_there_is_replaced_once_the_new_is_complete(tmp_path, monkeypatch):
    source = write(tmp_path / "src", {**IMAGES, "all.json": coco(NAMES)})
    out = tmp_path / "out"
    write(out, {"annotations/train.json": "old", "images/old.jpg": None, "mine.txt": "kept"})
    with monkeypatch.context() as patch:
        patch.setattr("asl_mmdet.coco.importing.dataset.write_json", lambda path, content: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            import_dataset(source, out)
    assert sorted(path.name for path in out.iterdir()) == ["annotations", "images", "mine.txt"]
    assert (out / "annotations/train.json").read_text() == "old" and (out / "images/old.jpg").exists()
    import_dataset(source, out)
    assert sorted(path.name for path in out.iterdir()) == ["annotations", "images", "mine.txt"]
    assert not (out / "images/old.jpg").exists() and len(load(out)["images"]) == 4
    assert (source / "a.jpg").exists()


# The command ---------------------------------------------------------------------------------------------------------


@READERS
def test_command_prints_what_it_read_and_ends_with_the_checks(tmp_path):
    source, out = write(tmp_path / "src", {**yolo(STEMS), "labels/a.txt": "1 0.5 0.5 0.2 0.2\nx"}), tmp_path / "out"
    done = call("import_dataset", source, out)
    assert done.returncode == 0, done.stderr
    lines = [re.sub(" +", " ", line) for line in done.stdout.replace(str(tmp_path), "").splitlines()]
    for line in (
        "/src is YOLO: class names in data.yaml",
        "val is 1 of 5 images, stratified by class, with seed 0",
        "class train val",
        "cat 3 1",
        "dog 1 0",
        "images 4 1",
        "/out: images/ with 5 hard links, and annotations/train.json, annotations/val.json",
        "train: no findings",
    ):
        assert line in lines, (line, lines)
    assert any(line.startswith(" lines that cannot be read, left out: 1 (labels/a.txt:2: ") for line in lines)
    assert any("D412" in line and "1 ('dog')" in line for line in lines)
    assert "--force" in message_of("import_dataset", source, out)
    assert call("import_dataset", source, out, "--force", "--fast", "--copy").returncode == 0
    assert call("import_dataset", source / "data.yaml", out, "--force", "--fast").returncode == 0  # as YOLO names it


def test_command_ends_with_1_where_training_would_fail(tmp_path):
    source = write(tmp_path / "src", {**IMAGES, "all.json": coco(NAMES)})
    (source / "a.jpg").write_bytes((source / "a.jpg").read_bytes()[:-200])
    done = call("import_dataset", source, tmp_path / "out")
    assert done.returncode == 1 and "D311" in done.stdout
    assert call("import_dataset", source, tmp_path / "out", "--force", "--fast").returncode == 0


@pytest.mark.parametrize("is_set", [True, False])
def test_missing_folder_of_the_variable_names_it_and_the_command(is_set, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COCO_FOLDER", raising=False)
    if is_set:
        write(tmp_path / "data/mine", yolo(STEMS))
        monkeypatch.setenv("COCO_FOLDER", "data/mine")
    root = "data/mine/" if is_set else "data/coco_folder/"
    dataset = dict(
        type="CocoDataset", data_root=root, ann_file="annotations/train.json", data_prefix=dict(img="images/")
    )
    (finding,) = check_data(Config(dict(train_dataloader=dict(dataset=dataset))), ["train"])
    source = "data/mine" if is_set else "/path/to/data"
    assert finding.code == "P101"
    assert f"COCO_FOLDER names it{'' if is_set else ', and is not set'}" in finding.fix
    assert f"python tools/import_dataset.py {source} --out {source}_coco" in finding.fix
    assert "--cfg-options" not in finding.fix
    dataset["data_root"] = "data/other/"
    (finding,) = check_data(Config(dict(train_dataloader=dict(dataset=dataset))), ["train"])
    assert "--cfg-options" in finding.fix and "COCO_FOLDER" not in finding.fix
