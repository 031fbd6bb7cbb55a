"""Defects are planted in a data set, and each must be found and end the commands."""

import re

import pytest
from annotated import CONFIG, clean_set, config_of, copied_set, edit, found_in  # noqa: F401
from commands import call

from asl_mmdet.checks import check_datasets
from asl_mmdet.checks.finding import Rule
from asl_mmdet.checks.rules import RULES

NEW_STYLE = CONFIG.with_name("atss_r18_asl_shapes_new_style.py")
pytestmark = pytest.mark.usefixtures("mmdet_scope")


def first(key, **values):
    return lambda content: content[key][0].update(values)


def lacking(key, name):
    return lambda content: content[key][0].pop(name)


def without_stars(content):
    content["annotations"] = [entry for entry in content["annotations"] if entry["category_id"] != 3]


def from_0(content):
    for entry in content["categories"]:
        entry["id"] -= 1
    for entry in content["annotations"]:
        entry["category_id"] -= 1


DEFECTS = [  # how the finding begins, what it names, and the change of the file
    ("error: D413", "", lambda content: content["annotations"].clear()),
    ("error: D304", "", lacking("images", "width")),
    ("error: D303", "", lacking("images", "file_name")),
    ("warning: D305", "000002.jpg", first("images", file_name="000002.jpg")),
    ("error: D301", "", first("images", id=2)),
    ("error: D201", "", first("categories", id=2)),
    ("warning: D204", "", from_0),
    ("warning: D407", "0 x 10", first("annotations", bbox=[5, 5, 0, 10])),
    ("warning: D407", "10 x -3", first("annotations", bbox=[5, 5, 10, -3])),
    ("warning: D408", "", first("annotations", bbox=[5, 5, 0.5, 10])),
    ("warning: D410", "[200, 5, 10, 10]", first("annotations", bbox=[200, 5, 10, 10])),
    ("warning: D411", "128 x 128", first("annotations", bbox=[100, 100, 60, 20])),
    ("error: D405", "", first("annotations", bbox=[5, 5, float("nan"), 10])),
    ("error: D405", "", first("annotations", bbox=[5, 5, 10])),
    ("error: D406", "", lacking("annotations", "area")),
    ("warning: D409", "", first("annotations", area=0)),
    ("warning: D403", "", first("annotations", image_id=99)),
    ("warning: D404", "", first("annotations", category_id=9)),
    ("warning: D412", "star", without_stars),
]


@pytest.mark.parametrize("path", [CONFIG, NEW_STYLE], ids=["names", "classes"])
@pytest.mark.parametrize("start, named, change", DEFECTS)
def test_planted_defect_is_found(start, named, change, path, root):
    edit(root, change)
    (finding,) = (one for one in found_in(root, cfg=config_of(root, path=path)) if str(one).startswith(start))
    assert len(finding.examples) == 1 and named in finding.examples[0]


def test_missing_and_torn_files_are_found(root):
    path = root / "annotations/train.json"
    path.write_bytes(path.read_bytes()[:-40])
    assert [(one.code, one.is_error) for one in found_in(root)] == [("D102", True)]
    path.unlink()
    assert [(one.code, one.is_error) for one in found_in(root)] == [("D101", True)]


def test_every_defect_of_a_kind_is_counted_and_shared_images_are_found(root):
    edit(root, lambda content: [entry.update(bbox=[5, 5, 0, 5]) for entry in content["annotations"][:7]])
    finding = next(one for one in found_in(root) if one.code == "D407")
    assert len(finding.examples) == 7 and ": 7 (" in str(finding) and "..." in str(finding)
    cfg = config_of(root)
    cfg.val_dataloader.dataset.data_prefix.img = "train/"
    found = check_datasets(cfg, ("train", "val"), read_images=False)["val_dataloader.dataset"]
    assert any(": 6" in str(one) for one in found if one.code == "D501")


def test_tool_and_training_end_with_the_findings_that_are_not_ignored(root, tmp_path):
    config_of(root).dump(tmp_path / "config.py")
    check = ["check_dataset", tmp_path / "config.py"]
    done = call(*check)
    assert done.returncode == 0 and "train_dataloader.dataset: no findings" in done.stdout, done.stderr
    edit(root, first("annotations", bbox=[5, 5, 5, -1]))
    warned = call(*check, "--fast")
    assert (warned.returncode, "D407" in warned.stdout) == (0, True)
    assert call(*check, "--fast", "--strict").returncode == 1
    (root / "train/000004.jpg").unlink()
    assert call(*check).returncode == 1
    done = call(*check, "--fast", "--strict", "--ignore", "D407")
    assert done.returncode == 1 and "D407" not in done.stdout and "D310" in done.stdout
    assert call(*check, "--fast", "--strict", "--ignore", "D407", "--ignore", "D310").returncode == 0
    refused = call("train", tmp_path / "config.py", "--work-dir", tmp_path / "work", "--ignore", "D407")
    assert refused.returncode == 1 and "D407" not in refused.stderr
    assert all(word in refused.stderr for word in ("D310", "--ignore CODE", "tools/check_dataset.py"))
    assert not (tmp_path / "work").exists()


def test_every_rule_has_a_code_of_its_own_and_words():
    assert len(RULES) > 50
    for rule in RULES.values():
        assert re.fullmatch(r"[DCP]\d{3}", rule.code), rule
        assert rule.severity in ("error", "warning"), rule
        assert rule.title and rule.title[-1] != "." and rule.consequence.endswith("."), rule
    with pytest.raises(ValueError, match="D104"):
        Rule("D104", "error", "another", "Training fails.", "", lambda subject: ())
