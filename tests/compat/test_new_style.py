"""Configs in MMEngine's new style, which import their bases and classes, with our loss."""

import pytest
import torch
from commands import ROOT
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config

from asl_mmdet.losses import AsymmetricLoss

SWAP = """
from mmengine.config import read_base

with read_base():
    from .base import *

from asl_mmdet.losses import AsymmetricLoss

model.bbox_head.loss_cls = dict(type=AsymmetricLoss, use_sigmoid=True, gamma_pos=0.0, gamma_neg=1.0, clip=0.0)
"""

pytestmark = pytest.mark.usefixtures("mmdet_scope")


def loss_of(cfg):
    """The model of a config and its classification loss on two made-up images."""
    cfg.model.backbone.init_cfg = None  # no download of weights
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    model.train()
    torch.manual_seed(1)
    data = demo_mm_inputs(2, [[3, 64, 64]] * 2, num_items=[3, 1], num_classes=model.bbox_head.num_classes)
    losses = model(**model.data_preprocessor(data, training=True), mode="loss")
    return model, model.parse_losses(losses)[1]["loss_cls"]


@pytest.mark.parametrize(
    "base",
    [
        "atss/atss_r50_fpn_1x_coco.py",
        "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py",
        "retinanet/retinanet_r50_fpn_1x_coco.py",
    ],
)
def test_coco_head_takes_the_loss_as_a_class(base, tmp_path):
    (tmp_path / "stock.py").write_text(f"_base_ = 'mmdet::{base}'\n")
    Config.fromfile(tmp_path / "stock.py").dump(tmp_path / "base.py")  # without _base_, as a new-style base must be
    (tmp_path / "config.py").write_text(SWAP)
    model, loss = loss_of(Config.fromfile(tmp_path / "config.py"))
    assert type(model.bbox_head.loss_cls) is AsymmetricLoss
    assert model.bbox_head.cls_out_channels == 80
    assert loss.isfinite() and loss > 0
    loss.backward()


def test_shipped_config_is_its_twin_of_the_old_style():
    new, old = (Config.fromfile(ROOT / f"configs/shapes/atss_r18_asl_shapes{style}.py") for style in ("_new_style", ""))
    (model, loss), (twin, expected) = loss_of(new), loss_of(old)
    assert model.state_dict().keys() == twin.state_dict().keys()
    assert loss == expected
    parts = "train_dataloader", "val_dataloader", "val_evaluator", "optim_wrapper", "param_scheduler", "train_cfg"
    assert [new[part] for part in parts] == [old[part] for part in parts]
    assert new.default_hooks.keys() == old.default_hooks.keys()
