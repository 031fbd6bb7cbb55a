"""Defects are planted in a config, of the old style and of the new one, and each must be found."""

import json
import math
import re
from pathlib import Path

import pytest
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config

from asl_mmdet.checks import check_config
from asl_mmdet.losses import AsymmetricLoss

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs/shapes/atss_r18_asl_shapes.py"
NEW_STYLE = ROOT / "configs/shapes/atss_r18_asl_shapes_new_style.py"


@pytest.fixture(autouse=True, scope="module")
def _mmdet_scope():
    register_all_modules()


@pytest.fixture(params=["names", "classes", "paths"])
def cfg(request, tmp_path):
    """The same config with names of classes, with classes, and as MMEngine dumps the latter."""
    cfg = Config.fromfile(CONFIG if request.param == "names" else NEW_STYLE)
    if request.param != "paths":
        return cfg
    cfg.dump(tmp_path / "dumped.py")
    return Config.fromfile(tmp_path / "dumped.py")


def test_clean_config_has_no_findings(cfg):
    assert check_config(cfg) == []


LOSS = "model.bbox_head.loss_cls"
SETTINGS = [
    ({"train_cfg.max_epochs": 0}, "error: .*train_cfg.max_epochs=0.*use a whole number from 1"),
    ({"train_cfg.max_epochs": "12"}, "error: .*train_cfg.max_epochs='12'"),
    ({"train_cfg.val_interval": 0}, "error: .*train_cfg.val_interval=0"),
    ({"train_dataloader.batch_size": 0}, "error: .*train_dataloader.batch_size=0"),
    ({"val_dataloader.batch_size": 1.5}, "error: .*val_dataloader.batch_size=1.5"),
    ({"train_dataloader.num_workers": -1}, "error: .*train_dataloader.num_workers=-1"),
    (
        {"train_dataloader.num_workers": 0, "train_dataloader.persistent_workers": True},
        "error: .*train_dataloader.persistent_workers=True.*Write persistent_workers=False",
    ),
    ({"optim_wrapper.optimizer.lr": "0.01"}, "error: .*optim_wrapper.optimizer.lr='0.01'.*a number above 0"),
    ({"optim_wrapper.optimizer.lr": -0.1}, "error: .*optim_wrapper.optimizer.lr=-0.1"),
    ({"optim_wrapper.optimizer.lr": math.nan}, "error: .*optim_wrapper.optimizer.lr=nan"),
    ({"optim_wrapper.optimizer.weight_decay": -1}, "error: .*weight_decay=-1"),
    ({"optim_wrapper.clip_grad.max_norm": 0}, "error: .*clip_grad.max_norm=0"),
    ({"default_hooks.logger.interval": 0}, "error: .*default_hooks.logger.interval=0"),
    ({"randomness.seed": "0"}, "error: .*randomness.seed='0'"),
    ({"model.bbox_head.num_classes": 0}, "error: .*model.bbox_head.num_classes=0.*without background"),
    ({"val_evaluator.ann_file": "other.json"}, "error: .*val_evaluator.ann_file='other.json'.*write 'data/shapes/"),
    (
        {"model.backbone.init_cfg": dict(type="Pretrained", checkpoint="packaged://mobilenet_v2")},
        "error: C105 .*model.backbone.type='ResNet' with packaged://mobilenet_v2.*Write type='mmdet.MobileNetV2'",
    ),
    ({f"{LOSS}.loss_weight": 0}, "warning: .*loss_cls.loss_weight=0"),
    ({f"{LOSS}.clip": 0.05}, "warning: C205 .*clip=0.05 with model.test_cfg.score_thr=0.05.*smaller clip"),
    ({f"{LOSS}.clip": 0.02}, "warning: .*clip=0.02.*No background is learned"),
    ({"custom_imports": None}, r"warning: .*Write custom_imports=dict\(imports=\['asl_mmdet'\]"),
]
REFUSED = [  # by the loss itself, when the model is built
    ({"use_sigmoid": None}, "use_sigmoid=None: write use_sigmoid=True"),
    ({"gamma": 2.0}, "gamma=2.0.*gamma_pos and gamma_neg.*_delete_=True"),
    ({"gama_neg": 2.0}, "gama_neg=2.0.*gamma_neg"),
    ({"gamma_neg": "4"}, "gamma_neg='4': use a number"),
    ({"gamma_pos": -1}, "gamma_pos=-1"),
    ({"gamma_neg": math.inf}, "gamma_neg=inf"),
    ({"clip": 1.0}, "clip=1.0"),
    ({"alpha": 25}, "alpha=25"),
    ({"ignore_above": 0.0}, "ignore_above=0.0 and clip=0.0"),
    ({"reduction": "average"}, "reduction='average': use one of"),
    ({"impl": "triton"}, "impl='triton': use one of"),
    ({"activated": 1.5}, "activated=1.5"),
    ({"loss_weight": -1}, "loss_weight=-1"),
    ({"label_smoothing": 0.1}, "label_smoothing=0.1 with use_sigmoid=True"),
    ({"use_sigmoid": False}, "alpha=0.25 with use_sigmoid=False.*write alpha=None"),
]


@pytest.mark.parametrize("changes, expected", SETTINGS, ids=lambda value: str(value)[:60])
def test_wrong_setting_is_found(changes, expected, cfg):
    cfg.merge_from_dict(changes)
    found = check_config(cfg)
    assert len(found) == 1
    assert re.match(expected, str(found[0])), found[0]


@pytest.mark.parametrize("given", ["MarginLoss", "type"])
def test_loss_made_from_ours_is_checked_with_its_own_defaults(given, cfg):
    class MarginLoss(AsymmetricLoss):
        def __init__(self, use_sigmoid=None, clip=0.05, **kwargs):
            super().__init__(use_sigmoid, clip=clip, **kwargs)

    cfg.model.bbox_head.loss_cls.type = given if given == "MarginLoss" else MarginLoss
    cfg.model.bbox_head.loss_cls.pop("clip", None)
    assert not MODELS.get("MarginLoss")
    MODELS.register_module(module=MarginLoss)
    try:
        assert [finding.code for finding in check_config(cfg)] == ["C205"]
    finally:
        MODELS._module_dict.pop("MarginLoss")


@pytest.mark.parametrize("kind, is_wrong", [("MobileNetV2", True), ("mmdet.MobileNetV2", False)])
def test_packaged_weights_in_mmpretrains_backbone_are_found(kind, is_wrong):
    cfg = Config.fromfile(ROOT / "configs/small/classifier_mnv2_asl.py")
    cfg.model.backbone.type = kind
    assert [finding.code for finding in check_config(cfg)] == ["C105"] * is_wrong


@pytest.mark.parametrize("changes, expected", REFUSED, ids=lambda value: str(value)[:60])
def test_wrong_loss_is_refused_when_the_model_is_built(changes, expected):
    cfg = Config.fromfile(CONFIG)
    cfg.model.bbox_head.loss_cls.update(changes)
    cfg.model.backbone.init_cfg = None
    with pytest.raises((ValueError, TypeError), match=expected):
        MODELS.build(cfg.model)


@pytest.mark.parametrize(
    "weight, expected",
    [
        (
            dict(cell=2.0, plat=3.0),
            r"error: C207 .*loss_cls: AsymmetricLoss got class_weight for 'plat'.*'cell', 'plate'",
        ),
        ([1.0, 2.0, 3.0], "error: C207 .*class_weight with 3 numbers, and the data set has 2 classes"),
        (dict(plate=3.0), None),
        ([1.0, 2.0], None),
        ("inverse_frequency", None),
    ],
)
@pytest.mark.parametrize("is_in_file", [False, True])
def test_class_weight_of_other_classes_is_found(weight, expected, is_in_file, tmp_path):
    cfg = Config.fromfile(CONFIG)
    cfg.model.bbox_head.loss_cls.class_weight = weight
    dataset = cfg.train_dataloader.dataset
    if is_in_file:
        names = [dict(id=7, name="cell"), dict(id=3, name="plate")]
        (tmp_path / "train.json").write_text(json.dumps(dict(images=[], annotations=[], categories=names)))
        dataset.ann_file = str(tmp_path / "train.json")
        dataset.pop("metainfo", None)
    else:
        dataset.metainfo = dict(classes=("cell", "plate"))
    found = check_config(cfg)
    assert len(found) == (expected is not None)
    assert expected is None or re.match(expected, str(found[0])), found[0]


def test_one_cycle_schedule_that_ends_before_the_training_is_found():
    cfg = Config.fromfile(ROOT / "configs/shapes/classifier_r18_asl_shapes.py")
    assert not check_config(cfg)
    cfg.train_cfg.max_epochs = 16
    (finding,) = check_config(cfg)
    assert "param_scheduler.0.total_steps=8 with train_cfg.max_epochs=16" in str(finding) and finding.is_error
    assert "write param_scheduler.0.total_steps=16" in str(finding)
    cfg.param_scheduler = cfg.param_scheduler[0]
    (finding,) = check_config(cfg)
    assert "write param_scheduler.total_steps=16" in str(finding)


def test_mmpretrains_own_loss_by_the_same_name_is_pointed_out():
    cfg = Config.fromfile(ROOT / "configs/shapes/classifier_r18_asl_shapes.py")
    cfg.model.head.loss.type = "AsymmetricLoss"
    (finding,) = check_config(cfg)
    assert "Write type='mmdet.AsymmetricLoss'" in str(finding)
