"""Names beyond ASCII, on a machine whose locale is not UTF-8."""

import ast
import contextlib
import importlib
import io
import json
import locale
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from annotated import coco
from commands import ROOT
from mmengine.config import Config

import asl_mmdet.cli
from asl_mmdet.audit.files import write_findings
from asl_mmdet.benchmark import environment
from asl_mmdet.checks import preflight
from asl_mmdet.runs.key import read_key, write_key
from asl_mmdet.thresholds import ThresholdFile
from asl_mmdet_cli import run

NAMES = ("größe", "猫", "plate")


def _opens_text(call):
    """Whether a call opens a text file without an encoding."""
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if "encoding" in given or None in given:
        return False
    if name in ("read_text", "write_text"):
        return len(call.args) <= (name == "write_text")
    if name != "open" or (isinstance(call.func, ast.Attribute) and getattr(call.func.value, "id", "") == "Image"):
        return False
    modes = [*call.args[isinstance(call.func, ast.Name) :][:1], *(given[key] for key in given if key == "mode")]
    return not any(isinstance(mode, ast.Constant) and "b" in str(mode.value) for mode in modes)


def test_no_text_file_is_opened_in_the_encoding_of_the_machine():
    """Ruff's PLW1514 sees it only where it knows that something is a path."""
    assert _opens_text(ast.parse("path.open('w')").body[0].value) and _opens_text(ast.parse("open(p)").body[0].value)
    assert not _opens_text(ast.parse("path.open('rb')").body[0].value)
    for folder in ("asl_mmdet", "asl_mmdet_cli", "benchmarks", "configs", "docs_build", "tools"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                assert not (isinstance(node, ast.Call) and _opens_text(node)), f"{path}:{node.lineno}"


def raw_file(path):
    """An annotation file with the letters themselves, as many tools write it."""
    content = coco(dict(enumerate(NAMES, 1)), {1: "1.jpg"}, [(1, i) for i in (1, 2, 3)])
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


@contextlib.contextmanager
def ascii_machine():
    """The locale and the terminal of a machine that has no other letters; what is written there."""
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    before = locale.setlocale(locale.LC_CTYPE)
    locale.setlocale(locale.LC_CTYPE, "C")
    try:
        with contextlib.redirect_stdout(terminal), contextlib.redirect_stderr(terminal):
            importlib.reload(asl_mmdet.cli)  # which looks at the streams
            yield terminal
    finally:
        locale.setlocale(locale.LC_CTYPE, before)


@pytest.mark.skipif(sys.flags.utf8_mode, reason="Python ignores the locale")
def test_files_are_utf_8_whatever_the_locale(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw_file(Path("raw.json"))
    dataset = dict(type="CocoDataset", ann_file="raw.json", metainfo=dict(classes=NAMES), pipeline=[])
    cfg = Config(dict(model=dict(type="RetinaNet"), train_dataloader=dict(batch_size=1, dataset=dataset)))
    Path("config.py").write_text(cfg.pretty_text, encoding="utf-8")
    with ascii_machine() as terminal:
        assert io.TextIOWrapper(io.BytesIO()).encoding.lower().replace("-", "") != "utf8"  # noqa: PLW1514
        run("drop_boxes", ["raw.json", "--out", "half.json", "--rate", "0.5"])
        ThresholdFile("detection", NAMES, np.full(3, 0.5)).write("thresholds.json")
        assert ThresholdFile.read("thresholds.json").classes == NAMES
        write_findings([dict(kind="missing", category=NAMES[1], bbox=[1, 2, 3, 4])], Path())
        write_key(Path(), dict(classes=NAMES))
        assert read_key(Path()) == dict(classes=list(NAMES))
        environment()
        with pytest.raises(SystemExit):
            run("check_dataset", ["config.py", "--fast", "--splits", "train"])
    printed = terminal.buffer.getvalue().decode("ascii")
    assert "gr\\xf6\\xdfe: " in printed and "P105" in printed  # letters that it lacks are escaped
    assert json.loads(Path("half.json").read_text(encoding="utf-8"))["categories"][1]["name"] == NAMES[1]
    assert NAMES[1] in Path("findings.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("encoding, found", [("UTF-8", False), ("utf8", False), ("cp1252", True), ("ascii", True)])
def test_file_that_pycocotools_would_read_by_the_locale_is_found(encoding, found, tmp_path, monkeypatch):
    monkeypatch.setattr(preflight.locale, "getpreferredencoding", lambda *args: encoding)
    raw_file(tmp_path / "raw.json")
    cfg = Config(dict(train_dataloader=dict(dataset=dict(data_root=f"{tmp_path}/", ann_file="raw.json"))))
    codes = [finding.code for finding in preflight.check_data(cfg, ["train"])]
    assert codes == ["P105"] * found
    (tmp_path / "raw.json").write_text(json.dumps(dict(name=NAMES)), encoding="utf-8")  # escaped
    assert preflight.check_data(cfg, ["train"]) == []


def test_what_is_no_text_is_printed_and_written_as_its_bytes(tmp_path, monkeypatch):
    name = os.fsdecode(b"gr\xf6\xdfe.jpg")  # a file from another system has it
    (tmp_path / "in.json").write_text(json.dumps(coco({1: name}, {1: name}, [])), encoding="utf-8")
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", out)
    run("drop_boxes", [str(tmp_path / "in.json"), str(tmp_path / "out.json")])
    out.flush()
    assert ascii(name)[1:-1].encode() in out.buffer.getvalue()
    write_findings([dict(kind="missing", file_name=name)], tmp_path)
    assert ascii(name)[1:-1] in (tmp_path / "findings.csv").read_text(encoding="utf-8")
