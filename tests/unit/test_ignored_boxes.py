"""Ignored boxes that own anchors: a hand-made image where who owns what is known."""

import json
from copy import deepcopy
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner
from mmengine.structures import InstanceData

import asl_mmdet  # noqa: F401  (before mmdet.models, which needs mmcv.ops)
from asl_mmdet.audit.apply import apply_findings
from asl_mmdet.hooks import IgnoredBoxesHook
from asl_mmdet.hooks.ignored_boxes import leave_out_ignored_boxes, trains_on_ignored_boxes

CLASSES = 3
SIDE = 3  # one level of 3 x 3 cells of 32 pixels
REG_MAX = 4  # GFL has as many bins and one for each side of a box
KEPT, IGNORED = 0, 8  # the cells that the two boxes fill
META = dict(img_shape=(96, 96), pad_shape=(96, 96), scale_factor=(1.0, 1.0), batch_input_shape=(96, 96))
ANCHORS = dict(type="AnchorGenerator", ratios=[1.0], scales=[1], base_sizes=[32], strides=[32], centers=[(16.0, 16.0)])
LOSS = dict(type="FocalLoss", use_sigmoid=True, gamma=1.5, alpha=0.5, loss_weight=2.0)
SHARED = dict(num_classes=CLASSES, in_channels=4, feat_channels=4, stacked_convs=1, loss_cls=LOSS)


def train_cfg(**assigner):
    return ConfigDict(assigner=assigner, sampler=dict(type="PseudoSampler"), allowed_border=-1, pos_weight=-1)


HEADS = {
    "atss": dict(
        type="ATSSHead",
        anchor_generator=ANCHORS,
        norm_cfg=None,
        loss_bbox=dict(type="GIoULoss"),
        train_cfg=train_cfg(type="ATSSAssigner", topk=9),
        **SHARED,
    ),
    "retinanet": dict(
        type="RetinaHead",
        anchor_generator=ANCHORS,
        train_cfg=train_cfg(type="MaxIoUAssigner", pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0, ignore_iof_thr=-1),
        **SHARED,
    ),
    "gfl": dict(
        type="GFLHead",
        anchor_generator=ANCHORS,
        norm_cfg=None,
        reg_max=REG_MAX,
        loss_cls=dict(type="QualityFocalLoss", use_sigmoid=True),
        loss_bbox=dict(type="GIoULoss"),
        train_cfg=train_cfg(type="ATSSAssigner", topk=9),
        **{key: value for key, value in SHARED.items() if key != "loss_cls"},
    ),
    "fcos": dict(
        type="FCOSHead",
        strides=[32],
        regress_ranges=((-1, 1e8),),
        center_sampling=True,
        norm_on_bbox=True,
        norm_cfg=None,
        **SHARED,
    ),
}

CHANNELS = dict(atss=(CLASSES, 4, 1), retinanet=(CLASSES, 4), gfl=(CLASSES, 4 * (REG_MAX + 1)), fcos=(CLASSES, 4, 1))
pytestmark = pytest.mark.usefixtures("mmdet_scope")


def cell_box(cell):
    y, x = divmod(cell, SIDE)
    return [32.0 * x, 32.0 * y, 32.0 * (x + 1), 32.0 * (y + 1)]


def boxes(*cells_and_labels):
    cells, labels = zip(*cells_and_labels, strict=True) if cells_and_labels else ((), ())
    return InstanceData(
        bboxes=torch.tensor([cell_box(cell) for cell in cells]).reshape(-1, 4), labels=torch.tensor(labels).long()
    )


def losses_and_gradients(name, given, ignored=None, leaves_out=False):
    """The losses of a head on random maps, and their gradients by the classification and the box map, cell by cell."""
    head = MODELS.build(dict(HEADS[name]))
    remove = leave_out_ignored_boxes(head) if leaves_out else lambda: None
    generator = torch.Generator().manual_seed(0)
    maps = [[torch.rand(1, n, SIDE, SIDE, generator=generator).requires_grad_()] for n in CHANNELS[name]]
    scores, deltas = maps[:2]
    losses = head.loss_by_feat(*maps, [given], [META], None if ignored is None else [ignored])
    losses = {key: sum(value) if isinstance(value, list) else value for key, value in losses.items()}
    of_scores = torch.autograd.grad(losses["loss_cls"], scores[0], retain_graph=True)[0]
    of_deltas = torch.autograd.grad(losses["loss_bbox"], deltas[0])[0]
    remove()
    assert "loss_by_feat" not in vars(head) and "assign" not in vars(getattr(head, "assigner", head))
    return losses, of_scores[0].flatten(1), of_deltas[0].flatten(1)


@pytest.mark.parametrize("name", HEADS)
def test_what_an_ignored_box_would_own_has_no_loss(name):
    _, of_scores, of_deltas = losses_and_gradients(name, boxes((KEPT, 1)), boxes((IGNORED, 2)), leaves_out=True)
    others = [cell for cell in range(SIDE**2) if cell != IGNORED]
    assert of_scores.ne(0).all(0).nonzero().flatten().tolist() == others
    assert not of_scores[:, IGNORED].any()
    assert of_deltas.ne(0).any(0).nonzero().flatten().tolist() == [KEPT]


@pytest.mark.parametrize("name", HEADS)
def test_without_the_hook_an_ignored_box_is_background(name):
    with_it, without_it = (losses_and_gradients(name, boxes((KEPT, 1)), one) for one in (boxes((IGNORED, 2)), None))
    assert with_it[0] == without_it[0] and with_it[1][:, IGNORED].any()


@pytest.mark.parametrize("name", HEADS)
def test_all_else_costs_what_it_costs_without_the_ignored_box(name):
    """The cells are far from each other, so the ignored box takes nothing from the other one."""
    found = losses_and_gradients(name, boxes((KEPT, 1)), boxes((IGNORED, 2)), leaves_out=True)
    plain = losses_and_gradients(name, boxes((KEPT, 1)))
    others = [cell for cell in range(SIDE**2) if cell != IGNORED]
    torch.testing.assert_close(found[1][:, others], plain[1][:, others])
    torch.testing.assert_close(found[2], plain[2])
    assert found[0]["loss_cls"] < plain[0]["loss_cls"]


@pytest.mark.parametrize("ignored", [None, boxes()])
@pytest.mark.parametrize("name", HEADS)
def test_without_an_ignored_box_nothing_changes(name, ignored):
    both = boxes((KEPT, 1), (IGNORED, 2))
    found, plain = (losses_and_gradients(name, both, ignored, leaves_out) for leaves_out in (True, False))
    assert found[0] == plain[0]
    torch.testing.assert_close(found[1:], plain[1:], rtol=0, atol=0)


@pytest.mark.parametrize("name", HEADS)
def test_an_image_with_ignored_boxes_alone_has_background_elsewhere(name):
    head = MODELS.build(dict(HEADS[name]))
    leave_out_ignored_boxes(head)
    scores, *others = (torch.rand(1, n, SIDE, SIDE) for n in CHANNELS[name])
    losses = head.loss_by_feat(
        [scores.requires_grad_()], *([one] for one in others), [boxes()], [META], [boxes((IGNORED, 2))]
    )
    loss = losses["loss_cls"]
    (sum(loss) if isinstance(loss, list) else loss).backward()
    assert (~scores.grad[0].flatten(1).ne(0).any(0)).nonzero().flatten().tolist() == [IGNORED]


@pytest.mark.parametrize("name", HEADS)
def test_an_ignored_box_keeps_what_it_takes_from_another(name):
    """Of two boxes in one cell the smaller or the better one owns it, ignored or not."""
    larger = InstanceData(bboxes=torch.tensor([[0.0, 0.0, 40.0, 40.0]]), labels=torch.tensor([1]))
    assert losses_and_gradients(name, larger)[1][:, KEPT].any()
    assert not losses_and_gradients(name, larger, boxes((KEPT, 0)), leaves_out=True)[1][:, KEPT].any()


def test_normaliser_counts_the_boxes_that_are_learned():
    head = MODELS.build(dict(HEADS["atss"]))
    leave_out_ignored_boxes(head)
    anchors, flags = head.get_anchors([(SIDE, SIDE)], [META], "cpu")
    *_, factor = head.get_targets(anchors, flags, [boxes((KEPT, 1))], [META], [boxes((IGNORED, 2), (4, 0))])
    assert factor == 1


@pytest.mark.parametrize("head", [None, "PAAHead", "AutoAssignHead"])
def test_a_head_with_targets_of_its_own_is_refused(head):
    from mmdet.models import dense_heads

    head = head and object.__new__(getattr(dense_heads, head))
    with pytest.raises(ValueError, match="does not know how"):
        leave_out_ignored_boxes(head)


def config_of(path, content, name="atss"):
    """A config with a head, trained on a COCO file of one image."""
    path.write_text(content)
    wrapped = dict(
        type="RepeatDataset", dataset=dict(type="CocoDataset", data_root=str(path.parent), ann_file=path.name)
    )
    return Config(dict(model=dict(bbox_head=deepcopy(HEADS[name])), train_dataloader=dict(dataset=wrapped)))


def test_boxes_of_the_audit_need_the_hook_unless_an_assigner_leaves_them_out(tmp_path):
    added = dict(kind="missing", score=0.9, image_id=1, category_id=1, bbox=[0, 0, 9, 9])
    coco = dict(
        images=[dict(id=1)], annotations=[dict(id=1, image_id=1, category_id=1, iscrowd=1)], categories=[dict(id=1)]
    )
    for as_ignore in (False, True):
        content = apply_findings(coco, [added], 0.5, as_ignore)
        for indent in (None, 2):
            cfg = config_of(tmp_path / "train.json", json.dumps(content, indent=indent))
            assert trains_on_ignored_boxes(cfg) == as_ignore
    cfg.model.bbox_head.train_cfg.assigner.ignore_iof_thr = -1
    assert trains_on_ignored_boxes(cfg)
    cfg.model.bbox_head.train_cfg.assigner.ignore_iof_thr = 0.5
    assert not trains_on_ignored_boxes(cfg)
    assert not trains_on_ignored_boxes(config_of(tmp_path / "train.json", json.dumps(coco)))  # crowds alone
    (tmp_path / "train.json").unlink()
    assert not trains_on_ignored_boxes(cfg) and not trains_on_ignored_boxes(Config({}))


@pytest.mark.parametrize("named", [False, True])
def test_runner_gets_the_hook_by_itself(tmp_path, named):
    cfg = config_of(tmp_path / "train.json", '{"audit_labels": [{"as_ignore":true}]}')
    hooks = [dict(type="IgnoredBoxesHook")] if named else []
    runner = Runner(torch.nn.Linear(1, 1), str(tmp_path), cfg=cfg, custom_hooks=hooks, experiment_name=tmp_path.name)
    assert sum(isinstance(hook, IgnoredBoxesHook) for hook in runner.hooks) == 1


def test_flag_of_an_ignored_box_stays_with_its_box_in_the_pipeline(tmp_path):
    """Through Mosaic, flips and crops: the ignored boxes are those of their label."""
    content = dict(images=[], annotations=[], categories=[dict(id=1, name="a"), dict(id=2, name="b")])
    for image in range(1, 5):
        cv2.imwrite(str(tmp_path / f"{image}.png"), np.zeros((64, 64, 3), np.uint8))
        content["images"].append(dict(id=image, file_name=f"{image}.png", width=64, height=64))
        for k, x in enumerate((2, 22, 42)):
            box = dict(bbox=[x, x, 18, 18], area=324, iscrowd=k % 2, category_id=1 + k % 2)
            content["annotations"].append(dict(id=len(content["annotations"]) + 1, image_id=image, **box))
    (tmp_path / "train.json").write_text(json.dumps(content))
    loaded = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations", with_bbox=True)]
    folder = dict(type="CocoDataset", data_root=str(tmp_path), ann_file="train.json", data_prefix=dict(img=""))
    folder |= dict(metainfo=dict(classes=("a", "b")), pipeline=loaded)
    pipeline = [
        dict(type="Mosaic", img_scale=(64, 64)),
        dict(type="RandomFlip", prob=1.0),
        dict(type="RandomCrop", crop_size=(80, 80), allow_negative_crop=True),
        dict(type="PackDetInputs"),
    ]
    dataset = DATASETS.build(dict(type="MultiImageMixDataset", dataset=folder, pipeline=pipeline))
    samples = [dataset[k % 4]["data_samples"] for k in range(8)]
    assert all((sample.gt_instances.labels == 0).all() for sample in samples)
    assert all((sample.ignored_instances.labels == 1).all() for sample in samples)
    assert sum(len(sample.ignored_instances) for sample in samples) > 8


def test_hook_leaves_the_model_as_it_was():
    model = torch.nn.Module()
    model.bbox_head = MODELS.build(dict(HEADS["atss"]))
    runner, hook = SimpleNamespace(model=model), IgnoredBoxesHook()
    hook.before_train(runner)
    assert "assign" in vars(model.bbox_head.assigner)
    hook.after_train(runner)
    assert "assign" not in vars(model.bbox_head.assigner)
