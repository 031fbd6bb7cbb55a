"""benchmarks/gpu.py, as far as a machine without a GPU can run it."""

import csv
import importlib
import runpy
import subprocess
import sys

import pytest
from commands import ROOT
from processes import python

QUICK = ("--device", "cpu", "--quick")
LOSS_STEPS = ("correctness", "synchronization", "speed", "graphs")


@pytest.fixture
def gpu(monkeypatch):
    """Its functions."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return runpy.run_path(str(ROOT / "benchmarks/gpu.py"))


def rows_of(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_steps_of_the_loss_run_pass_and_are_not_done_twice(gpu, tmp_path, capsys):
    gpu["main"]([*QUICK, "--out", str(tmp_path), "--steps", *LOSS_STEPS])
    correct = rows_of(tmp_path / "correctness.csv")
    assert {row["dtype"] for row in correct} == {"float32", "float16", "bfloat16"}
    assert all(row["passed"] == "True" for row in correct)
    losses = {row["loss"] for row in rows_of(tmp_path / "speed.csv")}
    assert {"copy", "BCE with logits", "mmdet's focal loss in Python", "ours 0/1, alpha, eager"} <= losses
    assert all(row["error"] == "" for row in rows_of(tmp_path / "speed.csv"))
    assert "## graphs" in (tmp_path / "report.md").read_text()
    capsys.readouterr()
    gpu["main"]([*QUICK, "--out", str(tmp_path), "--steps", *LOSS_STEPS])
    assert capsys.readouterr().out.count("done before") == 4


@pytest.mark.slow
def test_steps_that_train_run(gpu, tmp_path, monkeypatch):
    start = subprocess.run

    def run(command, **options):
        if command[0] != sys.executable:
            return start(command, **options)
        return python(*command[1:], cwd=options["cwd"], **options["env"])

    monkeypatch.setattr(subprocess, "run", run)  # forked: each saves the imports
    gpu["main"]([*QUICK, "--out", str(tmp_path), "--steps", "step", "shapes", "resume"])
    assert [row["error"] for row in rows_of(tmp_path / "step.csv")] == [""] * 3
    assert rows_of(tmp_path / "shapes.csv")[0]["epochs"] == "1"
    assert rows_of(tmp_path / "resume.csv")[0]["passed"] == "True"


def test_failing_step_is_reported_and_the_others_go_on(gpu, tmp_path, monkeypatch):
    def fail(settings):
        yield dict(passed=True)
        raise RuntimeError("an illegal memory access")

    monkeypatch.setattr(importlib.import_module("gpu_steps.loss"), "correctness", fail)
    with pytest.raises(SystemExit, match="failed steps: correctness; rows with passed=False: 0"):
        gpu["main"]([*QUICK, "--out", str(tmp_path), "--steps", "correctness", "graphs"])
    assert "an illegal memory access" in (tmp_path / "correctness.error.txt").read_text()
    assert not (tmp_path / "correctness.csv").exists()
    assert (tmp_path / "graphs.csv").is_file()
    assert "failed, see correctness.error.txt" in (tmp_path / "report.md").read_text()


def test_results_of_a_quick_run_are_not_mixed_with_others(gpu, tmp_path):
    gpu["main"]([*QUICK, "--out", str(tmp_path), "--steps", "graphs"])
    with pytest.raises(SystemExit, match=r"has results with quick=True, and this is False: name another"):
        gpu["main"](["--device", "cpu", "--out", str(tmp_path), "--steps", "graphs"])


def test_without_a_gpu_it_says_so(gpu, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit):
        gpu["main"]([])
    assert "PyTorch finds no GPU here; `--device cpu --quick`" in capsys.readouterr().err
