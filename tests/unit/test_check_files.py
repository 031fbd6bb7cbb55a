"""Annotation files in other encodings and formats."""

import gzip
import json
import shutil

import pytest
from annotated import clean_set, codes, config_of, copied_set, each, edit, found_in  # noqa: F401
from commands import call

import asl_mmdet.known_classes  # noqa: F401
from asl_mmdet.checks import check_datasets
from asl_mmdet.checks.rules import RULES

pytestmark = pytest.mark.usefixtures("mmdet_scope")


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
    assert finding.code == "D105" and what in str(finding) and "instances" in str(finding)


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
    assert finding.code == "D102" and finding.is_error and "UTF" in str(finding)
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


def test_a_fix_that_a_function_says_is_no_function_in_the_docs():
    pytest.importorskip("griffe")
    from docs_build.reference import checks

    assert "function" not in checks() and len(RULES) == checks().count("\n") - 1


@pytest.mark.parametrize(
    "style, expected",
    [
        ("images\\{}", "is there as '000001.jpg'"),
        ("upload/4/ab12-{}", "without Label Studio's prefix"),
        ("{}.gone", "Restore the file"),
    ],
)
def test_a_change_that_finds_the_file_is_said(style, expected, root, tmp_path):
    edit(root, each("images", file_name=lambda image, i: style.format(image["file_name"])))
    finding = next(finding for finding in found_in(root) if finding.code == "D310")
    assert expected in str(finding) and f"file_name is the path from {root}/train/" in str(finding)
    if "fix_annotations" in str(finding):
        path = root / "annotations/train.json"
        done = call("fix_annotations", path, tmp_path / "x.json", "--image-folder", root / "train")
        assert "8 file names" in done.stdout
        shutil.move(tmp_path / "x.json", path)
        assert codes(root) == set()


def test_a_folder_that_data_prefix_does_not_name_is_found(root):
    cfg = config_of(root)
    cfg.train_dataloader.dataset.data_prefix.img = "val/"
    edit(root, lambda content: content["images"][7].update(file_name="000008.jpg"))
    finding = next(finding for finding in found_in(root, cfg=cfg) if finding.code == "D310")
    assert "write data_prefix=dict(img='train/')" in str(finding)
