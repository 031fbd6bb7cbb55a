"""The search for a loss, with an objective that is known, and what the command refuses."""

import csv
import json
import math

import pytest
from commands import ROOT, call, message_of
from mmengine.config import Config

pytest.importorskip("optuna")

from asl_mmdet.coco.shapes import make_shapes
from asl_mmdet.config.task import DETECTION, MULTI_LABEL
from asl_mmdet.tuning import FAMILIES, OWN, block_of, name_of, search, split_annotations
from asl_mmdet.tuning.report import table_of, write_best, write_csv

CONFIG = "configs/shapes/atss_r18_focal_shapes.py"


class Objective:
    """Best at ASL 0 / 0.5 with ignore_above=0.4; counts its calls, and can be stopped."""

    def __init__(self, stops_at=None, fails_at=()):
        self.names, self.stops_at, self.fails_at = [], stops_at, fails_at

    def __call__(self, name, block):
        self.names.append(name)
        if len(self.names) == self.stops_at:
            raise KeyboardInterrupt
        if len(self.names) in self.fails_at:
            raise RuntimeError("out of memory")
        if block is None or block["type"] != "AsymmetricLoss":
            return 20.0
        return 40 - 5 * block["gamma_pos"] - 5 * abs(block["gamma_neg"] - 0.5) - 20 * abs(block["ignore_above"] - 0.4)


def run(objective, out, trials=12, minutes=60, families=FAMILIES, task=DETECTION, **kwargs):
    return search(objective, task, list(families), out, trials, minutes, **kwargs)


def test_own_loss_and_known_points_come_first_and_better_ones_are_found(tmp_path):
    objective = Objective()
    tried = run(objective, tmp_path, trials=30)
    assert objective.names[:3] == [
        OWN,
        "focal-gamma2-alpha0.25-loss_weight1",
        "asl-gamma_pos0-gamma_neg1-clip0-alpha0.25-ignore_above1-loss_weight1",  # the preset
    ]
    assert len(set(objective.names)) == len(objective.names) == len(tried) == 30
    assert [one.value for one in tried] == sorted((one.value for one in tried), reverse=True)
    preset = next(one for one in tried if one.name.endswith("gamma_neg1-clip0-alpha0.25-ignore_above0.3-loss_weight1"))
    assert tried[0].value >= preset.value > 30
    assert tried[0].params["family"] == "asl"


@pytest.mark.parametrize("trials", [4, 3])
def test_own_loss_is_not_tried_again_by_another_name(tmp_path, trials):
    own = dict(type="CrossEntropyLoss", use_sigmoid=True, loss_weight=1.0)
    objective = Objective()
    tried = run(objective, tmp_path, trials=trials, families=["bce"], own=own)
    assert objective.names[0] == OWN
    assert sorted(one.name for one in tried) == ["bce-loss_weight0.5", "bce-loss_weight2", OWN]


def test_stopped_search_goes_on_with_what_was_on_its_way(tmp_path):
    straight = Objective()
    run(straight, tmp_path / "straight", trials=5)
    first, second = Objective(stops_at=4), Objective()
    with pytest.raises(KeyboardInterrupt):
        run(first, tmp_path / "stopped", trials=5)
    tried = run(second, tmp_path / "stopped", trials=5)
    assert first.names[:3] + second.names == straight.names
    assert len(tried) == 5
    run(third := Objective(), tmp_path / "stopped", trials=5)
    assert third.names == []


def test_no_trial_starts_that_would_end_after_the_budget(tmp_path):
    now = [0.0]

    def objective(name, block):
        now[0] += 120
        return 1.0

    assert len(run(objective, tmp_path, minutes=7, clock=lambda: now[0])) == 3
    assert len(run(objective, tmp_path, minutes=0.1, clock=lambda: now[0])) == 4  # one is always made


def test_failed_trials_are_kept_and_do_not_stop_the_others(tmp_path):
    tried = run(Objective(fails_at=(1, 3)), tmp_path, trials=4)
    assert [math.isnan(one.value) for one in tried] == [False, False, True, True]
    assert "failed" in table_of(tried, "AP")


def test_small_grid_ends_when_all_of_it_was_tried(tmp_path):
    objective = Objective()
    tried = run(objective, tmp_path, trials=50, families=["bce"])
    assert sorted(one.name for one in tried) == ["bce-loss_weight0.5", "bce-loss_weight1", "bce-loss_weight2", OWN]


def test_every_block_that_is_tried_builds(tmp_path):
    pytest.importorskip("mmpretrain")
    from mmdet.registry import MODELS as DETECTORS
    from mmdet.utils import register_all_modules
    from mmpretrain.registry import MODELS as CLASSIFIERS

    register_all_modules(init_default_scope=False)
    for task, registry in ((DETECTION, DETECTORS), (MULTI_LABEL, CLASSIFIERS)):
        tried = run(Objective(), tmp_path / task.name, trials=12, task=task)
        assert {one.params.get("family", OWN) for one in tried} == {OWN, *FAMILIES}
        for one in tried[1:]:
            if one.params:
                registry.build(block_of(one.params, task))


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(trials=0), "trials=0: use a whole number from 1"),
        (dict(minutes=0), "minutes=0: use a number above 0"),
        (dict(families=[]), "families is empty"),
        (dict(families=["hinge"]), "there is no family of losses 'hinge', only focal, bce, asl"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_written(change, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        run(Objective(), tmp_path / "out", **change)
    assert not (tmp_path / "out").exists()


def test_parts_have_all_images_once_and_their_annotations(tmp_path):
    root = make_shapes(tmp_path / "shapes", num_train=30, num_val=5)
    coco = json.loads((root / "annotations/train.json").read_text())
    train, held_out = split_annotations(coco, 0.2, seed=3)
    assert split_annotations(coco, 0.2, seed=3) == (train, held_out)
    assert split_annotations(coco, 0.2, seed=4) != (train, held_out)
    ids = [{image["id"] for image in part["images"]} for part in (train, held_out)]
    assert [len(one) for one in ids] == [24, 6]
    assert not ids[0] & ids[1]
    for part, own in zip((train, held_out), ids, strict=True):
        assert part["categories"] == coco["categories"]
        assert part["annotations"] == [a for a in coco["annotations"] if a["image_id"] in own]
    with pytest.raises(ValueError, match=r"share=1: use a number between 0 and 1"):
        split_annotations(coco, 1)
    with pytest.raises(ValueError, match="and they have no label: use another share"):
        split_annotations({**coco, "annotations": []}, 0.5)


def test_table_csv_and_config_say_what_was_found(tmp_path):
    tried = run(Objective(), tmp_path, trials=5)
    table = table_of(tried, "AP")
    assert "| own" in table and f"{tried[0].value - 20:+.2f}" in table
    write_csv(tried, "AP", tmp_path / "trials.csv")
    rows = list(csv.DictReader((tmp_path / "trials.csv").open()))
    assert [row["name"] for row in rows] == [one.name for one in tried]
    assert float(rows[0]["AP"]) == tried[0].value
    assert rows[-1]["family"] in (OWN, "focal") and rows[0]["ignore_above"] == "0.3"
    block = block_of(tried[0].params, DETECTION)
    (tmp_path / "config.py").write_text(
        "model = dict(bbox_head=dict(loss_cls=dict(type='FocalLoss', gamma=2.0), a=1))\n"
    )
    where = (tmp_path / "best.py", tmp_path / "config.py", "model.bbox_head.loss_cls")
    write_best(*where, block, ["asl_mmdet"], "Note.")
    cfg = Config.fromfile(tmp_path / "best.py")
    assert cfg.model.bbox_head.to_dict() == dict(a=1, loss_cls=block)
    assert cfg.custom_imports.imports == ["asl_mmdet"]
    write_best(*where, None, [], "Note.")
    assert Config.fromfile(tmp_path / "best.py").model.bbox_head.loss_cls.gamma == 2.0


def test_names_differ_for_different_parameters():
    asl = dict(family="asl", gamma_pos=0.0, gamma_neg=4.0, clip=0.05, alpha=None, ignore_above=1.0)
    assert name_of(asl) == "asl-gamma_pos0-gamma_neg4-clip0.05-alphaNone-ignore_above1"
    assert name_of({**asl, "alpha": 0.25}) != name_of(asl)
    assert name_of({}) == OWN


def test_command_refuses_data_that_are_not_there(tmp_path):
    options = ["--cfg-options", "train_dataloader.dataset.data_root=data/nowhere/"]
    message = message_of("tune_loss", CONFIG, "--out", tmp_path / "out", *options)
    assert "data/nowhere/annotations/train.json" in message
    assert not (tmp_path / "out").exists()


def test_folder_with_other_trials_and_two_data_sets_are_refused(tmp_path):
    root = make_shapes(tmp_path / "shapes", num_train=10, num_val=2)
    option = f"train_dataloader.dataset.data_root={root}/"
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "key.json").write_text(json.dumps(dict(val_share=0.7)), encoding="utf-8")
    done = call("tune_loss", CONFIG, "--out", tmp_path / "out", "--cfg-options", option)
    assert "has trials with something else: " in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["key.json"]
    dataset = f"dict(type='CocoDataset', data_root='{root}/', ann_file='annotations/train.json')"
    (tmp_path / "two.py").write_text(
        f"_base_ = '{ROOT / CONFIG}'\n"
        f"train_dataloader = dict(dataset=dict(_delete_=True, type='ConcatDataset', datasets=[{dataset}, {dataset}]))\n"
    )
    assert "train_dataloader has 2 data sets" in message_of("tune_loss", tmp_path / "two.py", "--out", tmp_path / "new")
    assert not (tmp_path / "new").exists()
