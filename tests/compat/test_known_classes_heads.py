"""The hook for known classes with every dense head of MMDetection: what it leaves out, and whom it refuses."""

import copy
import inspect
import math
from pathlib import Path
from types import SimpleNamespace

import mmdet
import numpy as np
import pytest
import torch
from mmdet.models.dense_heads import LDHead, RTMDetInsHead
from mmdet.registry import MODELS
from mmdet.structures.mask import BitmapMasks
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData
from torch import nn

from asl_mmdet.hooks import IgnoredBoxesHook, KnownClassesHook

ROOT = Path(mmdet.__file__).parent / ".mim" / "configs"
KNOWN = ((0, 1, 2), (1, 5))  # of 6 classes, in two images
GTS = (([[4.0, 4, 40, 40], [30, 20, 60, 62]], [0, 2]), ([[8.0, 10, 50, 52]], [5]))
COVERED = {
    "atss": "atss/atss_r50_fpn_1x_coco.py",
    "condinst": "condinst/condinst_r50_fpn_ms-poly-90k_coco_instance.py",
    "ddod": "ddod/ddod_r50_fpn_1x_coco.py",
    "fcos": "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py",
    "fovea": "foveabox/fovea_r50_fpn_4xb4-1x_coco.py",
    "fsaf": "fsaf/fsaf_r50_fpn_1x_coco.py",
    "gfl": "gfl/gfl_r50_fpn_1x_coco.py",
    "ld": "ld/ld_r18-gflv1-r101_fpn_1x_coco.py",
    "nas_fpn": "nas_fpn/retinanet_r50_nasfpn_crop640-50e_coco.py",
    "nas_fcos": "nas_fcos/nas-fcos_r50-caffe_fpn_nashead-gn-head_4xb4-1x_coco.py",
    "paa": "paa/paa_r50_fpn_1x_coco.py",
    "pisa_retinanet": "pisa/retinanet-r50_fpn_pisa_1x_coco.py",
    "reppoints": "reppoints/reppoints-moment_r50_fpn_1x_coco.py",
    "retinanet": "retinanet/retinanet_r50_fpn_1x_coco.py",
    "rtmdet": "rtmdet/rtmdet_tiny_8xb32-300e_coco.py",
    "rtmdet_ins": "rtmdet/rtmdet-ins_tiny_8xb32-300e_coco.py",
    "sabl": "sabl/sabl-retinanet_r50_fpn_1x_coco.py",
    "tood": "tood/tood_r50_fpn_1x_coco.py",
    "vfnet": "vfnet/vfnet_r50_fpn_1x_coco.py",
    "yolof": "yolof/yolof_r50-c5_8xb8-1x_coco.py",
}
# Where the gradient of a positive may be of any sign.
QUALITY = {"fsaf", "gfl", "ld", "pisa_retinanet", "rtmdet", "rtmdet_ins", "vfnet"}
ASL = dict(type="AsymmetricLoss", use_sigmoid=True, gamma_pos=0.0, gamma_neg=1.0, clip=0.0, alpha=0.25)
REFUSED = {
    "autoassign/autoassign_r50-caffe_fpn_1x_coco.py": "code of its own",
    "free_anchor/freeanchor_r50_fpn_1x_coco.py": "code of its own",
    "centernet/centernet_r18_8xb16-crop512-140e_coco.py": "code of its own",
    "yolox/yolox_tiny_8xb8-300e_coco.py": "without a class",
    "yolo/yolov3_mobilenetv2_8xb24-320-300e_coco.py": "without a class",
    "ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py": "loss_cls",
    "ghm/retinanet_r50_fpn_ghm-1x_coco.py": "counts",
    "detr/detr_r50_8xb2-150e_coco.py": "queries",
}


@pytest.fixture(autouse=True, scope="module")
def _mmdet():
    register_all_modules()
    MessageHub.get_current_instance().update_info("epoch", 0)  # TOOD asks how far the training is


def built_head(path, loss=None):
    model = Config.fromfile(ROOT / path).model
    head = model.bbox_head
    if head.get("type") in ("RTMDetSepBNHead", "RTMDetInsSepBNHead"):
        head.norm_cfg = dict(type="BN")  # no process group
    if loss is not None:
        head["initial_loss_cls" if "initial_loss_cls" in head else "loss_cls"] = ConfigDict(loss)  # TOOD's first epochs
    head.update(num_classes=6, train_cfg=model.get("train_cfg"), test_cfg=model.get("test_cfg"))
    torch.manual_seed(0)
    head = MODELS.build(head)
    head.init_weights()
    return head.train()


def runner_of(head, **config):
    model = nn.Module()
    model.bbox_head = head
    return SimpleNamespace(model=model, cfg=Config(config))


def features(head):
    generator = torch.Generator().manual_seed(1)
    anchors = head.square_anchor_generator if hasattr(head, "square_anchor_generator") else head.prior_generator
    for stride in anchors.strides:
        side = math.ceil(64 / (stride[0] if isinstance(stride, tuple) else stride))
        yield torch.randn(2, head.in_channels, side, side, generator=generator)


def truths():
    return [truth(*one) for one in GTS]


def truth(boxes, labels):
    masks = np.zeros((len(boxes), 64, 64), np.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, np.array(boxes, int), strict=True):
        mask[y1:y2, x1:x2] = 1
    return InstanceData(
        bboxes=torch.tensor(boxes), labels=torch.tensor(labels), masks=BitmapMasks(masks, *masks.shape[1:])
    )


def metas():
    shape = dict(img_shape=(64, 64), pad_shape=(64, 64), ori_shape=(64, 64), batch_input_shape=(64, 64))
    return [dict(**shape, scale_factor=(1.0, 1.0), known_classes=known) for known in KNOWN]


def losses_and_gradients(head, outs, of_images=None, truth=None):
    torch.manual_seed(2)
    scores = [score.detach().clone().requires_grad_() for score in outs[0]]
    truth = copy.deepcopy(truth or truths())
    for one in [] if isinstance(head, RTMDetInsHead) else truth:
        del one.masks  # by which RTMDet's assigner would go
    of_teacher = {"soft_targets": outs[1]} if isinstance(head, LDHead) else {}
    losses = head.loss_by_feat(scores, *outs[1:], truth, of_images or metas(), **of_teacher)
    flat = {k: sum(v) if isinstance(v, (list, tuple)) else v for k, v in losses.items()}
    gradients = torch.autograd.grad(sum(v.sum() for k, v in flat.items() if "loss" in k), scores, allow_unused=True)
    return flat, [g.unflatten(1, (-1, 6)) for g in gradients]  # (N, A, C, H, W)


def check(head, is_quality):
    with torch.no_grad():
        outs = head(tuple(features(head)))
    expected_losses, expected = losses_and_gradients(head, outs)
    runner, hook = runner_of(head), KnownClassesHook()
    hook.before_train(runner)
    losses, gradients = losses_and_gradients(head, outs)
    hook.after_train(runner)
    restored, _ = losses_and_gradients(head, outs)
    torch.testing.assert_close(restored, expected_losses, rtol=0, atol=0)

    class_terms = {k for k in losses if "cls" in k}
    for name in losses.keys() - class_terms:
        torch.testing.assert_close(losses[name], expected_losses[name], rtol=0, atol=0)
    assert sum(losses[k].sum() for k in class_terms) < sum(expected_losses[k].sum() for k in class_terms)
    unknown = torch.ones(2, 6, dtype=torch.bool)
    for row, known in zip(unknown, KNOWN, strict=True):
        row[list(known)] = False
    assert len(gradients) == len(expected)
    kept_rows = left_out = 0
    for got, want in zip(gradients, expected, strict=True):
        mask = unknown[:, None, :, None, None].expand_as(got)
        torch.testing.assert_close(got.masked_fill(mask, 0), want.masked_fill(mask, 0), rtol=1e-5, atol=1e-9)
        positive = (want < 0).any(2, keepdim=True)
        kept = ((got != 0) & mask).any(2, keepdim=True)
        assert not (positive & ~kept & (want.where(mask, 0) != 0).any(2, keepdim=True)).any()
        if not is_quality:
            assert not (kept & ~positive).any()
        torch.testing.assert_close(
            got.masked_fill(~(mask & kept), 0), want.masked_fill(~(mask & kept), 0), rtol=1e-5, atol=1e-9
        )
        kept_rows += int(kept.sum())
        left_out += int(((want != 0) & mask & ~kept).sum())
    assert kept_rows > 0
    assert left_out > 20 * kept_rows / 6


@pytest.mark.parametrize("name", COVERED)
def test_only_unknown_classes_of_background_are_left_out(name):
    check(built_head(COVERED[name]), name in QUALITY)


@pytest.mark.parametrize("name", ["retinanet", "atss", "fcos", "paa"])
def test_our_loss_leaves_out_the_same(name):
    check(built_head(COVERED[name], ASL), False)


def test_the_later_loss_of_tood_leaves_out_the_same():
    MessageHub.get_current_instance().update_info("epoch", 10)
    try:
        head = built_head(COVERED["tood"])
        head.epoch = 10
        check(head, True)
    finally:
        MessageHub.get_current_instance().update_info("epoch", 0)


def of_a_head_that_ignores(name, ignore_above, complete=False):
    """The gradients for the scores, of which many are high."""
    own = dict(fsaf=dict(reduction="none"), tood=dict(activated=True)).get(name, {})  # as in their configs
    head = built_head(COVERED[name], dict(ASL, ignore_above=ignore_above, **own))
    with torch.no_grad():
        outs = head(tuple(features(head)))
    torch.manual_seed(3)
    scores = [torch.randn_like(level) for level in outs[0]]
    outs = ([level.sigmoid() for level in scores] if name == "tood" else scores, *outs[1:])
    known = [dict(meta, known_classes=range(6), complete=complete and i == 0) for i, meta in enumerate(metas())]
    hook = KnownClassesHook()
    hook.before_train(runner_of(head))
    return losses_and_gradients(head, outs, known)


@pytest.mark.parametrize("name", [name for name in COVERED if name not in QUALITY - {"fsaf", "pisa_retinanet"}])
def test_nothing_is_ignored_in_a_complete_image(name):
    _, nothing_ignored = of_a_head_that_ignores(name, 1.0)
    _, ignored = of_a_head_that_ignores(name, 0.3)
    _, found = of_a_head_that_ignores(name, 0.3, complete=True)
    for got, whole, part in zip(found, nothing_ignored, ignored, strict=True):
        torch.testing.assert_close(got[0], whole[0], rtol=1e-5, atol=1e-9)
        torch.testing.assert_close(got[1], part[1], rtol=1e-5, atol=1e-9)
    assert sum((got[0] == 0).sum() for got in found) < sum((part[0] == 0).sum() for part in ignored)


def capture(head):
    """What the classification loss that trains is called with."""
    calls = []

    def keep(loss, args, kwargs):
        bound = inspect.signature(loss.forward).bind(*args, **kwargs).arguments
        if bound.get("reduction_override") != "none":  # else it ranks anchors
            calls.append((list(bound.values())[1], bound.get("weight")))

    for name, loss in head.named_children():
        if "loss_cls" in name:
            loss.register_forward_pre_hook(keep, with_kwargs=True)
    return calls


def owned_rows(target, weight, label):
    """How many rows are of a label, or left out for it alone."""
    labels = target[0] if isinstance(target, tuple) else target
    if labels.dim() == 2:
        return int((labels[:, label] > 0).sum())
    owned = labels == label
    if weight is not None and weight.numel() == 6 * len(labels):
        weight = weight.reshape(-1, 6)
        owned |= (weight[:, label] == 0) & (weight.sum(1) > 0) & (labels == 6)
    return int(owned.sum())


@pytest.mark.parametrize(
    "name, loss", [(name, None) for name in COVERED] + [(name, ASL) for name in ("retinanet", "atss", "fcos", "paa")]
)
def test_a_box_of_an_unknown_class_is_learned_as_a_box_alone(name, loss):
    """As a box of the class that scores highest everywhere, but for the classes of what it owns."""
    head = built_head(COVERED[name], loss)
    with torch.no_grad():
        outs = head(tuple(features(head)))
    best = [scores.clone().unflatten(1, (-1, 6)) for scores in outs[0]]
    for scores in best:
        scores[:, :, 3] = scores.amax(2) + 1e-4
    outs = ([scores.flatten(1, 2) for scores in best], *outs[1:])
    truth = truths()
    truth[0].labels[1] = 3
    calls = capture(head)
    expected_losses, expected = losses_and_gradients(head, outs, truth=truth)
    owned = sum(owned_rows(*call, 3) for call in calls)
    assert owned
    hook = KnownClassesHook()
    hook.before_train(runner_of(head))
    truth[0].labels[1] = 6
    known = [dict(meta, known_classes=range(6), has_unknown_class=True) for meta in metas()]
    losses, found = losses_and_gradients(head, outs, known, truth)
    assert (head.num_classes, head.cls_out_channels) == (6, 6)
    for key in losses:
        if "cls" not in key and name != "fsaf":  # which chooses a level by both losses
            torch.testing.assert_close(losses[key], expected_losses[key], rtol=1e-5, atol=1e-7)
    left_out = 0
    for got, want in zip(found, expected, strict=True):
        is_owned = ((got == 0) & (want != 0)).any(2, keepdim=True)
        assert not got.where(is_owned, 0).any()  # no class, neither as an object nor as background
        torch.testing.assert_close(got, want.where(~is_owned, 0), rtol=1e-5, atol=1e-9)
        left_out += int(is_owned[0].sum())  # of the other image nothing
    assert left_out == owned


@pytest.mark.parametrize("path", REFUSED)
def test_other_heads_are_refused(path):
    model = Config.fromfile(ROOT / path).model
    head = model.bbox_head
    if head.type not in ("DETRHead", "CenterNetHead"):
        head.update(train_cfg=model.get("train_cfg"), test_cfg=model.get("test_cfg"))
    with pytest.raises(ValueError, match=f"does not work with {head.type}.*{REFUSED[path]}.*RetinaHead"):
        KnownClassesHook().before_train(runner_of(MODELS.build(head)))


@pytest.mark.parametrize("hooks", [(KnownClassesHook, IgnoredBoxesHook), (IgnoredBoxesHook, KnownClassesHook)])
@pytest.mark.parametrize("name", ["fcos", "nas_fcos", "atss", "gfl", "retinanet", "pisa_retinanet", "nas_fpn"])
def test_ignored_boxes_stay_ignored_beside_one_of_an_unknown_class(name, hooks):
    head = built_head(COVERED[name])
    with torch.no_grad():
        outs = head(tuple(features(head)))
    for kind in hooks:
        kind().before_train(runner_of(head))
    known = [dict(meta, known_classes=range(6), has_unknown_class=True) for meta in metas()]
    truth = truths()
    truth[0].labels[:] = 6
    _, expected = losses_and_gradients(head, outs, known, truth)
    scores = [score.detach().clone().requires_grad_() for score in outs[0]]
    none = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    for label in (0, 6):  # the ignored one may be of an unknown class too
        ignored = InstanceData(bboxes=truth[0].bboxes[:1], labels=torch.tensor([label]))
        losses = head.loss_by_feat(scores, *outs[1:], [truth[0][1:], truth[1]], known, [ignored, none])
        loss = sum(sum(v) if isinstance(v, list) else v for k, v in losses.items() if "cls" in k)
        left_out = 0
        for got, want in zip(torch.autograd.grad(loss, scores), expected, strict=True):
            torch.testing.assert_close(got.unflatten(1, (-1, 6))[0] == 0, want[0] == 0)
            left_out += int((want[0] == 0).sum())
        assert left_out
