"""A training on images that were labelled for half of the classes."""

import json
from pathlib import Path

import pytest
from processes import python

from asl_mmdet.coco.drop_boxes import drop_boxes
from asl_mmdet.coco.shapes import make_shapes
from asl_mmdet.runs.logs import read_log

pytestmark = pytest.mark.slow
CONFIG = Path(__file__).parents[2] / "configs/shapes/atss_r18_asl_shapes.py"


def test_unknown_classes_take_a_part_of_the_loss_away_and_the_training_runs(tmp_path):
    data = make_shapes(tmp_path / "shapes", num_train=8, num_val=1)
    train = data / "annotations/train.json"
    train.write_text(json.dumps(drop_boxes(json.loads(train.read_text()), "half_classes")))
    names = tuple(c["name"] for c in json.loads((data / "annotations/train.json").read_text())["categories"])
    losses = {}
    for name, hooks in (("without", []), ("with", [dict(type="KnownClassesHook")])):
        (tmp_path / f"{name}.py").write_text(
            f"_base_ = {str(CONFIG)!r}\n"
            "custom_imports = dict(imports=['asl_mmdet', 'asl_mmdet.known_classes'], allow_failed_imports=False)\n"
            f"custom_hooks = {hooks}\nrandomness = dict(seed=0)\n"
            f"train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=dict("
            f"type='KnownClassesCoco', data_root='{data}/', metainfo=dict(classes={names})))\n"
            "train_cfg = dict(max_epochs=1)\ndefault_hooks = dict(logger=dict(interval=1))\n"
            "val_dataloader = None\nval_cfg = None\nval_evaluator = None\n"
        )
        done = python("tools/train.py", tmp_path / f"{name}.py", "--work-dir", tmp_path / name)
        assert done.returncode == 0, done.stderr
        train, _ = read_log(tmp_path / name)
        losses[name] = [row["loss_cls"] for row in train.values()]
    assert len(losses["with"]) == len(losses["without"]) == 4
    assert 0 < losses["with"][0] < losses["without"][0]  # the same weights and images: background costs less
    assert losses["with"][1:] != losses["without"][1:]
