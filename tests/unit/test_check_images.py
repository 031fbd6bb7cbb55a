"""Images that are not what was annotated, or that the pipeline cannot use, are found by the checks of a data set."""

import json
import shutil

import cv2
import numpy as np
import pytest
from mmdet.utils import register_all_modules
from mmengine.config import Config
from PIL import Image

from asl_mmdet.checks import check_datasets
from asl_mmdet.checks.resizing import left_by
from asl_mmdet.coco.shapes import make_shapes

CONFIG = "configs/shapes/atss_r18_asl_shapes.py"
LOAD = dict(type="LoadImageFromFile")


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    register_all_modules()
    return make_shapes(tmp_path_factory.mktemp("data") / "shapes", num_train=4, num_val=1, num_classes=3)


class Set:
    """A copy of the data set that a test changes, with its config."""

    def __init__(self, root):
        self.root, self.path = root, root / "annotations/train.json"
        self.content = json.loads(self.path.read_text(encoding="utf-8"))
        self.cfg = Config.fromfile(CONFIG)
        self.dataset = self.cfg.train_dataloader.dataset
        names = tuple(category["name"] for category in self.content["categories"])
        self.dataset.update(data_root=f"{root}/", metainfo=dict(classes=names))
        self.cfg.model.bbox_head.num_classes = 3

    def image(self, i):
        return self.root / "train" / self.content["images"][i]["file_name"]

    def found(self, read_images=True):
        self.path.write_text(json.dumps(self.content), encoding="utf-8")
        found = check_datasets(self.cfg, ("train",), read_images)["train_dataloader.dataset"]
        return {finding.code: str(finding) for finding in found}


@pytest.fixture
def data(clean, tmp_path):
    return Set(shutil.copytree(clean, tmp_path / "shapes"))


def orient(path, orientation, crop=None, **options):
    image = Image.open(path).crop(crop) if crop else Image.open(path)
    image.load()
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(path, exif=exif, quality=95, **options)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_orientation_that_the_size_does_not_show_is_a_warning(orientation, data):
    orient(data.image(0), orientation)
    (text,) = data.found().values()
    assert text.startswith("warning: D314 ") and f"orientation {orientation}, applied when it is read" in text


@pytest.mark.parametrize("orientation", range(2, 9))
def test_orientation_of_an_image_that_is_not_square(orientation, data):
    orient(data.image(0), orientation, crop=(0, 0, 128, 96))
    data.content["images"][0].update(width=128, height=96)
    data.content["annotations"] = [a for a in data.content["annotations"] if a["image_id"] != 1]
    found = data.found()
    if orientation < 5:
        assert "D314" in found and "D313" not in found
        return
    assert f"96 x 128, turned by its EXIF orientation {orientation}, not 128 x 96" in found["D313"]
    data.content["images"][0].update(width=96, height=128)  # as a tool shows it that turns images
    found = data.found()
    assert not {"D313", "D314"} & found.keys()


def test_orientation_that_the_pipeline_ignores_is_as_stored(data):
    orient(data.image(0), 6, crop=(0, 0, 128, 96))
    data.content["images"][0].update(width=128, height=96)
    data.content["annotations"] = [a for a in data.content["annotations"] if a["image_id"] != 1]
    data.dataset.pipeline[0].color_type = "color_ignore_orientation"
    assert not {"D313", "D314"} & data.found().keys()


@pytest.mark.parametrize("kind", ["nothing", "a folder", "a link to nowhere"])
def test_what_is_no_file_is_not_found(kind, data):
    path = data.image(0)
    path.unlink()
    if kind == "a folder":
        path.mkdir()
    elif kind == "a link to nowhere":
        path.symlink_to(path.with_name("gone.jpg"))
    assert list(data.found(read_images=False)) == ["D310"]


@pytest.mark.parametrize("content", [b"nothing", b""])
def test_what_is_no_image_is_found(content, data):
    data.image(0).write_bytes(content)
    (text,) = data.found().values()
    assert text.startswith("error: D312 ")


def test_image_of_another_size_is_found(data):
    cv2.imwrite(str(data.image(0)), cv2.imread(str(data.image(0)))[:, :100])
    text = data.found()["D313"]
    assert text.startswith("error: ") and "100 x 128, not 128 x 128" in text


@pytest.mark.parametrize("value", [None, 1])
def test_upright_image_has_no_finding(value, data):
    if value:
        orient(data.image(0), value)
    assert data.found() == {}


def test_few_bits_in_a_deep_file_are_a_warning(data):
    grey = cv2.imread(str(data.image(0)), cv2.IMREAD_GRAYSCALE)
    data.content["images"][0]["file_name"] = "deep.png"
    cv2.imwrite(str(data.image(0)), grey.astype(np.uint16) * 16)
    (text,) = data.found().values()
    assert text.startswith("warning: D316 ") and "deep.png: uint16 from " in text and "Convert it to 8 bits" in text
    data.dataset.pipeline[0].imdecode_backend = "pillow"
    assert "is read as 255 to 255" in data.found()["D316"]


def test_strip_is_an_error_before_its_pixels_are_read(data):
    data.content["images"][0].update(width=8, height=4000)
    data.dataset.pipeline = [LOAD, dict(type="LoadAnnotations"), dict(type="Resize", scale=(128, 128), keep_ratio=True)]
    text = data.found(read_images=False)["D315"]
    assert text.startswith("error: D315 ") and "000001.jpg: 8 x 4000 to 0 x 128" in text
    data.dataset.pipeline[2].keep_ratio = False
    assert "D315" not in data.found(read_images=False)


@pytest.mark.parametrize(
    "resize, size, left",
    [
        (dict(type="Resize", scale=(128, 128), keep_ratio=True), (8, 4000), (0, 128)),
        (dict(type="mmdet.Resize", scale=128, keep_ratio=True), (4000, 8), (128, 0)),
        (dict(type="Resize", scale=(1333, 800), keep_ratio=True), (10, 4000), (3, 1333)),
        (dict(type="Resize", scale_factor=0.01, keep_ratio=True), (40, 4000), (0, 40)),
        (dict(type="FixScaleResize", scale=(640, 640), keep_ratio=True), (4, 9000), (0, 640)),
        (dict(type="RandomResize", scale=(320, 320), ratio_range=(0.1, 2.0), keep_ratio=True), (30, 4000), (0, 32)),
        (dict(type="RandomResize", scale=[(1333, 40), (1333, 800)], keep_ratio=True), (4, 4000), (1, 1333)),
        (dict(type="RandomChoiceResize", scales=[(1333, 800), (64, 64)], keep_ratio=True), (8, 4000), (0, 64)),
    ],
)
def test_smallest_size_that_a_resize_leaves(resize, size, left):
    assert left_by([LOAD, dict(type="LoadAnnotations", with_bbox=True), resize])(size) == left


@pytest.mark.parametrize(
    "pipeline",
    [
        None,
        [LOAD],
        [LOAD, dict(type="Resize", scale=(128, 128), keep_ratio=False)],
        [LOAD, dict(type="RandomCrop", crop_size=(8, 8)), dict(type="Resize", scale=(128, 128), keep_ratio=True)],
        [LOAD, dict(type="TestTimeAug", transforms=[])],
    ],
)
def test_size_is_not_known_where_something_else_changes_it(pipeline):
    assert left_by(pipeline)((8, 4000)) is None


def shrink(data, images, side=24):
    for image in data.content["images"][:images]:
        image.update(width=side, height=side)
    for annotation in data.content["annotations"]:
        if annotation["image_id"] <= images:
            annotation["bbox"] = [value * side / 128 for value in annotation["bbox"]]


@pytest.mark.parametrize("empty", [False, True])
def test_filter_that_leaves_nothing_is_an_error(empty, data):
    shrink(data, 4)
    data.dataset.filter_cfg = dict(filter_empty_gt=empty, min_size=32)
    found = data.found(read_images=False)
    assert "min_size=32) leaves none of 4 images" in found["D306"] and found["D306"].startswith("error")
    assert "D307" not in found
    data.dataset.test_mode = True  # MMDetection does not filter then
    assert "D306" not in data.found(read_images=False)


def test_filter_for_labels_and_size_together_leaves_nothing(data):
    shrink(data, 3)
    data.content["annotations"] = [a for a in data.content["annotations"] if a["image_id"] < 4]
    data.dataset.filter_cfg = dict(filter_empty_gt=True, min_size=32)
    assert "D306" in data.found(read_images=False)


def test_filter_that_leaves_some_is_a_warning(data):
    shrink(data, 3)
    data.dataset.filter_cfg = dict(filter_empty_gt=True, min_size=32)
    text = data.found(read_images=False)["D307"]
    assert text.startswith("warning: D307 ") and ": 3 (" in text
    data.dataset.filter_cfg = dict(filter_empty_gt=True, min_size=24)
    assert not {"D306", "D307"} & data.found(read_images=False).keys()


def test_image_that_the_filter_leaves_out_need_not_fit_the_resize(data):
    data.content["images"][0].update(width=8, height=4000)
    resize = dict(type="Resize", scale=(128, 128), keep_ratio=True)
    data.dataset.update(pipeline=[LOAD, resize], filter_cfg=dict(filter_empty_gt=False, min_size=32))
    found = data.found(read_images=False)
    assert "D307" in found and "D315" not in found
