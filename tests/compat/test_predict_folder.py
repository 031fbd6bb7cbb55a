"""A folder of images as people have them: what can be predicted is, and what cannot is named."""

import json
import shutil

import cv2
import numpy as np
import pytest
import torch
from commands import call
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData
from PIL import Image
from test_inference import save

from asl_mmdet.cli import predict as command
from asl_mmdet.coco.shapes import make_shapes
from asl_mmdet.deploy import folder as module
from asl_mmdet.deploy.folder import find_images
from asl_mmdet.errors import UserError
from asl_mmdet_cli import parse


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predict")
    make_shapes(folder / "shapes", num_train=2, num_val=3)
    return folder


@pytest.fixture(scope="module")
def atss(made):
    return save("atss", made)


@pytest.fixture
def images(made, tmp_path):
    return shutil.copytree(made / "shapes/val", tmp_path / "images")


def predict(atss, images, *options):
    out = images.parent / "out.json"
    done = call("predict", *atss, images, "--out", out, "--num-workers", "0", "--force", *options)
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    found = json.loads(out.read_text(encoding="utf-8")) if out.exists() else None
    return done, found


def names_of(found):
    return [image["file_name"] for image in found["images"]]


WHOLE = ["000001.jpg", "000002.jpg", "000003.jpg"]


def plant_bad_images(folder):
    """What is said of each."""
    whole = (folder / "000001.jpg").read_bytes()
    half = whole[: len(whole) // 2]
    for name, content in dict(text=b"nothing", empty=b"", truncated=half, ended=half + b"\xff\xd9").items():
        (folder / f"{name}.jpg").write_bytes(content)
    (folder / "link.jpg").symlink_to("nowhere.jpg")
    cv2.imwrite(str(folder / "floating.tif"), np.linspace(0, 1, 6400, dtype=np.float32).reshape(80, 80))
    for name, shape in dict(strip=(4000, 8, 3), lying_strip=(8, 4000, 3)).items():
        cv2.imwrite(str(folder / f"{name}.png"), np.full(shape, 90, np.uint8))
    reasons = {"text.jpg": "cannot be decoded", "floating.tif": "cannot be decoded"}
    reasons |= dict.fromkeys(("empty.jpg", "link.jpg"), "missing there, or empty")
    reasons |= dict.fromkeys(("truncated.jpg", "ended.jpg"), "truncated")
    reasons |= dict.fromkeys(("strip.png", "lying_strip.png"), "")
    return [f"{name}: {reason}" for name, reason in reasons.items()]


@pytest.mark.parametrize("batch_size", [1, 8])
def test_images_that_cannot_be_predicted_are_named_and_the_others_are(batch_size, atss, images):
    expected = plant_bad_images(images)
    done, found = predict(atss, images, "--batch-size", batch_size)
    assert done.returncode == 1
    assert "8 of 11 images have no prediction" in done.stderr and all(line in done.stderr for line in expected)
    assert names_of(found) == WHOLE
    assert [image["id"] for image in found["images"]] == [1, 2, 3]  # 0... is before the others


def test_what_is_found_does_not_depend_on_a_bad_image_in_the_batch(atss, images):
    _, alone = predict(atss, images)
    (images / "a.jpg").write_bytes(b"nothing")
    _, found = predict(atss, images)
    assert found["annotations"] == alone["annotations"] and len(alone["annotations"]) > 5


def test_workers_tell_what_failed_too(atss, images):
    out = images.parent / "out.json"
    cv2.imwrite(str(images / "a.png"), np.full((4000, 8, 3), 90, np.uint8))
    done = call("predict", *atss, images, "--out", out, "--num-workers", "2", "--batch-size", "2")
    assert done.returncode == 1 and "a.png: " in done.stderr
    assert names_of(json.loads(out.read_text(encoding="utf-8"))) == WHOLE


def test_every_format_of_opencv_or_pillow_is_predicted(atss, images):
    names = ["A.PNG", "a.gif", "a.jp2", "a.jpe", "a.pgm", "a.tga", "a.tiff", "a.webp"]
    picture = Image.open(images / "000001.jpg")
    for name in names:
        mode = "L" if name.endswith("pgm") else "RGB"
        picture.convert(mode).save(images / name, format="JPEG" if name.endswith("jpe") else None)
    done, found = predict(atss, images)
    assert done.returncode == 0, done.stderr
    assert names_of(found) == [*WHOLE, *names]


def test_image_larger_than_pillows_limit_is_predicted(atss, images, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # its limit for an error is twice this
    done, found = predict(atss, images)
    assert done.returncode == 0 and names_of(found) == WHOLE


HIDDEN = ["._000001.jpg", ".ipynb_checkpoints/000001-checkpoint.jpg", "__MACOSX/000001.jpg", "cam/@eaDir/a.jpg"]


def test_hidden_files_those_of_systems_and_others_are_passed_over_with_a_word(atss, images):
    for name in HIDDEN:
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        (images / name).write_bytes(b"\0\5\x16\7" + bytes(200))
    (images / "notes.txt").write_text("no image", encoding="utf-8")
    assert sorted(find_images(images).hidden) == HIDDEN
    done, found = predict(atss, images)
    assert done.returncode == 0 and names_of(found) == WHOLE
    assert "4 hidden files are passed over: " in done.stderr and HIDDEN[0] in done.stderr
    assert "1 files that are not named as images are passed over: notes.txt" in done.stderr
    itself = images.rename(images.parent / ".images")
    assert names_of(predict(atss, itself)[1]) == WHOLE


def test_linked_folders_and_files_are_read_and_a_circle_is_not_followed(images):
    elsewhere = images.parent / "elsewhere"
    (elsewhere / "deep").mkdir(parents=True)
    shutil.copy(images / "000001.jpg", elsewhere / "4.jpg")
    shutil.copy(images / "000001.jpg", elsewhere / "deep/5.jpg")
    (images / "cam2").symlink_to(elsewhere)
    (images / "6.jpg").symlink_to(elsewhere / "4.jpg")
    (images / "again").symlink_to(images)
    (elsewhere / "deep/up").symlink_to(images)
    found = find_images(images)
    assert found.images == [*WHOLE, "6.jpg", "cam2/4.jpg", "cam2/deep/5.jpg"]


def test_images_of_an_annotation_file_that_are_missing_are_named(atss, made, images):
    (images / "000002.jpg").unlink()
    done, results = predict(atss, images, "--ids-of", made / "shapes/annotations/val.json")
    assert done.returncode == 1 and "000002.jpg: missing there" in done.stderr
    assert {row["image_id"] for row in results} == {1, 3}


def test_few_bits_in_a_deep_file_are_a_warning(atss, images):
    grey = cv2.imread(str(images / "000001.jpg"), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(images / "deep.png"), grey.astype(np.uint16) * 16)
    done, found = predict(atss, images)
    assert done.returncode == 0 and "deep.png" in names_of(found)
    assert "warning: of 1 images of more than 8 bits" in done.stderr and "deep.png: uint16 from " in done.stderr


# The model ------------------------------------------------------------------------------------------------------------


class Model:
    """A detector of no layers, which fails as a test says."""

    def __init__(self, atss, fails):
        self.cfg = Config.fromfile(atss[0])
        self.dataset_meta = dict(classes=("a", "b"))
        self.fails, self.calls = fails, []

    def test_step(self, batch):
        names = [sample.img_path[-10:] for sample in batch["data_samples"]]
        self.calls.append(names)
        self.fails(names)
        for sample in batch["data_samples"]:
            sample.pred_instances = InstanceData(
                bboxes=torch.tensor([[1.0, 2, 3, 4]]), scores=torch.tensor([0.5]), labels=torch.tensor([1])
            )
        return batch["data_samples"]


def found_by(model, images, **options):
    return list(module.predict_images(model, images, sorted(path.name for path in images.iterdir()), **options))


def test_batch_that_fails_is_predicted_one_by_one(atss, images):
    def too_many(names):
        if len(names) > 1:
            raise RuntimeError("out of memory")

    model = Model(atss, too_many)
    found = found_by(model, images)
    assert all(isinstance(one, DetDataSample) for one in found)
    assert [len(names) for names in model.calls] == [3, 1, 1, 1]


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_image_that_the_model_refuses_is_named_and_the_others_are_predicted(batch_size, atss, images):
    def refuses(names):
        if "000001.jpg" in names:
            raise RuntimeError("it is not for this one\nmore")

    first, *others = found_by(Model(atss, refuses), images, batch_size=batch_size)
    assert str(first) == "000001.jpg: RuntimeError: it is not for this one"
    assert [one.img_path[-10:] for one in others] == WHOLE[1:]


@pytest.mark.parametrize("number", [3, 30])
def test_model_that_refuses_every_image_is_a_defect_and_ends_early(number, atss, images):
    for i in range(4, number + 1):
        shutil.copy(images / "000001.jpg", images / f"{i:06d}.jpg")

    def refuses(names):
        raise KeyError("a defect")

    model = Model(atss, refuses)
    with pytest.raises(KeyError, match="a defect"):
        found_by(model, images, batch_size=2)
    assert len(model.calls) <= 16


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, MemoryError])
def test_what_was_found_before_a_stop_is_kept(stop, atss, images, monkeypatch, capsys):
    def stops(*args, **options):
        yield from list(real(*args, **options))[:2]
        raise stop

    real = module.predict_images
    monkeypatch.setattr(command, "predict_images", stops)
    options = [*atss, images, "--out", images.parent / "out.json", "--num-workers", 0]
    with pytest.raises(stop):
        command.main(parse("predict", [str(option) for option in options]))
    assert "stopped after 2 of 3 images" in capsys.readouterr().err
    kept = json.loads((images.parent / "out.stopped.json").read_text(encoding="utf-8"))
    assert names_of(kept) == WHOLE[:2] and not (images.parent / "out.json").exists()


def test_failed_is_left_out_of_a_data_set(atss, images):
    (images / "000002.jpg").write_bytes(b"no image")
    _, content = predict(atss, images)
    assert [image["id"] for image in content["images"]] == [1, 3]
    assert {row["image_id"] for row in content["annotations"]} == {1, 3}


def test_folder_that_cannot_be_listed_is_an_error(tmp_path, monkeypatch):
    def refuses(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(module, "entries_below", refuses)
    with pytest.raises(UserError, match=f"FOLDER {tmp_path} cannot be listed: .*Permission denied"):
        find_images(tmp_path)
