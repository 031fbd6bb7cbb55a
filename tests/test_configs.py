"""Every config that is shipped: it builds, has the channels it should, and trains."""

from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmdet.utils import register_all_modules
from mmengine.config import Config

CONFIGS = sorted(str(p) for p in Path("configs").rglob("*.py") if p.parent.name != "_base_")
ASL_CONFIGS = [path for path in CONFIGS if "_asl" in path]


@pytest.fixture(autouse=True, scope="module")
def _mmdet_scope():
    register_all_modules()


@pytest.mark.parametrize("path", CONFIGS)
def test_config_builds_and_does_one_training_step(path):
    cfg = Config.fromfile(path)
    cfg.model.backbone.init_cfg = None  # no download of weights
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    head = model.bbox_head
    assert type(head.loss_cls).__name__ == ("AsymmetricLoss" if path in ASL_CONFIGS else "FocalLoss")
    # One channel too many would mean that the head takes the scores for a softmax's.
    assert head.cls_out_channels == cfg.model.bbox_head.num_classes

    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    for objects in ([3, 1], [0, 0]):
        torch.manual_seed(1)
        data = demo_mm_inputs(2, [[3, 128, 128]] * 2, num_items=objects, num_classes=head.num_classes)
        data = model.data_preprocessor(data, training=True)
        loss, terms = model.parse_losses(model(**data, mode="loss"))
        assert loss.isfinite(), terms
        assert terms["loss_cls"] > 0
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
        assert any(p.grad.abs().max() > 0 for p in head.parameters() if p.grad is not None)
        optimizer.step()


@pytest.mark.parametrize(
    "path, base",
    [
        ("configs/atss_r50_asl.py", "atss/atss_r50_fpn_1x_coco.py"),
        ("configs/fcos_r50_asl.py", "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py"),
        ("configs/retinanet_r50_asl.py", "retinanet/retinanet_r50_fpn_1x_coco.py"),
    ],
)
def test_coco_config_differs_from_mmdetections_in_the_loss_alone(path, base, tmp_path):
    (tmp_path / "stock.py").write_text(f"_base_ = 'mmdet::{base}'\n")
    ours, stock = (Config.fromfile(p).to_dict() for p in (path, tmp_path / "stock.py"))
    assert ours.pop("custom_imports")["imports"] == ["asl_mmdet"]
    assert ours["model"]["bbox_head"].pop("loss_cls")["type"] == "AsymmetricLoss"
    assert stock["model"]["bbox_head"].pop("loss_cls")["type"] == "FocalLoss"
    assert ours == stock


def test_every_shapes_config_has_a_twin_that_differs_in_the_loss_alone():
    paths = [path for path in ASL_CONFIGS if "shapes" in path]
    assert len(paths) == 3
    for path in paths:
        ours, focal = (Config.fromfile(p).to_dict() for p in (path, path.replace("_asl", "_focal")))
        assert ours["model"]["bbox_head"].pop("loss_cls") != focal["model"]["bbox_head"].pop("loss_cls")
        assert ours == focal
