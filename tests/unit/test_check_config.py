"""Defects are planted in a config, of the old style and of the new one, and each must be found."""

import copy
import json
import math
import re

import pytest
from commands import ROOT
from mmdet.registry import MODELS
from mmengine.config import Config

from asl_mmdet.checks import check_config
from asl_mmdet.losses import AsymmetricLoss

CONFIG = ROOT / "configs/shapes/atss_r18_asl_shapes.py"
NEW_STYLE = ROOT / "configs/shapes/atss_r18_asl_shapes_new_style.py"
pytestmark = pytest.mark.usefixtures("mmdet_scope")


@pytest.fixture(scope="module", params=["names", "classes", "paths"])
def as_read(request, tmp_path_factory):
    """The same config with names of classes, with classes, and as MMEngine dumps the latter."""
    cfg = Config.fromfile(CONFIG if request.param == "names" else NEW_STYLE)
    if request.param != "paths":
        return cfg
    dumped = tmp_path_factory.mktemp("dumped") / "dumped.py"
    cfg.dump(dumped)
    return Config.fromfile(dumped)


@pytest.fixture
def cfg(as_read):
    return copy.deepcopy(as_read)


def test_clean_config_has_no_findings(cfg):
    assert check_config(cfg) == []


LOSS = "model.bbox_head.loss_cls"
NUMBERS = {
    "train_cfg.max_epochs": (0, "12"),
    "train_cfg.val_interval": (0,),
    "train_dataloader.batch_size": (0,),
    "val_dataloader.batch_size": (1.5,),
    "train_dataloader.num_workers": (-1,),
    "randomness.seed": ("0",),
    "optim_wrapper.optimizer.lr": ("0.01", -0.1, math.nan),
    "optim_wrapper.optimizer.weight_decay": (-1,),
    "optim_wrapper.clip_grad.max_norm": (0,),
    "default_hooks.logger.interval": (0,),
    "model.bbox_head.num_classes": (0,),
}
SETTINGS = [  # changes, code, what the finding names
    *(({key: value}, "C101", f"{key}={value!r}") for key, values in NUMBERS.items() for value in values),
    (
        {"train_dataloader.num_workers": 0, "train_dataloader.persistent_workers": True},
        "C102",
        "persistent_workers=True",
    ),
    ({"val_evaluator.ann_file": "other.json"}, "C103", "val_evaluator.ann_file='other.json'; write 'data/shapes/"),
    (
        {"model.backbone.init_cfg": dict(type="Pretrained", checkpoint="packaged://mobilenet_v2")},
        "C105",
        "model.backbone.type='ResNet' with packaged://mobilenet_v2",
    ),
    ({f"{LOSS}.loss_weight": 0}, "C204", "loss_cls.loss_weight=0"),
    ({f"{LOSS}.clip": 0.05}, "C205", "clip=0.05 with model.test_cfg.score_thr=0.05"),
    ({f"{LOSS}.clip": 0.02}, "C206", "clip=0.02"),
    ({"custom_imports": None}, "C202", "loss_cls.type="),
]


@pytest.mark.parametrize("changes, code, named", SETTINGS, ids=lambda value: str(value)[:60])
def test_wrong_setting_is_found(changes, code, named, cfg):
    cfg.merge_from_dict(changes)
    (found,) = check_config(cfg)
    assert (found.code, len(found.examples)) == (code, 1) and named in found.examples[0]


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


def test_wrong_loss_is_refused_when_the_model_is_built():
    cfg = Config.fromfile(CONFIG)
    cfg.model.bbox_head.loss_cls.update(gamma=2.0)
    cfg.model.backbone.init_cfg = None
    with pytest.raises(TypeError, match=r"gamma=2.0.*_delete_=True"):
        MODELS.build(cfg.model)


@pytest.mark.parametrize(
    "weight, expected",
    [
        (dict(cell=2.0, plat=3.0), r"loss_cls: .*class_weight.*'plat'.*'cell', 'plate'"),
        ([1.0, 2.0, 3.0], "class_weight.* 3 .* 2 "),
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
    assert [finding.code for finding in found] == ["C207"] * (expected is not None)
    assert expected is None or re.search(expected, found[0].examples[0])


def test_one_cycle_schedule_that_ends_before_the_training_is_found():
    cfg = Config.fromfile(ROOT / "configs/shapes/classifier_r18_asl_shapes.py")
    assert not check_config(cfg)
    cfg.train_cfg.max_epochs = 16
    (finding,) = check_config(cfg)
    assert (finding.code, finding.is_error) == ("C104", True)
    assert "total_steps=8 with train_cfg.max_epochs=16; write param_scheduler.0.total_steps=16" in finding.examples[0]
    cfg.param_scheduler = cfg.param_scheduler[0]
    (finding,) = check_config(cfg)
    assert "write param_scheduler.total_steps=16" in finding.examples[0]


def test_mmpretrains_own_loss_by_the_same_name_is_pointed_out():
    cfg = Config.fromfile(ROOT / "configs/shapes/classifier_r18_asl_shapes.py")
    cfg.model.head.loss.type = "AsymmetricLoss"
    (finding,) = check_config(cfg)
    assert finding.code == "C201" and "mmdet.AsymmetricLoss" in finding.fix
