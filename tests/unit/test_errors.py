"""What a user can mend is said in a line; a defect of this project keeps its stack trace."""

import ast
from pathlib import Path

import pytest
from commands import message_of

from asl_mmdet.cli import audit_labels
from asl_mmdet.errors import UserError
from asl_mmdet_cli import parse

ROOT = Path(__file__).parents[2]
CONFIG = str(ROOT / "configs/shapes/atss_r18_asl_shapes.py")


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "x.pth"
    path.touch()
    return path


@pytest.mark.parametrize("kind", [ValueError, TypeError, KeyError])
def test_a_defect_in_the_audit_is_no_message(kind, checkpoint, monkeypatch):
    def fails(*args):
        raise kind("zip() argument 2 is shorter than argument 1")

    monkeypatch.setattr(audit_labels, "Labels", fails)
    with pytest.raises(kind, match="zip"):
        audit_labels.main(parse("audit_labels", [CONFIG, str(checkpoint)]))


def test_what_a_user_can_mend_is_a_message(checkpoint):
    options = ["--cfg-options", "train_dataloader.dataset.ann_file=nowhere.json"]
    assert "nowhere.json" in message_of("audit_labels", CONFIG, checkpoint, *options)


@pytest.mark.parametrize(
    "content, said",
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n", "`git lfs pull` fetches it"),
        (b"\n<!DOCTYPE html><html>404</html>", "it is a web page"),
        (b"[" * 100_000, "recursion"),
    ],
)
def test_what_is_there_instead_of_json_is_said(content, said, tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    for tool in ("drop_boxes", "fix_annotations"):
        assert said in message_of(tool, path, tmp_path / "out.json")


def test_user_error_is_a_value_error():
    assert issubclass(UserError, ValueError)  # who calls the functions may catch it as before


def test_no_command_takes_every_value_error_for_the_users():
    """``except ValueError`` is for one call of another library: one or two statements."""
    for path in (ROOT / "asl_mmdet/cli").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Try):
                caught = [name.id for h in node.handlers for name in ast.walk(h.type) if isinstance(name, ast.Name)]
                assert "ValueError" not in caught or len(node.body) <= 2, f"{path}:{node.lineno}"
