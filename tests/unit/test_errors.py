"""What a user can mend is said in a line; a defect of this project keeps its stack trace."""

import ast
import json

import pytest
from annotated import coco
from commands import ROOT, message_of
from mmengine.config import Config

from asl_mmdet.audit.labels import Labels
from asl_mmdet.checks import check_labels
from asl_mmdet.cli import audit_labels
from asl_mmdet.deploy.folder import Ids
from asl_mmdet.errors import UserError
from asl_mmdet_cli import parse

CONFIG = str(ROOT / "configs/shapes/atss_r18_asl_shapes.py")
pytestmark = pytest.mark.usefixtures("mmdet_scope")


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
        (b"", "it is empty"),
        (b"\0" * 64, "it is empty"),
        (b'{"a": 1}\n{"a": 2}', "it is several JSON documents, one behind the other: Extra data: line 2"),
        ('{"name": "Größe"}'.encode("latin-1"), "it is not in UTF-8"),
        (b'{"a": 1,}', "property name"),
    ],
)
def test_what_is_there_instead_of_json_is_said(content, said, tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    (good := tmp_path / "b.json").write_text(json.dumps(COCO), encoding="utf-8")
    for tool, *files in (("drop_boxes", path), ("fix_annotations", path), ("merge_datasets", good, path)):
        assert said in message_of(tool, *files, tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


COCO = coco({1: "cat"}, {1: "1.jpg"}, [(1, 1)])
NO_LISTS = [None, [], {}, 3, "text", *({**COCO, key: value} for key in COCO for value in (None, {}, {"1": {}}, [1]))]


@pytest.mark.parametrize("content", NO_LISTS, ids=lambda content: str(content)[:60])
def test_a_file_without_cocos_lists_is_named_as_one(content, tmp_path):
    (path := tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
    (good := tmp_path / "b.json").write_text(json.dumps(COCO), encoding="utf-8")
    said = [
        message_of("drop_boxes", path, tmp_path / "out.json"),
        message_of("fix_annotations", path, tmp_path / "out.json"),
        message_of("fix_annotations", good, tmp_path / "out.json", "--like", path),
        message_of("merge_datasets", good, path, tmp_path / "out.json"),
    ]
    for function in (lambda: Ids(path, ("cat",)), lambda: Labels(config_of(path))):
        try:
            function()
        except UserError as error:
            said.append(str(error))
    # Predictions need no annotations.
    assert len(said) >= 5 and all("has no list" in text or "[0] is 1, and no object" in text for text in said)
    found = check_labels(config_of(path), "val")[0]
    assert (found.code, found.is_error) == ("D103", True)


def test_a_file_without_an_image_is_named_as_one(tmp_path):
    (path := tmp_path / "a.json").write_text(json.dumps({**COCO, "images": [], "annotations": []}), encoding="utf-8")
    with pytest.raises(UserError, match="has no image"):
        Ids(path, ("cat",))
    with pytest.raises(UserError, match="has no image"):
        Labels(config_of(path))
    found = check_labels(config_of(path), "val")[0]
    assert (found.code, found.is_error) == ("D104", True)


def config_of(path):
    cfg = Config.fromfile(CONFIG)
    for split in ("train", "val"):
        cfg[f"{split}_dataloader"].dataset.update(data_root="", ann_file=str(path), metainfo=dict(classes=("cat",)))
    return cfg


def test_user_error_is_a_value_error():
    assert issubclass(UserError, ValueError)  # who calls the functions may catch it as before


def test_no_command_takes_every_value_error_for_the_users():
    """``except ValueError`` is for one call of another library: one or two statements."""
    for path in (ROOT / "asl_mmdet/cli").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Try):
                caught = [name.id for h in node.handlers for name in ast.walk(h.type) if isinstance(name, ast.Name)]
                assert "ValueError" not in caught or len(node.body) <= 2, f"{path}:{node.lineno}"
