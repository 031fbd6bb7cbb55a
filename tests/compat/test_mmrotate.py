"""MMRotate's heads with the loss: they call it as they call focal loss, and mmcv's ops are not needed for that."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

import asl_mmdet  # noqa: F401  (before mmrotate, which needs mmcv.ops)

pytest.importorskip("mmrotate")

import mmrotate
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox_overlaps, get_box_tensor
from mmdet.utils import register_all_modules as register_mmdet
from mmrotate.registry import MODELS, TASK_UTILS
from mmrotate.structures.bbox import RotatedBoxes
from mmrotate.utils import register_all_modules as register_mmrotate

CONFIGS = Path(mmrotate.__file__).parent / ".mim" / "configs"
HEADS = {
    "RetinaHead": "rotated_retinanet/rotated-retinanet-rbox-le90_r50_fpn_1x_dota.py",
    "RotatedFCOSHead": "rotated_fcos/rotated-fcos-le90_r50_fpn_1x_dota.py",
    "RotatedATSSHead": "rotated_atss/rotated-atss-le90_r50_fpn_1x_dota.py",
}
FOCAL = dict(type="mmdet.FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25)
ASL = dict(type="mmdet.AsymmetricLoss", use_sigmoid=True)


@TASK_UTILS.register_module(force=True)
class HullOverlaps:
    """IoU of the upright boxes around rotated ones: that of these needs mmcv's compiled ops."""

    def __call__(self, boxes, others, mode="iou", is_aligned=False):
        hulls = [RotatedBoxes(get_box_tensor(some)).convert_to("hbox").tensor for some in (boxes, others)]
        return bbox_overlaps(*hulls, mode, is_aligned)


@MODELS.register_module(force=True)
class Distance(torch.nn.Module):
    """A loss of rotated boxes for which no op is needed."""

    def forward(self, pred, target, weight=None, avg_factor=None):
        distance = (pred - target).abs().mean(1)
        return (distance if weight is None else distance * weight).sum() / avg_factor


@pytest.fixture(autouse=True, scope="module")
def _mmrotate():
    before = DefaultScope.get_current_instance()
    register_mmdet(init_default_scope=False)
    register_mmrotate(init_default_scope=True)
    yield
    DefaultScope.get_instance("after_mmrotate", scope_name=before.scope_name if before else "mmdet")


def losses_of(name, loss):
    model = config_of(name)
    model.bbox_head.loss_cls = loss
    torch.manual_seed(0)
    model = MODELS.build(model).train()
    model.init_weights()
    assert type(model.bbox_head).__name__ == name
    boxes = RotatedBoxes(torch.tensor([[40.0, 40, 60, 30, 0.3], [80, 70, 70, 40, -0.5]]))
    sample = DetDataSample(
        metainfo=dict.fromkeys(("img_shape", "pad_shape", "ori_shape", "batch_input_shape"), (128, 128)),
        gt_instances=InstanceData(bboxes=boxes, labels=torch.tensor([1, 4])),
        ignored_instances=InstanceData(bboxes=RotatedBoxes(torch.zeros(0, 5)), labels=torch.zeros(0, dtype=torch.long)),
    )
    sample.set_metainfo(dict(scale_factor=(1.0, 1.0)))
    losses = model.loss(torch.randn(1, 3, 128, 128), [sample])
    return model, {key: sum(value) if isinstance(value, list) else value for key, value in losses.items()}


def config_of(name):
    model = Config.fromfile(CONFIGS / HEADS[name]).model
    model.backbone.update(depth=18, init_cfg=None)
    model.neck.in_channels = [64, 128, 256, 512]
    if "assigner" in (model.train_cfg or {}):
        model.train_cfg.assigner.iou_calculator = dict(type="HullOverlaps")
    if "Rotated" in model.bbox_head.loss_bbox.type:
        model.bbox_head.loss_bbox = dict(type="Distance")
    return model


@pytest.mark.parametrize("name", HEADS)
def test_equal_gammas_are_focal_loss_in_a_rotated_head(name):
    _, focal = losses_of(name, FOCAL)
    _, ours = losses_of(name, dict(ASL, gamma_pos=2.0, gamma_neg=2.0))
    assert focal["loss_cls"] > 0
    torch.testing.assert_close(ours, focal)


@pytest.mark.parametrize("name", HEADS)
def test_a_rotated_head_learns_from_the_preset(name):
    model, losses = losses_of(name, ASL)
    sum(value for key, value in losses.items() if "loss" in key).backward()
    grads = [p.grad for p in model.bbox_head.parameters() if p.grad is not None]
    assert grads and all(grad.isfinite().all() for grad in grads)
    assert model.bbox_head.cls_out_channels == model.bbox_head.num_classes  # a sigmoid for each class
