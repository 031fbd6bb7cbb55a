"""The script that measures a second round, with a training of each."""

import json
import runpy
import sys

import pytest
from commands import NO_WORKERS, ROOT, options_of
from mmengine.config import Config
from processes import fork_trainings

from asl_mmdet.benchmark import Plan, run_plan
from asl_mmdet.benchmark.rows import Rows
from asl_mmdet.coco.drop_boxes import drop_boxes
from asl_mmdet.coco.shapes import make_shapes

pytestmark = pytest.mark.slow
RUN = "atss-asl-half-seed0"


def test_second_round_trains_on_what_was_found(tmp_path, monkeypatch, capsys):
    fork_trainings(monkeypatch)
    data = make_shapes(tmp_path / "half", num_train=4, num_val=2)
    train, complete = data / "annotations/train.json", tmp_path / "complete.json"
    complete.write_bytes(train.read_bytes())
    train.write_text(json.dumps(drop_boxes(json.loads(train.read_text()))))
    short = {"train_cfg.max_epochs": 1, "train_dataloader.batch_size": 2, "model.test_cfg.score_thr": 0.0}
    options = options_of(data, **short, **NO_WORKERS)
    (tmp_path / "plan.py").write_text(
        f"configs = dict(atss='{ROOT}/configs/shapes/atss_r18_asl_shapes.py')\n"
        f"losses = dict(asl=None)\nbaseline = 'asl'\nseeds = (0,)\ndata = dict(half={options})\n"
    )
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    out = tmp_path / "out"
    assert run_plan(Plan.read(tmp_path / "plan.py"), out, 1, [sys.executable], []) == []

    def rounds(*flags):
        monkeypatch.setattr(sys, "argv", ["audit_rounds.py", str(out), RUN, "--apply", "0", *map(str, flags)])
        runpy.run_path(str(ROOT / "benchmarks/audit_rounds.py"), run_name="__main__")
        return capsys.readouterr().out

    def config_of(data):
        return Config.fromfile(out / f"atss-asl-{data}-seed0" / "config.py")

    def annotations_of(data):
        return json.loads((out / RUN / "audit" / f"{data.removeprefix('half_')}.json").read_text())["annotations"]

    given = json.loads((data / "annotations/train.json").read_text())["annotations"]
    assert "second round" in rounds()
    added = [row for row in annotations_of("half_round2") if row.get("source") == "audit_labels"]
    assert len(annotations_of("half_round2")) == len(given) + len(added) > len(given)
    assert config_of("half_round2").train_dataloader.dataset.ann_file == str(out / RUN / "audit" / "round2.json")

    report = tmp_path / "report"
    printed = rounds("--as-ignore", "--complete", complete, "--iou", "0.1", "--name", "ignored", "--report", report)
    assert "second round" in printed
    ignored = [row for row in annotations_of("half_ignored") if row.get("source") == "audit_labels"]
    assert all(row["iscrowd"] == 1 for row in ignored) and len(ignored) < len(added)  # the others were rejected
    decided = json.loads((out / RUN / "audit/reviewed_findings.json").read_text())
    right = [row for row in decided if row["decision"] == "accepted"]
    assert len(right) == len(ignored) < len(decided)
    boxes = {(row["image_id"], row["category_id"]) for row in json.loads(complete.read_text())["annotations"]}
    assert all((row["image_id"], row["category_id"]) in boxes for row in right)
    assert "IgnoredBoxesHook" in (out / "atss-asl-half_ignored-seed0" / "train.log").read_text()
    assert "half_ignored" in (report / "report.md").read_text()
    first, second = Rows.read(report).runs.to_dict("records")
    assert (first["experiment"], second["data"]) == ("report", "half_ignored")
    assert first["missing"] == second["missing"] > 0  # what was found is no part of what was there
