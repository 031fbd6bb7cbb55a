"""The benchmark: plans, what is collected from a run, its rows, statistics, and the report."""

import json
import math
import runpy
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from commands import PLAN, ROOT, call
from mmengine.config import Config

from asl_mmdet.benchmark import Plan, detection_metrics, environment, thirds
from asl_mmdet.benchmark.environment import conditions
from asl_mmdet.benchmark.metrics import class_frequency, score_metrics
from asl_mmdet.benchmark.paired import differences, interval
from asl_mmdet.benchmark.report import write_report
from asl_mmdet.benchmark.rows import TABLES, Rows, compare
from asl_mmdet.coco.drop_boxes import drop_boxes
from asl_mmdet.coco.shapes import make_shapes
from asl_mmdet.hooks import PeakMemoryHook
from asl_mmdet.losses.presets import PRESETS


@pytest.mark.parametrize(
    "change, message",
    [
        ("seed = 3", "seed is missing or unknown"),
        ("del baseline", "baseline is missing"),
        ("baseline = 'focal'", "baseline='focal' is none of the losses bce, asl"),
        ("seeds = ()", "must not be empty"),
        ("losses['x'] = 'detect'", "there is no preset detect, only detection, "),
        ("losses['x'] = dict(preset='detect', clip=0.1)", "there is no preset detect, only detection, "),
    ],
)
def test_wrong_plans_are_refused(change, message, tmp_path):
    text = PLAN.replace('baseline = "bce"\n', "") if change.startswith("del") else PLAN + change
    (tmp_path / "plan.py").write_text(text)
    with pytest.raises(ValueError, match=message):
        Plan.read(tmp_path / "plan.py")


def test_preset_is_named_whole_or_with_other_values(tmp_path):
    presets = 'losses.update(a="detection", b=dict(preset="detection_missing_rate", missing_rate=0.3))'
    (tmp_path / "plan.py").write_text(f"{PLAN}{presets}")
    losses = Plan.read(tmp_path / "plan.py").losses
    assert losses["a"] == PRESETS["detection"]
    assert losses["b"] == {**PRESETS["detection_missing_rate"], "missing_rate": 0.3}
    assert PRESETS["detection_missing_rate"]["missing_rate"] == 0.5
    assert losses["bce"] is None


def test_differences_are_on_equal_seeds_and_their_interval_is_that_of_students_t():
    ours, base = {0: 3.0, 1: 4.0, 2: 8.0, 7: 99.0}, {0: 1.0, 1: 3.0, 2: 5.0, 8: 0.0}
    values = [("asl", seed, value) for seed, value in ours.items()] + [("focal", s, v) for s, v in base.items()]
    runs = pd.DataFrame(values, columns=["loss", "seed", "main"]).assign(config="atss", data="half")
    runs = pd.concat([runs, runs[:1].assign(data="whole")])  # the same seed on other data is no pair
    found = differences(runs, "main", "loss", "focal")
    assert found.fillna(-1).tolist() == [2, 1, 3, -1, 0, 0, 0, 0, -1]
    assert differences(runs, "main", "data", "half").fillna(-1).tolist() == [0] * 9
    mean, half = interval(found[:4].dropna().tolist())
    assert mean == pytest.approx(2)
    assert half == pytest.approx(4.303 / math.sqrt(3), rel=1e-3)
    assert interval([1.0])[0] == 1 and math.isnan(interval([1.0])[1])
    assert math.isnan(interval([])[0])


def test_thirds_are_by_frequency():
    per_class = {"a": 10.0, "b": 20.0, "c": 30.0, "d": 40.0, "e": 50.0, "f": 60.0, "g": math.nan}
    frequency = {"a": 6, "b": 5, "c": 4, "d": 3, "e": 2, "f": 1, "g": 9}
    assert thirds(per_class, frequency) == {"rare": 55, "common": 35, "frequent": 15}


def shapes_and_predictions(folder):
    """A config on a little data set, and its ground truth as predictions."""
    root = make_shapes(folder / "shapes", num_train=20, num_val=6)
    cfg = Config.fromfile(ROOT / "configs/shapes/atss_r18_asl_shapes.py")
    cfg.train_dataloader.dataset.data_root = f"{root}/"
    cfg.test_evaluator.ann_file = f"{root}/annotations/val.json"
    content = json.loads((root / "annotations/val.json").read_text())
    predictions = []
    for image in content["images"]:
        own = [a for a in content["annotations"] if a["image_id"] == image["id"]]
        boxes = torch.tensor([a["bbox"] for a in own])
        boxes[:, 2:] += boxes[:, :2]
        labels = torch.tensor([a["category_id"] - 1 for a in own])
        instances = dict(bboxes=boxes, scores=torch.ones(len(own)), labels=labels)
        predictions.append(dict(img_id=image["id"], pred_instances=instances))
    return cfg, predictions, content


def test_faster_coco_eval_and_pycocotools_agree(tmp_path, monkeypatch):
    pytest.importorskip("faster_coco_eval")
    cfg, predictions, _ = shapes_and_predictions(tmp_path)
    generator = torch.Generator().manual_seed(0)
    for prediction in predictions:  # shifted boxes, random scores, some wrong classes
        instances = prediction["pred_instances"]
        instances["bboxes"] = instances["bboxes"] + torch.randn(instances["bboxes"].shape, generator=generator) * 1.5
        instances["scores"] = torch.rand(len(instances["scores"]), generator=generator)
        wrong = torch.rand(len(instances["labels"]), generator=generator) < 0.2
        instances["labels"] = torch.where(wrong, 0, instances["labels"])
    faster = detection_metrics(cfg, predictions)
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    ours = detection_metrics(cfg, predictions)
    assert 5 < ours["metrics"]["AP"] < 95
    assert faster["metrics"] == pytest.approx(ours["metrics"], abs=1e-6)
    assert faster["per_class"] == pytest.approx(ours["per_class"], abs=1e-6, nan_ok=True)
    assert faster["precision_at_recall"] == pytest.approx(ours["precision_at_recall"], abs=1e-6)


def test_labels_follow_the_order_of_the_file(tmp_path):
    cfg, predictions, _ = shapes_and_predictions(tmp_path)
    before = detection_metrics(cfg, predictions)
    cfg.test_dataloader.dataset.metainfo.classes = tuple(reversed(cfg.test_dataloader.dataset.metainfo.classes))
    assert detection_metrics(cfg, predictions)["metrics"] == before["metrics"]


def test_detection_metrics_of_perfect_and_of_no_predictions(tmp_path):
    cfg, predictions, content = shapes_and_predictions(tmp_path)
    root = Path(cfg.train_dataloader.dataset.data_root)
    result = detection_metrics(cfg, predictions)
    assert result["metrics"]["AP"] == pytest.approx(100)
    assert "APl" not in result["metrics"]  # there is no large object
    assert result["detections"] == len(content["annotations"])
    assert np.nanmin(result["precision_at_recall"]) == pytest.approx(1)
    train = json.loads((root / "annotations/train.json").read_text())["annotations"]
    assert result["frequency"]["red circle"] == sum(a["category_id"] == 1 for a in train)
    for prediction in predictions:
        prediction["pred_instances"] = {key: value[:0] for key, value in prediction["pred_instances"].items()}
    assert detection_metrics(cfg, predictions)["metrics"]["AP"] == 0


def test_score_metrics_of_perfect_wrong_and_few_predictions(tmp_path):
    cfg, predictions, _ = shapes_and_predictions(tmp_path)
    cfg.test_dataloader.dataset.data_root = cfg.train_dataloader.dataset.data_root
    assert score_metrics(cfg, predictions) == {"macro F1": pytest.approx(100), "ECE": pytest.approx(0)}
    for prediction in predictions:  # nothing is where it is said to be
        prediction["pred_instances"]["bboxes"] = prediction["pred_instances"]["bboxes"] + 500
        prediction["pred_instances"]["scores"] = torch.full_like(prediction["pred_instances"]["scores"], 0.75)
    assert score_metrics(cfg, predictions) == {"ECE": pytest.approx(75)}
    for prediction in predictions:
        prediction["pred_instances"] = {key: value[:0] for key, value in prediction["pred_instances"].items()}
    assert score_metrics(cfg, predictions) == {}


def result_of(loss, seed, value, config="atss"):
    return dict(
        config=config,
        loss=loss,
        data="clean",
        seed=seed,
        baseline="focal",
        main_metric="AP",
        metrics=dict(AP=value, AP50=value + 10),
        curve={"1": value / 2, "2": value},
        prob_gap=-0.35,
        per_class=dict(a=value, b=value + 1),
        frequency=dict(a=100, b=10),
        precision_at_recall=[1 - i / 100 for i in range(101)],
        detections=50,
        seconds_per_iteration=0.2,
        seconds_per_validation_batch=0.1,
        peak_memory_mb=900,
        device="CPU",
        versions=dict(torch="2.0"),
        commit="abc",
        date="2026-01-01",
    )


RESULTS = [
    result_of("focal", 0, 40.0),
    result_of("focal", 1, 42.0),
    result_of("asl", 0, 41.0),
    result_of("asl", 1, 44.0),
]


def test_report_has_means_paired_differences_and_plots(tmp_path):
    later = dict(result_of("asl", 0, 30.0, "fcos"), commit="def", date="2026-01-02")  # its baseline is not finished
    results = [*RESULTS, later]
    write_report(Rows.of(results, "mine"), ["fcos-focal-clean-seed0: exit code 1"], tmp_path, "title")
    text = (tmp_path / "report.md").read_text()
    assert "\n5 runs, 2026-01-01, 2026-01-02; CPU, torch 2.0; commit abc, def\n" in text
    assert "| focal | 2 | 41.00 ± 1.41 | baseline | 51.00 ± 1.41 |" in text
    half = 12.706 * math.sqrt(0.5) / math.sqrt(2)
    assert f"| asl | 2 | 42.50 ± 2.12 | +1.50 [{1.5 - half:+.2f}, {1.5 + half:+.2f}] |" in text
    assert f"| atss | clean | 41.00 ± 1.41 | +1.50 [{1.5 - half:+.2f}, {1.5 + half:+.2f}] |" in text  # the summary
    assert "| fcos | clean |  | no baseline |" in text
    assert "fcos-focal-clean-seed0: exit code 1" in text
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 4 == len(list(tmp_path.glob("*.png")))
    assert 'src="http' not in page
    assert "| atss | clean | asl | 1 | 44.00 | +2.00 |" in text  # the row behind the mean


def test_plots_without_their_rows_are_left_out(tmp_path):
    rows = Rows.of(RESULTS, "mine")
    write_report(Rows(rows.runs, rows.classes.iloc[:0], rows.curves.iloc[:0]), [], tmp_path, "title")
    assert [path.name for path in tmp_path.glob("*.png")] == ["speed.png"]


def test_rows_are_what_they_were_when_they_are_read_again(tmp_path):
    other = dict(result_of("asl", 7, 1 / 3, "fcos"), per_class={"NA": 1.5, "b": math.nan}, frequency={"NA": 3, "b": 0})
    rows = Rows.of([*RESULTS, other], "mine")
    rows.write(tmp_path)
    again = Rows.read(tmp_path)
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(again, name), getattr(rows, name), check_dtype=False)
    assert again.classes["class"].iloc[-2] == "NA"  # a name, and no missing value
    assert again.runs["prob_gap"].iloc[0] == pytest.approx(-0.35)
    assert again.runs["versions"].iloc[0] == "torch 2.0"
    assert set(again.curves["curve"]) == {"AP", "precision"}


def test_added_rows_replace_those_of_the_same_runs_with_all_that_is_theirs(tmp_path):
    Rows.of(RESULTS, "mine").add_to(tmp_path, TABLES)
    Rows.of(RESULTS, "other").add_to(tmp_path, ["runs"])
    changed = [result_of("asl", 1, 50.0), result_of("asl", 2, 51.0)]
    Rows.of(changed, "mine").add_to(tmp_path, ["runs"])
    rows = Rows.read(tmp_path)
    assert rows.where(experiment="mine").runs["main"].tolist() == [40, 42, 41, 50, 51]
    assert rows.where(experiment="other").runs["main"].tolist() == [40, 42, 41, 44]
    assert set(zip(rows.classes["loss"], rows.classes["seed"], strict=True)) == {("focal", 0), ("focal", 1), ("asl", 0)}


def test_an_experiment_has_the_runs_of_others_that_it_counts_and_its_own_baseline():
    first, second = Rows.of(RESULTS[:2], "first"), Rows.of(RESULTS[2:], "second")
    runs = pd.concat([first.runs.assign(also="third second"), second.runs.assign(baseline="asl")])
    rows = Rows(runs.reset_index(drop=True), first.classes, first.curves)
    found = rows.where(experiment="second")
    assert found.runs["main"].tolist() == [40, 42, 41, 44]
    assert set(found.runs["baseline"]) == {"asl"}
    assert set(rows.where(experiment="first").runs["baseline"]) == {"focal"}
    assert len(rows.where(experiment="second", loss="focal", seed="0,2").classes) == 2  # of one run, two classes
    for wanted, message in ((dict(los="asl"), "los=asl"), (dict(loss="x"), "loss=x.* asl, focal")):
        with pytest.raises(ValueError, match=message):
            rows.where(**wanted)


def test_rows_are_reported_added_and_compared_by_the_command(tmp_path):
    Rows.of(RESULTS, "mine").write(tmp_path / "a")
    Rows.of([result_of("focal", 0, 41.5)], "mine").write(tmp_path / "b")
    done = call("benchmark", "--rows", tmp_path / "a", "--where", "loss=focal,asl", "--out", tmp_path / "out")
    assert done.stdout.startswith("# mine\n") and "| atss | clean | 41.00 ± 1.41 | +1.50" in done.stdout
    assert (tmp_path / "out" / "mine" / "report.html").is_file()
    assert call("benchmark", "--rows", tmp_path / "b", "--append", tmp_path / "a").returncode == 0
    assert Rows.read(tmp_path / "a").runs["main"].tolist() == [42, 41, 44, 41.5]
    assert "focal-0: AP 41.50 -> 41.50" in call("benchmark", "--compare", tmp_path / "a", tmp_path / "b").stdout
    done = call("benchmark", "--rows", tmp_path / "a", "--where", "loss=nothing")
    assert done.returncode == 1 and "error: loss=nothing: no run has it; there are asl, focal" in done.stderr
    assert "there is no folder of rows" in call("benchmark", "--rows", tmp_path / "nowhere").stderr


def test_conditions_are_read_from_the_config_and_its_annotations(tmp_path):
    root = make_shapes(tmp_path / "shapes", num_train=20, num_val=4)
    cfg = Config.fromfile(ROOT / "configs/shapes/atss_r18_focal_shapes.py")
    train, test = cfg.train_dataloader.dataset, cfg.test_dataloader.dataset
    train.data_root = test.data_root = f"{root}/"
    test.pipeline.insert(1, dict(type="Resize", scale=(320, 256)))
    path = root / "annotations/train.json"
    complete = json.loads(path.read_text())
    coco = drop_boxes(complete, rate=0.4)
    path.write_text(json.dumps(coco))
    gone, left = (len(part["annotations"]) for part in (coco["dropped"], coco))
    found = conditions(cfg)
    assert found["missing"] == round(gone / (gone + left), 2) == pytest.approx(0.4, abs=0.15)
    assert found["protocol"] == "uniform" and found["set"] == "shapes"
    assert (found["pixels"], found["epochs"]) == (320, 6)
    assert found["parameters"] == "type=FocalLoss alpha=0.25 gamma=2.0 loss_weight=1.0"

    coco["annotations"].append(dict(coco["annotations"][0], id=10**6, source="audit_labels"))
    path.write_text(json.dumps(coco))  # what an audit added was not there before
    assert conditions(cfg)["missing"] == found["missing"]
    path.write_text(json.dumps(drop_boxes(complete, "half_images")))
    assert (conditions(cfg)["missing"], conditions(cfg)["protocol"]) == (0, "half_images")  # these images are complete
    path.write_text(json.dumps(complete))
    assert (conditions(cfg)["missing"], conditions(cfg)["protocol"]) == (0, "")


def test_compare_shows_changes_and_what_one_has_alone():
    lines = compare(Rows.of(RESULTS[:3], "a"), Rows.of([result_of("focal", 0, 41.5), *RESULTS[2:]], "b"))
    assert "atss-clean-focal-0: AP 40.00 -> 41.50 (+1.50), time x 1.00" in lines
    assert "atss-clean-focal-1: only in the first" in lines
    assert "atss-clean-asl-1: only in the second" in lines


def test_commit_is_that_of_a_checkout_and_of_nothing_else(tmp_path):
    git = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert environment()["commit"] == git.stdout.strip()
    # A copy of the package at the top of somebody else's repository, as site-packages may lie in one.
    copied = tmp_path / "asl_mmdet/benchmark/environment.py"
    copied.parent.mkdir(parents=True)
    shutil.copy(ROOT / "asl_mmdet/benchmark/environment.py", copied)
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'theirs'\n")
    for command in ("init -q", "add pyproject.toml", "-c user.name=a -c user.email=a@b.c commit -qm first"):
        subprocess.run(["git", *command.split()], cwd=tmp_path, check=True)
    theirs = runpy.run_path(str(copied))
    assert (theirs["ROOT"], theirs["environment"]()["commit"]) == (tmp_path, "")


def test_peak_memory_is_the_largest_of_all_parts_of_a_run(tmp_path):
    runner = SimpleNamespace(work_dir=tmp_path)
    PeakMemoryHook().after_train_epoch(runner)
    first = json.loads((tmp_path / "peak_memory.json").read_text())
    assert 50 < first["host_mb"] < 100_000
    assert ("device_mb" in first) == torch.cuda.is_available()
    (tmp_path / "peak_memory.json").write_text(json.dumps({"host_mb": 123_456}))
    PeakMemoryHook().after_train(runner)
    assert json.loads((tmp_path / "peak_memory.json").read_text())["host_mb"] == 123_456


def test_classes_are_counted_by_the_data_sets_themselves_in_any_wrapper(tmp_path):
    root = make_shapes(tmp_path / "shapes", num_train=20, num_val=6)
    content = json.loads((root / "annotations/train.json").read_text())
    boxes, images = Counter(), Counter()
    for category in content["categories"]:
        own = [a["image_id"] for a in content["annotations"] if a["category_id"] == category["id"]]
        boxes[category["name"]], images[category["name"]] = len(own), len(set(own))
    for path, expected in (("atss_r18_asl_shapes.py", boxes), ("classifier_r18_asl_shapes.py", images)):
        cfg = Config.fromfile(ROOT / "configs/shapes" / path)
        dataset = cfg.train_dataloader.dataset
        dataset.data_root = f"{root}/"
        assert dict(zip(*class_frequency(cfg), strict=True)) == {name: expected[name] for name in boxes}
        cfg.train_dataloader.dataset = dict(type="ConcatDataset", datasets=[dataset, dataset])
        assert dict(zip(*class_frequency(cfg), strict=True)) == {name: 2 * expected[name] for name in boxes}


def test_what_cannot_be_reported_is_refused_before_anything_runs(tmp_path):
    (tmp_path / "config.py").write_text(
        f"_base_ = '{ROOT}/configs/shapes/atss_r18_asl_shapes.py'\n"
        "val_evaluator = dict(_delete_=True, type='VOCMetric')\ntest_evaluator = val_evaluator\n"
    )
    (tmp_path / "two_stage.py").write_text("_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'\n")
    plan = PLAN.replace(
        "dict(classifier=", f"dict(two='{tmp_path}/two_stage.py', voc='{tmp_path}/config.py', classifier="
    )
    (tmp_path / "plan.py").write_text(plan)
    done = call("benchmark", tmp_path / "plan.py", "--out", tmp_path / "out", "--dry-run")
    assert done.returncode == 1
    assert "voc-asl-default-seed0: val_evaluator is VOCMetric, and the report reads one CocoMetric" in done.stderr
    assert "two-asl-default-seed0: FasterRCNN has 2 classification losses" in done.stderr
    assert "classifier-" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_missing_plan_and_data_are_explained(tmp_path):
    said = call("benchmark", "nowhere.py").stderr
    assert "there is no plan nowhere.py" in said and "benchmarks/plans/" in said
    (tmp_path / "plan.py").write_text(PLAN + "data = dict(x={'train_dataloader.dataset.data_root': 'data/nowhere/'})\n")
    done = call("benchmark", tmp_path / "plan.py", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "data/nowhere/annotations/train.json" in done.stderr
