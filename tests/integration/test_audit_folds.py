"""The audit of labels by models that have not seen them, with real trainings."""

import json

import pytest
from commands import NO_WORKERS, as_arguments, call, message_of, options_of
from processes import fork_trainings

from asl_mmdet.coco.shapes import make_shapes
from asl_mmdet.runs.processes import Processes

pytestmark = pytest.mark.slow
CONFIGS = dict(
    detector="configs/shapes/atss_r18_asl_shapes.py",
    classifier="configs/shapes/classifier_r18_bce_shapes.py",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_shapes(tmp_path_factory.mktemp("folds") / "shapes", num_train=12, num_val=1)


@pytest.fixture
def started(monkeypatch):
    """The scripts that were started, in processes forked after the imports; what ``fails`` names does not start."""
    scripts, forked = [], None

    def run(self, command, log):
        scripts.append(" ".join(command[1:]))
        if run.fails and run.fails in scripts[-1]:
            log.write_text("stopped")
            return 1
        return forked(self, command, log)

    run.fails = ""
    fork_trainings(monkeypatch)
    forked = Processes.run
    monkeypatch.setattr(Processes, "run", run)
    return run, scripts


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_image_is_judged_by_a_model_that_has_not_seen_it(kind, data, started, tmp_path):
    run, scripts = started
    short = {"train_cfg.max_epochs": 1, "train_dataloader.batch_size": 2, **NO_WORKERS}
    options = as_arguments(options_of(data, kind == "detector", **short))
    if kind == "detector":
        options.append("model.test_cfg.score_thr=0.0")
    arguments = [CONFIGS[kind], "--folds", "2", "--out", tmp_path, "--crops", "0", "--score-thr", "0"]
    run.fails = "fold2/config.py"
    message = message_of("audit_labels", *arguments, *options)
    assert "1 of 2 folds failed" in message and "fold2: exit code 1" in message
    assert not (tmp_path / "findings.json").exists()

    run.fails, before = "", len(scripts)
    done = call("audit_labels", *arguments, *options)
    assert done.returncode == 0, done.stderr
    assert scripts[before:] and all("fold2" in script for script in scripts[before:])  # the first is kept
    coco = json.loads((data / "annotations" / "train.json").read_text())
    lines = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    assert sorted(line["image_id"] for line in lines[1:]) == [image["id"] for image in coco["images"]]
    for number in (1, 2):
        folder = tmp_path / "folds" / f"fold{number}"
        assert f"fold{number}/run" in next(s for s in scripts if "test.py" in s and str(folder) in s)
        trained, part = (json.loads((folder / name).read_text()) for name in ("train.json", "part.json"))
        assert not {i["id"] for i in trained["images"]} & {i["id"] for i in part["images"]}
    rows = json.loads((tmp_path / "findings.json").read_text())
    assert {row["image_id"] for row in rows} == {image["id"] for image in coco["images"]}
    assert "missing" in {row["kind"] for row in rows}

    before = len(scripts)
    applied = call("audit_labels", *arguments, "--apply", "0", *options)
    assert applied.returncode == 0, applied.stderr
    assert len(scripts) == before  # nothing is trained or predicted again
    other = message_of("audit_labels", *arguments, *options, "train_cfg.max_epochs=2")
    assert "predictions of something else: config train_cfg.max_epochs: 1 there, 2 now" in other and "--out" in other
