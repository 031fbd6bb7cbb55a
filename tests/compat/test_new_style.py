"""Configs in MMEngine's new style, which import their bases and classes, with our loss."""

import pytest
import torch
from commands import ROOT
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config

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


def test_shipped_config_is_its_twin_of_the_old_style():
    new, old = (Config.fromfile(ROOT / f"configs/shapes/atss_r18_asl_shapes{style}.py") for style in ("_new_style", ""))
    (model, loss), (twin, expected) = loss_of(new), loss_of(old)
    assert model.state_dict().keys() == twin.state_dict().keys()
    assert loss == expected
    parts = "train_dataloader", "val_dataloader", "val_evaluator", "optim_wrapper", "param_scheduler", "train_cfg"
    assert [new[part] for part in parts] == [old[part] for part in parts]
    assert new.default_hooks.keys() == old.default_hooks.keys()
