"""The tool, and the thresholds where they are used: test.py, DetInferencer, init_detector, pictures, mmpretrain."""

import json
import pickle
from copy import deepcopy

import numpy as np
import pytest
import torch
from commands import NO_WORKERS, ROOT, call, config_of, message_of, save_random
from mmdet.apis import DetInferencer, inference_detector, init_detector
from mmdet.structures import DetDataSample
from mmengine import load
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import MODELS, DefaultScope

from asl_mmdet.coco.shapes import make_shapes
from asl_mmdet.runs.pictures import draw_detections
from asl_mmdet.thresholds import ThresholdFile
from asl_mmdet.thresholds.matching import match_detections
from asl_mmdet.thresholds.model import lower_score_thr, wrap_model


def spread_scores(model):
    """Random images' classes, instead of 0.01 for all."""
    for name, parameter in model.named_parameters():
        if name.endswith(("atss_cls.weight", "head.fc.weight")):
            torch.nn.init.normal_(parameter, std=0.1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("thresholds")
    make_shapes(folder / "shapes", num_train=4, num_val=12)
    return folder


@pytest.fixture(scope="module")
def detector(folder):
    """A config, a checkpoint with random weights, its predictions, and thresholds that keep some of them."""
    cfg = config_of(folder / "shapes", **NO_WORKERS)
    config, checkpoint = folder / "atss.py", save_random(cfg, folder / "atss.pth", spread_scores)
    cfg.dump(config)
    classes = tuple(cfg.val_dataloader.dataset.metainfo.classes)
    out = folder / "plain.pkl"
    done = call("test", config, checkpoint, "--out", out, "--dump-only", "--work-dir", folder / "work")
    assert done.returncode == 0, done.stderr
    plain = load(str(out))
    scores = np.concatenate([record["pred_instances"]["scores"].numpy() for record in plain])
    labels = np.concatenate([record["pred_instances"]["labels"].numpy() for record in plain])
    thresholds = np.full(len(classes), float(np.quantile(scores, 0.5)))
    thresholds[labels[0]] = 0.999
    file = folder / "thresholds.json"
    ThresholdFile("detection", classes, thresholds, None, 0.05).write(file)
    wrapped = Config.fromfile(config)
    wrapped.model.update(type="WithThresholds", model_type="ATSS", thresholds=str(file))
    wrapped.dump(folder / "wrapped.py")
    expected = [keep(record["pred_instances"], thresholds) for record in plain]
    assert 0 < sum(map(len, expected)) < len(scores)
    return config, checkpoint, file, plain, expected


def keep(found, thresholds):
    return found["scores"].numpy()[found["scores"].numpy() >= thresholds[found["labels"].numpy()]]


def test_tools_test_cuts_at_the_thresholds_and_says_that_ap_falls(detector, folder, tmp_path):
    config, checkpoint, file, _, expected = detector
    out = tmp_path / "cut.pkl"
    options = ["--out", out, "--dump-only", "--work-dir", tmp_path / "work"]
    done = call("test", config, checkpoint, "--thresholds", file, *options)
    assert done.returncode == 0, done.stderr
    assert "AP needs the detections below the thresholds too" in done.stderr
    cut = load(str(out))
    for record, scores in zip(cut, expected, strict=True):
        assert record["pred_instances"]["scores"].numpy() == pytest.approx(scores)
        assert record["thresholds_applied"] is True
    for record in cut:  # all below the 0.3 at which pictures of other predictions begin
        record["pred_instances"]["scores"] *= 0.2
    cfg = Config.fromfile(config)
    first = draw_detections(cfg, {"cut": cut}, 2)
    hidden = draw_detections(cfg, {"cut": [{**r, "thresholds_applied": False} for r in cut]}, 2)
    assert not np.array_equal(first, hidden)


def test_init_detector_and_inferencer_cut_as_tools_test_does(detector, folder):
    _, checkpoint, _, plain, expected = detector
    paths = [record["img_path"] for record in plain[:3]]
    model = init_detector(str(folder / "wrapped.py"), str(checkpoint), device="cpu")
    assert type(model).__name__ == "ATSS"
    for found, scores in zip(inference_detector(model, paths), expected, strict=False):
        assert found.pred_instances.scores.numpy() == pytest.approx(scores, abs=1e-5)
    inferencer = DetInferencer(str(folder / "wrapped.py"), str(checkpoint), device="cpu", show_progress=False)
    for found, scores in zip(inferencer(paths)["predictions"], expected, strict=False):
        assert found["scores"] == pytest.approx(scores.tolist(), abs=1e-5)


def test_two_stage_detector_is_cut_too_and_gives_what_its_score_thr_would_hide(tmp_path):
    """Random weights give every class of COCO about 1/81, below its score_thr of 0.05."""
    cfg = get_config("mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py")
    cfg.model.backbone.init_cfg = None
    ours, theirs = cfg.model.copy(), cfg.model.copy()
    theirs.test_cfg = lower_score_thr(cfg.model.test_cfg, 0.001)
    classes = tuple(f"class {i}" for i in range(80))
    thresholds = np.full(80, 0.02)
    thresholds[:40] = 0.0
    ThresholdFile("detection", classes, thresholds, None, 0.001).write(tmp_path / "thresholds.json")
    wrap_model(ours, str(tmp_path / "thresholds.json"))
    data = dict(
        inputs=[torch.randint(256, (3, 64, 64), dtype=torch.uint8)],
        data_samples=[DetDataSample(metainfo=dict(img_shape=(64, 64), ori_shape=(64, 64), scale_factor=(1.0, 1.0)))],
    )
    results = []
    for config in (theirs, ours):
        torch.manual_seed(0)
        with DefaultScope.overwrite_default_scope("mmdet"):
            model = MODELS.build(config).eval()
        with torch.no_grad():
            results.append(model.test_step(deepcopy(data))[0].pred_instances)
    plain, cut = results
    expected = keep(dict(scores=plain.scores, labels=plain.labels), thresholds)
    assert 0 < len(expected) < len(plain.scores)
    assert cut.scores.numpy() == pytest.approx(np.sort(expected)[::-1])
    assert cut.scores.min() < 0.05


def test_model_for_other_classes_and_a_wrong_file_are_refused(detector, folder, tmp_path):
    config, checkpoint, file, plain, _ = detector
    content = json.loads(file.read_text())
    content["classes"][0] = "zebra"
    content["thresholds"]["zebra"] = content["thresholds"].pop("red circle")
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content))
    message = message_of("test", config, checkpoint, "--thresholds", other)
    assert "no threshold for 'red circle', and 'zebra' are not classes of the test set" in message
    wrapped = Config.fromfile(folder / "wrapped.py")
    wrapped.model.thresholds = str(other)
    model = init_detector(wrapped, str(checkpoint), device="cpu")
    with pytest.raises(ValueError, match="'zebra' are not classes of the model"):
        inference_detector(model, plain[0]["img_path"])
    assert "already" in message_of("test", folder / "wrapped.py", checkpoint, "--thresholds", file)


def perfect(cfg, path):
    """Predictions that have each object once, with a score of its own for right ones, and wrong ones beside them."""
    from mmdet.registry import DATASETS
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    with DefaultScope.overwrite_default_scope("mmdet"):
        dataset = DATASETS.build(cfg.val_dataloader.dataset)
    rng, records = np.random.default_rng(0), []
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        boxes = np.array([one["bbox"] for one in info["instances"]])
        labels = np.array([one["bbox_label"] for one in info["instances"]])
        scores = np.concatenate([rng.uniform(0.2, 0.4, len(boxes)), rng.uniform(0.05, 0.1, len(boxes))])
        found = dict(
            bboxes=torch.tensor(np.concatenate([boxes, boxes + 500.0])),
            scores=torch.tensor(scores, dtype=torch.float32),
            labels=torch.tensor(np.concatenate([labels, labels])),
        )
        records.append(dict(img_id=info["img_id"], pred_instances=found))
    path.write_bytes(pickle.dumps(records))
    return match_detections(dataset, records)


def test_tool_finds_the_thresholds_that_the_predictions_were_made_by(detector, tmp_path):
    config, checkpoint, *_ = detector
    scored = perfect(Config.fromfile(config), tmp_path / "predictions.pkl")
    assert scored.is_tp.sum() * 2 == len(scored.score)
    options = ["--predictions", tmp_path / "predictions.pkl", "--out", tmp_path / "out", "--calibration", "platt"]
    done = call("tune_thresholds", config, checkpoint, *options)
    assert done.returncode == 0, done.stderr
    assert "macro F1: score 0.5 0.0" in done.stdout
    content = ThresholdFile.read(tmp_path / "out" / "thresholds.json")
    assert content.made["macro_f1"]["one threshold"] > 0.99
    kept = content.calibrate(scored.score, scored.label) >= content.thresholds[scored.label]
    assert (kept == scored.is_tp).mean() > 0.95
    for name in ("thresholds.csv", "precision_recall.png", "reliability.png"):
        assert (tmp_path / "out" / name).stat().st_size > 100


def test_tool_predicts_once_and_below_the_configs_score_thr(detector, tmp_path):
    config, checkpoint, *_ = detector
    options = ["--out", tmp_path / "out", "--score-thr", "0.001"]
    for reused in (False, True):
        done = call("tune_thresholds", config, checkpoint, *options)  # a random model: nothing need be right
        assert ("reusing" in done.stderr) is reused
        assert "Traceback" not in done.stderr
    assert {path.suffix for path in (tmp_path / "out" / "logs").glob("*/*")} >= {".log"}
    found = load(str(tmp_path / "out" / "predictions.pkl"))
    assert sum(len(one["pred_instances"]["scores"]) for one in found) == 12 * 100


def test_tool_refuses_wrong_predictions_before_it_writes(detector, tmp_path):
    config, checkpoint, *_ = detector
    (tmp_path / "bad.pkl").write_bytes(b"nothing")
    out = ["--out", tmp_path / "out"]
    message = message_of("tune_thresholds", config, checkpoint, *out, "--predictions", tmp_path / "bad.pkl")
    assert "cannot be read" in message
    assert not (tmp_path / "out").exists()


def test_classifiers_labels_and_table_follow_the_thresholds(folder, tmp_path):
    pytest.importorskip("mmpretrain")
    from mmpretrain import ImageClassificationInferencer

    cfg = Config.fromfile(ROOT / "configs/shapes/classifier_r18_asl_shapes.py")
    for key in ("train", "val", "test"):
        cfg[f"{key}_dataloader"].dataset.data_root = f"{folder}/shapes/"
        cfg[f"{key}_dataloader"].num_workers = 0
    cfg.dump(tmp_path / "classifier.py")
    save_random(cfg, tmp_path / "classifier.pth", spread_scores)
    out, work = tmp_path / "out", ["--work-dir", tmp_path / "work"]
    arguments = [tmp_path / "classifier.py", tmp_path / "classifier.pth"]
    done = call("tune_thresholds", *arguments, "--out", out, "--folds", "2")
    assert done.returncode == 0, done.stderr
    assert "labels missing: " in done.stdout
    content = ThresholdFile.read(out / "thresholds.json")
    raw = load(str(out / "predictions.pkl"))
    done = call("test", *arguments, "--thresholds", out / "thresholds.json", "--out", tmp_path / "cut.pkl", *work)
    assert done.returncode == 0, done.stderr
    assert "thresholds" in done.stdout + done.stderr
    cfg.model.update(type="WithThresholds", model_type="ImageClassifier", thresholds=str(out / "thresholds.json"))
    paths = [record["img_path"] for record in raw]
    inferencer = ImageClassificationInferencer(cfg, str(tmp_path / "classifier.pth"), device="cpu")
    found = inferencer(paths, return_datasamples=True, batch_size=12)
    cut = load(str(tmp_path / "cut.pkl"))
    for record, sample, plain in zip(cut, found, raw, strict=True):
        expected = np.flatnonzero(plain["pred_score"].numpy() >= content.thresholds)
        assert record["pred_label"].tolist() == expected.tolist()
        assert sample.pred_label.tolist() == expected.tolist()
