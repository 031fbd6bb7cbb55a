"""The benchmark, run."""

import json

import pytest
from commands import NO_WORKERS, PLAN, call, options_of
from processes import fork_trainings

import asl_mmdet
from asl_mmdet.benchmark.rows import Rows

pytestmark = pytest.mark.slow


def test_failed_run_does_not_stop_the_others_and_finished_ones_are_kept(tmp_path, monkeypatch):
    fork_trainings(monkeypatch, really="classifier-bce-tiny-seed0/run")
    roots = options_of(tmp_path / "shapes", boxes=False, **NO_WORKERS)
    (tmp_path / "plan.py").write_text(
        PLAN.replace("asl=_asl", "bad=dict(type='mmdet.AsymmetricLoss')").replace("(0, 1)", "(0,)")
        + f"shapes = {{'{tmp_path}/shapes': dict(num_train=32, num_val=16)}}\ndata = dict(tiny={roots})\n"
        + "options = {'train_cfg.max_epochs': 1, 'default_hooks.logger.interval': 1}\n"
    )
    out = tmp_path / "out"
    dry = call("benchmark", tmp_path / "plan.py", "--out", out, "--dry-run")
    assert "= 2 runs, of which 0 are finished" in dry.stdout
    assert not out.exists()
    done = call("benchmark", tmp_path / "plan.py", "--out", out)
    assert done.returncode == 1
    assert "1 runs failed, 1 are finished" in done.stderr
    assert "use_sigmoid=None" in done.stderr  # the log's last line
    finished = out / "classifier-bce-tiny-seed0" / "result.json"
    result = json.loads(finished.read_text())
    assert 0 < result["metrics"]["mAP"] < 100
    assert len(result["per_class"]) == 24
    assert -1 < result["prob_gap"] < 1
    assert "multi-label/mAP" not in (finished.parent / "test.log").read_text()  # evaluated once, and not there
    assert 100 < result["peak_host_mb"] < 10_000  # of the training process
    assert result["asl_mmdet"] == asl_mmdet.__version__
    assert "| bce | 1 |" in (out / "report.md").read_text()
    assert 0 < result["minutes"] < 30
    (run,) = Rows.read(out).runs.to_dict("records")
    assert (run["experiment"], run["plan"], run["set"], run["missing"]) == ("out", "plan", "shapes", 0)
    assert run["parameters"] == "type=CrossEntropyLoss"
    assert run["mAP"] == pytest.approx(result["metrics"]["mAP"], abs=1e-6)
    before = finished.stat().st_mtime_ns
    again = call("benchmark", tmp_path / "plan.py", "--out", out)
    assert "= 2 runs, of which 1 are finished" in again.stdout
    assert finished.stat().st_mtime_ns == before
    append = ("--append", tmp_path / "all", "--tables", "runs", "classes")
    assert call("benchmark", tmp_path / "plan.py", "--out", out, "--report", *append).returncode == 0
    assert len(Rows.read(tmp_path / "all").classes) == 24
