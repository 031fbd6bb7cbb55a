"""What drop_boxes took away comes back: in the oracles of experiments/ as ignored or unknown, or without a class."""

import json

import numpy as np
import pytest
import torch
from annotated import coco

import asl_mmdet  # noqa: F401  (before mmdet, which needs mmcv.ops)

pytest.importorskip("experiments.oracle")

from asl_mmdet.coco.drop_boxes import drop_boxes
from asl_mmdet.multilabel import PartialLabelLoss
from experiments.oracle import OracleCoco
from experiments.oracle_multilabel import OracleCocoMultiLabel
from experiments.unknown_class import UnknownClassCoco


def complete_file():
    boxes = [(1 + i % 2, 7 + i % 3, [8.0 * i, 4.0, 8.0, 8.0]) for i in range(12)]
    images = {i: dict(file_name=f"{i}.jpg", width=96, height=96) for i in (1, 2)}
    return coco({7 + k: name for k, name in enumerate("abc")}, images, boxes)


def instances_of(path, kind=OracleCoco):
    dataset = kind(
        ann_file=str(path),
        data_prefix=dict(img=""),
        metainfo=dict(classes=("a", "b", "c")),
        pipeline=[],
        filter_cfg=dict(filter_empty_gt=False),
    )
    return {
        info["img_id"]: sorted((tuple(one["bbox"]), one["bbox_label"], one["ignore_flag"]) for one in info["instances"])
        for info in (dataset.get_data_info(i) for i in range(len(dataset)))
    }


def test_every_box_of_the_complete_file_is_there_and_the_dropped_ones_are_ignored_or_have_no_class(tmp_path):
    content = drop_boxes(complete_file(), rate=0.5, seed=1)
    gone = {annotation["id"] for annotation in content["dropped"]["annotations"]}
    assert 0 < len(gone) < 12
    (tmp_path / "half.json").write_text(json.dumps(content))
    found = [one for image in instances_of(tmp_path / "half.json", UnknownClassCoco).values() for one in image]
    labels = [3 if one["id"] in gone else one["category_id"] - 7 for one in complete_file()["annotations"]]
    assert sorted(label for _, label, ignored in found if not ignored) == sorted(labels)
    expected = {1: [], 2: []}
    for one in complete_file()["annotations"]:
        x, y, width, height = one["bbox"]
        expected[one["image_id"]].append(
            ((x, y, x + width, y + height), one["category_id"] - 7, int(one["id"] in gone))
        )
    assert instances_of(tmp_path / "half.json") == {number: sorted(found) for number, found in expected.items()}


def test_a_file_that_names_no_dropped_boxes_is_refused(tmp_path):
    (tmp_path / "all.json").write_text(json.dumps(complete_file()))
    with pytest.raises(ValueError, match="drop_boxes"):
        instances_of(tmp_path / "all.json")
    with pytest.raises(ValueError, match="drop_boxes"):
        OracleCocoMultiLabel(str(tmp_path / "all.json"))


def test_a_class_whose_boxes_were_all_dropped_is_unknown_and_has_no_loss(tmp_path):
    content = drop_boxes(complete_file(), rate=0.5, seed=1)
    (tmp_path / "half.json").write_text(json.dumps(content))
    dataset = OracleCocoMultiLabel(str(tmp_path / "half.json"), filter_cfg=dict(filter_empty_gt=False))
    left, all_ = (
        {(one["image_id"], one["category_id"] - 7) for one in boxes}
        for boxes in (content["annotations"], complete_file()["annotations"])
    )
    assert left < all_
    scores = torch.tensor(np.stack([dataset.get_data_info(i)["gt_score"] for i in range(2)]))
    expected = [[1 if (i, k) in left else -((i, k) in all_) for k in range(3)] for i in (1, 2)]
    assert scores.tolist() == expected
    logits = torch.zeros(2, 3, requires_grad=True)
    PartialLabelLoss(dict(type="FocalLoss"))(logits, scores).backward()
    assert ((logits.grad != 0) == (scores >= 0)).all()
