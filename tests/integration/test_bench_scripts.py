"""The scripts in benchmarks/ say what to run first."""

import csv
import json
import runpy
import sys
from collections import Counter

import pytest
import torch
from commands import ROOT, config_of
from mmengine import dump
from PIL import Image

from asl_mmdet.coco.shapes import make_shapes


def message_of(script, *args, monkeypatch):
    """What the script says when it ends, called in this process."""
    monkeypatch.setattr(sys, "argv", [script, *map(str, args)])
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(ROOT / "benchmarks" / script), run_name="__main__")
    return str(stop.value)


def test_step_without_data_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base = ROOT / "configs/shapes/atss_r18_asl_shapes.py"
    (tmp_path / "config.py").write_text(f"_base_ = {str(base)!r}\n")
    message = message_of("bench_step.py", "config.py", "config.py", monkeypatch=monkeypatch)
    assert "P101" in message and "data/shapes/annotations/train.json" in message


@pytest.mark.parametrize(
    "script, args, expected",
    [
        ("bench_step.py", ["nothing.py"], "error: there is no config nothing.py"),
        ("kill_and_resume.py", ["nothing.py"], "error: there is no config nothing.py"),
        (
            "unlabelled.py",
            ["nothing"],
            "error: there is no nothing/result.json: finish the run with tools/benchmark.py first",
        ),
        ("bench_loss.py", ["--table", "nothing.csv"], "error: there is no nothing.csv. First run: python "),
    ],
)
def test_missing_file_is_named(script, args, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message_of(script, *args, monkeypatch=monkeypatch).startswith(expected)


@pytest.mark.parametrize(
    "script, package",
    [("bench_heads.py", "mmpretrain"), ("bench_open_images.py", "pyarrow"), ("bench_scale.py", "pyarrow")],
)
def test_missing_package_is_named(script, package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    message = message_of(script, tmp_path / "out", monkeypatch=monkeypatch)
    assert f"{package} cannot be found here" in message and "pip install" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("has_cleanlab", [False, True])
def test_ranking_of_missing_boxes_is_measured_with_and_without_cleanlab(has_cleanlab, tmp_path, monkeypatch, capsys):
    if has_cleanlab:
        pytest.importorskip("cleanlab")
    else:
        monkeypatch.setitem(sys.modules, "cleanlab", None)
    kept = dict(id=1, image_id=1, category_id=5, bbox=[40, 40, 10, 10])
    dropped = [dict(id=2, image_id=1, category_id=5, bbox=[0, 0, 10, 10]), dict(kept, id=3, image_id=2)]
    coco = dict(images=[dict(id=1), dict(id=2)], annotations=[kept], categories=[dict(id=5, name="cat")])
    (tmp_path / "half.json").write_text(json.dumps(coco | dict(dropped=dict(annotations=dropped))))
    row = dict(kind="missing", category_id=5)
    found = [dict(row, image_id=1, bbox=[0, 0, 10, 10], score=0.8), dict(row, image_id=2, bbox=[0, 0, 9, 9], score=0.6)]
    (tmp_path / "findings.json").write_text(json.dumps(found))
    lines = [
        dict(source=dict(classes=["cat"])),
        dict(image_id=1, boxes=[[0, 0, 10, 10], [40, 40, 50, 50]], scores=[0.8, 0.9], labels=[0, 0]),
        dict(image_id=2, boxes=[[40, 40, 50, 50]], scores=[0.6], labels=[0]),
    ]
    (tmp_path / "predictions.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "result.json").write_text(json.dumps(dict(metrics=dict(AP=30.0))))
    files = [str(tmp_path / name) for name in ("findings.json", "half.json", "a.csv", "result.json")]
    arguments = [*files[:2], "--csv", files[2], "--result", files[3], "--at", "0.7", "0.95"]
    monkeypatch.setattr(sys, "argv", ["audit_labels.py", *arguments])
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    runpy.run_path(str(ROOT / "benchmarks/audit_labels.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert "all classes of an object  AP 0.500" in printed  # the second is beside its box
    assert f"{tmp_path.name},all classes of an object,0.5000,50.00,50.00,2,2" in (tmp_path / "a.csv").read_text()
    assert json.loads((tmp_path / "result.json").read_text())["metrics"] == {"AP": 30.0, "audit AP": 50.0}
    assert "from 0.7: 1 findings, 1 of 2 dropped boxes  right 100.0 %, where no box is 0.0 %, mean IoU" in printed
    assert "from 0.95: 0 findings, 0 of 2 dropped boxes" in printed
    if has_cleanlab:
        assert "cleanlab, its limit       nothing found" in printed
        assert "cleanlab, from 0.6        AP 1.000" in printed
    else:
        assert "cleanlab is not installed" in printed


def test_detections_that_no_annotation_is_near_are_left_out(tmp_path, monkeypatch, capsys):
    data = make_shapes(tmp_path / "data", num_train=2, num_val=4)
    path = data / "annotations/val.json"
    coco = json.loads(path.read_text())
    run = tmp_path / "run"
    run.mkdir()
    config_of(data).dump(run / "config.py")
    (run / "result.json").write_text(json.dumps(dict(set="shapes", config="atss", data="half", loss="asl", seed=0)))
    labels = {category["id"]: label for label, category in enumerate(coco["categories"])}
    count = Counter(row["category_id"] for row in coco["annotations"])
    hidden = max(coco["annotations"], key=lambda row: count[row["category_id"]])  # not annotated, and found first
    found = []
    for image in coco["images"]:
        rows = [row for row in coco["annotations"] if row["image_id"] == image["id"]]
        xywh = torch.tensor([row["bbox"] for row in rows], dtype=torch.float64)
        instances = dict(
            bboxes=torch.cat([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1),
            scores=torch.tensor([0.9 if row is hidden else 0.5 for row in rows]),
            labels=torch.tensor([labels[row["category_id"]] for row in rows]),
        )
        found.append(dict(img_id=image["id"], pred_instances=instances))
    dump(found, run / "predictions.pkl")
    coco["annotations"].remove(hidden)
    path.write_text(json.dumps(coco))

    arguments = [str(run), "--csv", str(tmp_path / "a.csv"), "--crops", str(tmp_path / "a.png")]
    monkeypatch.setattr(sys, "argv", ["unlabelled.py", *arguments])
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    runpy.run_path(str(ROOT / "benchmarks/unlabelled.py"), run_name="__main__")
    (row,) = csv.DictReader((tmp_path / "a.csv").open())
    assert row["far above 0.4"] == "1"
    assert f"far above 0.4 {row['far above 0.4']}" in capsys.readouterr().out
    assert float(row["AP"]) < float(row["AP without"]) == 100
    with Image.open(tmp_path / "a.png") as crops:
        assert crops.getbbox()
