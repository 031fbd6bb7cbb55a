"""The scripts in benchmarks/ say what to run first."""

import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def message_of(script, *args, monkeypatch):
    """What the script says when it ends, called in this process."""
    monkeypatch.setattr(sys, "argv", [script, *map(str, args)])
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(ROOT / "benchmarks" / script), run_name="__main__")
    return str(stop.value)


def test_step_without_data_says_how_to_make_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base = ROOT / "configs/shapes/atss_r18_asl_shapes.py"
    (tmp_path / "config.py").write_text(f"_base_ = {str(base)!r}\n")
    message = message_of("bench_step.py", "config.py", "config.py", monkeypatch=monkeypatch)
    assert "error: P101 data not found: 2 (data/shapes/annotations/train.json" in message
    assert "python tools/make_shapes.py data/shapes" in message


@pytest.mark.parametrize(
    "script, args, expected",
    [
        ("bench_step.py", ["nothing.py"], "error: there is no config nothing.py"),
        ("kill_and_resume.py", ["nothing.py"], "error: there is no config nothing.py"),
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
