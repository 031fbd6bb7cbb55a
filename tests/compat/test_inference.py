"""A detector of ours where it is used: MMDetection's inference and scripts, a folder of images, ONNX Runtime."""

import json
import sys

import cv2
import numpy as np
import pytest
import torch
from commands import NO_WORKERS, ROOT, call, config_of, message_of, save_random
from mmdet.apis import inference_detector, init_detector
from mmengine.config import Config
from pycocotools.coco import COCO

from asl_mmdet import run
from asl_mmdet.coco.shapes import make_shapes
from asl_mmdet.thresholds import ThresholdFile


def save(head, folder):
    """A config on the little data set, and a checkpoint whose random weights find something."""

    def change(model):
        for name, parameter in model.bbox_head.named_parameters():
            if name.endswith("weight") and parameter.dim() == 4:
                torch.nn.init.normal_(parameter, std=0.05)

    cfg = config_of(folder / "shapes", f"{head}_r18_asl", **NO_WORKERS)
    cfg.dump(folder / f"{head}.py")
    return folder / f"{head}.py", save_random(cfg, folder / f"{head}.pth", change)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inference")
    make_shapes(folder / "shapes", num_train=2, num_val=3)
    return folder


@pytest.fixture(scope="module")
def atss(folder):
    return save("atss", folder)


@pytest.fixture(scope="module")
def found(atss, folder):
    """What MMDetection's own function finds in the validation images."""
    model = init_detector(*map(str, atss), device="cpu")
    return [
        one.pred_instances for one in inference_detector(model, sorted(map(str, (folder / "shapes/val").iterdir())))
    ]


def predict(folder, *args):
    out = folder / "out" / "predictions.json"
    done = call("predict", *args[:2], folder / "shapes/val", "--out", out, "--num-workers", "0", "--force", *args[2:])
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


# python -m asl_mmdet.run ---------------------------------------------------------------------------------------------


def test_run_gives_a_script_its_arguments_its_folder_and_mmcvs_ops(tmp_path, capsys):
    (tmp_path / "beside.py").write_text("value = 7\n")
    (tmp_path / "script.py").write_text(
        "import sys, beside\nfrom mmcv.ops import nms\nprint(__name__, sys.argv[1:], beside.value)\n"
    )
    before = sys.argv, sys.path.copy()
    run.main([str(tmp_path / "script.py"), "--device", "cpu", "x"])
    assert capsys.readouterr().out.splitlines()[-1] == "__main__ ['--device', 'cpu', 'x'] 7"
    assert (sys.argv, sys.path) == before


def test_run_finds_mmdetections_script_by_its_name(atss, capsys):
    run.main(["get_flops.py", str(atss[0]), "--num-images", "1"])
    assert "Params: 3.142M" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name, path",
    [("train.py", "tools/train.py"), ("browse_dataset", "tools/analysis_tools/browse_dataset.py")],
)
def test_of_scripts_with_one_name_run_takes_the_least_deep(name, path):
    assert run.find_script(name).as_posix().endswith(f"mmdet/.mim/{path}")


def test_run_names_the_scripts_that_there_are(capsys):
    with pytest.raises(SystemExit):
        run.main(["nothing.py"])
    message = capsys.readouterr().err
    assert "SCRIPT nothing.py: there is no such file" in message
    assert "analysis_tools/get_flops.py" in message


# tools/predict.py ----------------------------------------------------------------------------------------------------


def test_folder_becomes_a_coco_data_set_of_what_mmdetection_finds(atss, folder, found):
    content = predict(folder, *atss)
    coco = COCO(str(folder / "out/predictions.json"))
    assert [image["file_name"] for image in content["images"]] == ["000001.jpg", "000002.jpg", "000003.jpg"]
    assert [(image["width"], image["height"]) for image in content["images"]] == [(128, 128)] * 3
    for i, expected in enumerate(found, start=1):
        rows = coco.loadAnns(coco.getAnnIds(imgIds=i))
        assert [row["score"] for row in rows] == pytest.approx(expected.scores.tolist(), abs=1e-5)
        assert [row["category_id"] - 1 for row in rows] == expected.labels.tolist()
        boxes = np.array([row["bbox"] for row in rows])
        boxes[:, 2:] += boxes[:, :2]
        np.testing.assert_allclose(boxes, expected.bboxes.numpy(), atol=1e-2)
    assert coco.cats[1]["name"] == "red circle" and len(coco.cats) == 24


def test_ids_of_an_annotation_file_give_the_list_that_pycocotools_takes(atss, folder, found, tmp_path):
    annotations = json.loads((folder / "shapes/annotations/val.json").read_text())
    for image in annotations["images"]:
        image["id"] += 500
    for row in annotations["annotations"]:
        row["image_id"] += 500
    annotations["categories"] = [{**one, "id": 100 + one["id"]} for one in reversed(annotations["categories"])]
    (tmp_path / "val.json").write_text(json.dumps(annotations))
    results = predict(folder, *atss, "--ids-of", tmp_path / "val.json")
    COCO(str(tmp_path / "val.json")).loadRes(results)
    name_of = {one["id"]: one["name"] for one in annotations["categories"]}
    classes = Config.fromfile(atss[0]).val_dataloader.dataset.metainfo.classes
    assert [name_of[row["category_id"]] for row in results] == [classes[i] for one in found for i in one.labels]


def test_thresholds_cut_the_predictions_of_both_kinds_of_file(atss, folder, found):
    pytest.importorskip("onnxruntime")
    classes = tuple(Config.fromfile(atss[0]).val_dataloader.dataset.metainfo.classes)
    scores = torch.cat([one.scores for one in found]).numpy()
    threshold = float(np.median(scores)) + 1e-5
    ThresholdFile("detection", classes, np.full(24, threshold), None, 0.05).write(folder / "thresholds.json")
    export(atss, folder / "cut.onnx")
    kept = []
    for file in (atss[1], folder / "cut.onnx"):
        rows = predict(folder, atss[0], file, "--thresholds", folder / "thresholds.json")["annotations"]
        assert min(row["score"] for row in rows) >= threshold - 1e-6
        kept.append(len(rows))
    assert kept == [int((scores >= threshold).sum())] * 2


def test_predict_refuses_what_is_wrong_before_it_writes(atss, folder, tmp_path):
    (tmp_path / "images").mkdir()
    arguments = [*atss, tmp_path / "images", "--out", tmp_path / "out/x.json"]
    assert "there is no image in it (.avif, " in message_of("predict", *arguments)
    (tmp_path / "images/bad.jpg").write_text("no image")
    assert "missing there, or no images. Mend or remove them\nbad.jpg: cannot be" in message_of("predict", *arguments)
    cv2.imwrite(str(tmp_path / "images/bad.jpg"), np.zeros((64, 96, 3), np.uint8))
    other = save("retinanet", folder)[1]
    assert "is not a checkpoint of this config" in message_of("predict", atss[0], other, *arguments[2:])
    message = message_of("predict", *arguments, "--ids-of", folder / "shapes/annotations/val.json")
    assert "missing there, or no images. Mend or remove them\n000001.jpg: missing there, or empty\n" in message
    content = json.loads((folder / "shapes/annotations/val.json").read_text())
    content["categories"] = content["categories"][1:]
    (tmp_path / "fewer.json").write_text(json.dumps(content))
    message = message_of("predict", *arguments, "--ids-of", tmp_path / "fewer.json")
    assert "lacks classes of the model: red circle" in message
    tagger = ROOT / "configs/shapes/classifier_r18_asl_shapes.py"
    assert "CONFIG is a multi-label classifier's" in message_of("predict", tagger, *arguments[1:])
    assert not (tmp_path / "out").exists()


# tools/export_onnx.py ------------------------------------------------------------------------------------------------


def export(model, out, *options):
    done = call("export_onnx", *model, "--out", out, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("head", ["atss", "fcos", "retinanet"])
def test_exported_head_gives_pytorchs_numbers_for_any_batch_and_size(head, folder):
    onnxruntime = pytest.importorskip("onnxruntime")
    config, checkpoint = save(head, folder)
    printed = export((config, checkpoint), folder / f"{head}.onnx")
    assert "1 x 3 x 128 x 160: largest difference" in printed and "3 x 3 x 224 x 96: largest difference" in printed
    session = onnxruntime.InferenceSession(str(folder / f"{head}.onnx"), providers=["CPUExecutionProvider"])
    images = torch.randn(2, 3, 64, 192)
    model = init_detector(str(config), str(checkpoint), device="cpu")
    with torch.no_grad():
        expected = [level for maps in model.bbox_head(model.extract_feat(images)) for level in maps]
    for ours, theirs in zip(session.run(None, {"images": images.numpy()}), expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-3, atol=1e-4)


def test_boxes_by_onnx_runtime_are_those_of_pytorch(atss, folder, found):
    pytest.importorskip("onnxruntime")
    export(atss, folder / "boxes.onnx")
    rows = predict(folder, atss[0], folder / "boxes.onnx")["annotations"]
    assert [row["score"] for row in rows] == pytest.approx([s for one in found for s in one.scores.tolist()], abs=1e-4)
    assert [row["category_id"] - 1 for row in rows] == [label for one in found for label in one.labels.tolist()]


def test_fixed_size_takes_smaller_images_and_refuses_larger_ones(atss, folder, tmp_path):
    pytest.importorskip("onnxruntime")
    from asl_mmdet.deploy.runtime import OnnxNetwork

    export(atss, tmp_path / "fixed.onnx", "--size", "96", "128")
    network = OnnxNetwork(tmp_path / "fixed.onnx")
    cls_scores, *others = network(torch.randn(2, 3, 64, 128))
    assert tuple(cls_scores[0].shape[2:]) == (24, 32) and len(others) == 2
    arguments = [atss[0], tmp_path / "fixed.onnx", folder / "shapes/val", "--out", tmp_path / "x.json"]
    assert "up to 96 x 128, and these have 128 x 128" in message_of("predict", *arguments)


def test_export_that_differs_leaves_no_file(atss, tmp_path):
    pytest.importorskip("onnxruntime")
    message = message_of("export_onnx", *atss, "--out", tmp_path / "x.onnx", "--tolerance", "1e-12")
    assert "the outputs differ from PyTorch's by more than --tolerance 1e-12" in message
    assert list(tmp_path.iterdir()) == []


def test_detector_that_is_not_dense_is_refused():
    pytest.importorskip("onnx")
    from asl_mmdet.deploy.export import DenseNetwork

    with pytest.raises(ValueError, match=r"model.type='Linear': only dense one-stage detectors are exported"):
        DenseNetwork(torch.nn.Linear(1, 1))


def test_without_onnx_the_command_says_what_to_install(atss, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    message = message_of("export_onnx", *atss, "--out", tmp_path / "x.onnx")
    assert "onnxruntime cannot be found here" in message and "pip install" in message
