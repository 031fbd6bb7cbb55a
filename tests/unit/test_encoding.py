"""Names beyond ASCII, on a machine whose locale is not UTF-8."""

import ast
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

from asl_mmdet.audit.files import write_findings
from asl_mmdet.checks import preflight
from asl_mmdet_cli import run

ROOT = Path(__file__).parents[2]
NAMES = ("größe", "猫", "plate")
RUN = """
import json, sys
from pathlib import Path
assert open("raw.json").encoding.lower().replace("-", "") != "utf8"
import numpy as np
from asl_mmdet.audit.files import write_findings
from asl_mmdet.benchmark import environment
from asl_mmdet.runs.key import write_key, read_key
from asl_mmdet.thresholds import ThresholdFile
from asl_mmdet_cli import run

names = ("gr\\xf6\\xdfe", "\\u732b", "plate")
run("drop_boxes", ["raw.json", "--out", "half.json", "--rate", "0.5"])
ThresholdFile("detection", names, np.full(3, 0.5)).write("thresholds.json")
assert ThresholdFile.read("thresholds.json").classes == names
write_findings([dict(kind="missing", category=names[1], bbox=[1, 2, 3, 4])], Path())
write_key(Path(), dict(classes=names))
assert read_key(Path()) == dict(classes=list(names))
environment()
try:
    run("check_dataset", ["config.py", "--fast", "--splits", "train"])
except SystemExit as end:
    print("ended with", end.code)
"""


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
    content = dict(
        images=[dict(id=1, file_name="1.jpg", width=64, height=64)],
        annotations=[dict(id=i, image_id=1, category_id=i, bbox=[1, 1, 9, 9], area=81, iscrowd=0) for i in (1, 2, 3)],
        categories=[dict(id=i, name=name) for i, name in enumerate(NAMES, 1)],
    )
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def test_files_are_utf_8_whatever_the_locale(tmp_path):
    raw_file(tmp_path / "raw.json")
    dataset = dict(type="CocoDataset", ann_file="raw.json", metainfo=dict(classes=NAMES), pipeline=[])
    cfg = Config(dict(model=dict(type="RetinaNet"), train_dataloader=dict(batch_size=1, dataset=dataset)))
    (tmp_path / "config.py").write_text(cfg.pretty_text, encoding="utf-8")
    env = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG", "PYTHONIOENCODING"))}
    env |= dict(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", PYTHONPATH=str(ROOT))
    done = subprocess.run([sys.executable, "-c", RUN], cwd=tmp_path, env=env, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    out = done.stdout.decode("ascii")  # what the terminal has no letters for is escaped
    assert "gr\\xf6\\xdfe: " in out
    assert "P105" in out + done.stderr.decode()
    assert json.loads((tmp_path / "half.json").read_text(encoding="utf-8"))["categories"][1]["name"] == NAMES[1]
    assert NAMES[1] in (tmp_path / "findings.csv").read_text(encoding="utf-8")


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
    coco = dict(images=[dict(id=1, file_name=name)], annotations=[], categories=[dict(id=1, name=name)])
    (tmp_path / "in.json").write_text(json.dumps(coco), encoding="utf-8")
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", out)
    run("drop_boxes", [str(tmp_path / "in.json"), str(tmp_path / "out.json")])
    out.flush()
    assert ascii(name)[1:-1].encode() in out.buffer.getvalue()
    write_findings([dict(kind="missing", file_name=name)], tmp_path)
    assert ascii(name)[1:-1] in (tmp_path / "findings.csv").read_text(encoding="utf-8")
