"""The oracle of experiments/: a hand-made image where who owns what is known, and the file that names what is gone."""

import json

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

import asl_mmdet  # noqa: F401  (before mmdet.models, which needs mmcv.ops)

pytest.importorskip("experiments.oracle")

from mmdet.models.dense_heads import RPNHead
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules

from asl_mmdet.drop_boxes import drop_boxes
from experiments.oracle import OracleCoco, leave_out_dropped

CLASSES = 3
SIDE = 3  # one level of 3 x 3 cells of 32 pixels
KEPT, DROPPED = 0, 8  # the cells that the two boxes fill
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


@pytest.fixture(autouse=True, scope="module")
def _mmdet_scope():
    register_all_modules()


def cell_box(cell):
    y, x = divmod(cell, SIDE)
    return [32.0 * x, 32.0 * y, 32.0 * (x + 1), 32.0 * (y + 1)]


def boxes(*cells_and_labels):
    cells, labels = zip(*cells_and_labels, strict=True)
    return InstanceData(bboxes=torch.tensor([cell_box(cell) for cell in cells]), labels=torch.tensor(labels))


def losses_and_gradients(name, gt_instances, is_oracle):
    """The losses of a head on random maps, and their gradients by the classification and the box map, cell by cell."""
    head = MODELS.build(dict(HEADS[name]))
    if is_oracle:
        leave_out_dropped(head)
    generator = torch.Generator().manual_seed(0)
    scores, deltas, centers = (
        [torch.rand(1, n, SIDE, SIDE, generator=generator).requires_grad_()] for n in (CLASSES, 4, 1)
    )
    maps = (scores, deltas) if name == "retinanet" else (scores, deltas, centers)
    losses = head.loss_by_feat(*maps, [gt_instances], [META])
    losses = {key: sum(value) if isinstance(value, list) else value for key, value in losses.items()}
    of_scores = torch.autograd.grad(losses["loss_cls"], scores[0], retain_graph=True)[0]
    of_deltas = torch.autograd.grad(losses["loss_bbox"], deltas[0])[0]
    return losses, of_scores[0].flatten(1), of_deltas[0].flatten(1)


@pytest.mark.parametrize("name", HEADS)
def test_what_a_dropped_box_owns_has_no_loss(name):
    _, of_scores, of_deltas = losses_and_gradients(name, boxes((KEPT, 1), (DROPPED, CLASSES + 1 + 2)), is_oracle=True)
    has_gradient = of_scores.ne(0).all(0)
    assert not of_scores[:, DROPPED].any()
    assert has_gradient.nonzero().flatten().tolist() == [cell for cell in range(SIDE**2) if cell != DROPPED]
    assert of_deltas.ne(0).any(0).nonzero().flatten().tolist() == [KEPT]


@pytest.mark.parametrize("name", HEADS)
def test_all_else_costs_what_it_costs_without_the_dropped_box(name):
    """The cells are far from each other, so the dropped box takes nothing from the one that is left."""
    oracle, of_scores, of_deltas = losses_and_gradients(name, boxes((KEPT, 1), (DROPPED, CLASSES + 1 + 2)), True)
    plain, plain_scores, plain_deltas = losses_and_gradients(name, boxes((KEPT, 1)), False)
    others = [cell for cell in range(SIDE**2) if cell != DROPPED]
    torch.testing.assert_close(of_scores[:, others], plain_scores[:, others])
    torch.testing.assert_close(of_deltas, plain_deltas)
    assert oracle["loss_cls"] < plain["loss_cls"]


@pytest.mark.parametrize("name", HEADS)
def test_without_a_dropped_box_nothing_changes(name):
    both = boxes((KEPT, 1), (DROPPED, 2))
    oracle, plain = (losses_and_gradients(name, both, is_oracle) for is_oracle in (True, False))
    assert oracle[0] == plain[0]
    torch.testing.assert_close(oracle[1:], plain[1:], rtol=0, atol=0)


@pytest.mark.parametrize("name", HEADS)
def test_a_dropped_box_keeps_what_it_takes_from_another(name):
    """Two boxes of one cell: where all boxes are there the smaller or better one owns it, dropped or not."""
    larger = InstanceData(
        bboxes=torch.tensor([[0.0, 0.0, 40.0, 40.0], [0.0, 0.0, 32.0, 32.0]]), labels=torch.tensor([1, CLASSES + 1])
    )
    _, of_scores, _ = losses_and_gradients(name, larger, is_oracle=True)
    assert not of_scores[:, 0].any()


def test_a_head_without_known_targets_is_refused():
    with pytest.raises(ValueError, match="NoneType"):
        leave_out_dropped(None)
    with pytest.raises(ValueError, match="RPNHead"):
        leave_out_dropped(RPNHead(in_channels=4, train_cfg=None))


def complete_file():
    annotations = [
        dict(id=i, image_id=1 + i % 2, category_id=7 + i % 3, bbox=[8.0 * i, 4.0, 8.0, 8.0], area=64.0, iscrowd=0)
        for i in range(12)
    ]
    return dict(
        images=[dict(id=i, file_name=f"{i}.jpg", width=96, height=96) for i in (1, 2)],
        annotations=annotations,
        categories=[dict(id=7 + k, name=name) for k, name in enumerate("abc")],
    )


def instances_of(path):
    dataset = OracleCoco(
        ann_file=str(path),
        data_prefix=dict(img=""),
        metainfo=dict(classes=("a", "b", "c")),
        pipeline=[],
        filter_cfg=dict(filter_empty_gt=False),
    )
    return {
        info["img_id"]: sorted((tuple(one["bbox"]), one["bbox_label"]) for one in info["instances"])
        for info in (dataset.get_data_info(i) for i in range(len(dataset)))
    }


def test_every_box_of_the_complete_file_is_there_and_the_dropped_ones_are_marked(tmp_path):
    content = drop_boxes(complete_file(), rate=0.5, seed=1)
    gone = {annotation["id"] for annotation in content["dropped"]["annotations"]}
    assert 0 < len(gone) < 12
    (tmp_path / "half.json").write_text(json.dumps(content))
    expected = {1: [], 2: []}
    for one in complete_file()["annotations"]:
        x, y, width, height = one["bbox"]
        label = one["category_id"] - 7 + (CLASSES + 1 if one["id"] in gone else 0)
        expected[one["image_id"]].append(((x, y, x + width, y + height), label))
    assert instances_of(tmp_path / "half.json") == {number: sorted(found) for number, found in expected.items()}


def test_a_file_that_names_no_dropped_boxes_is_refused(tmp_path):
    (tmp_path / "all.json").write_text(json.dumps(complete_file()))
    with pytest.raises(ValueError, match="drop_boxes"):
        instances_of(tmp_path / "all.json")
