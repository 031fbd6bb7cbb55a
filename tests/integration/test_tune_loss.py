"""The search for a loss, run."""

import json

import pytest
from commands import ROOT, call
from mmengine.config import Config
from processes import fork_trainings

pytest.importorskip("optuna")

from asl_mmdet.coco.shapes import make_shapes

pytestmark = pytest.mark.slow


def test_two_trials_judge_by_a_part_of_the_training_set_and_go_on(tmp_path, monkeypatch):
    fork_trainings(monkeypatch)
    root = make_shapes(tmp_path / "shapes", num_train=40, num_val=4)
    (root / "annotations/val.json").unlink()  # the validation set is not looked at
    (tmp_path / "config.py").write_text(
        f"_base_ = '{ROOT / 'configs/shapes/classifier_r18_focal_shapes.py'}'\n"
        f"data = dict(data_root='{root}/')\n"
        "train_dataloader = dict(dataset=data, num_workers=0)\n"
        "val_dataloader = dict(dataset=data, num_workers=0)\n"
        "test_dataloader = val_dataloader\n"
        "train_cfg = dict(max_epochs=1)\n"
        "default_hooks = dict(logger=dict(interval=1))\n"
    )
    command = ["tune_loss", tmp_path / "config.py", "--out", tmp_path / "out", "--trials"]
    done = call(*command, 2)
    assert done.returncode == 0, done.stderr
    assert "| own " in done.stdout and "bce-loss_weight1" in done.stdout
    train, held_out = (json.loads((tmp_path / "out/parts" / f"{name}.json").read_text()) for name in ("train", "val"))
    assert (len(train["images"]), len(held_out["images"])) == (32, 8)
    folder = tmp_path / "out/trials/tune-own-part-seed0"
    result = json.loads((folder / "result.json").read_text())
    assert f"{result['metrics']['mAP']:.2f}" in done.stdout
    assert not list((folder / "run").glob("*.pth"))
    assert Config.fromfile(tmp_path / "out/best.py").model.head.loss.type in ("FocalLoss", "CrossEntropyLoss")
    before = (folder / "result.json").stat().st_mtime_ns
    again = call(*command, 2)
    assert again.returncode == 0 and again.stdout.splitlines()[:7] == done.stdout.splitlines()[-11:][:7]
    assert (folder / "result.json").stat().st_mtime_ns == before
