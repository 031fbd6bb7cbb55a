"""A config says what it trains, and where its classification loss is."""

import pytest
from commands import ROOT
from mmengine.config import Config
from mmengine.hub import get_config

from asl_mmdet.config.task import DETECTION, MULTI_LABEL, loss_node, loss_nodes, set_loss, task_of


@pytest.mark.parametrize(
    "path, task, key",
    [
        ("atss_r50_asl.py", DETECTION, "model.bbox_head.loss_cls"),
        ("shapes/retinanet_r18_focal_shapes.py", DETECTION, "model.bbox_head.loss_cls"),
        ("shapes/classifier_r18_asl_shapes.py", MULTI_LABEL, "model.head.loss"),
        ("multilabel/mldecoder_tresnet_l_asl_coco448.py", MULTI_LABEL, "model.head.loss"),
    ],
)
def test_task_and_loss_of_a_shipped_config(path, task, key):
    cfg = Config.fromfile(ROOT / "configs" / path)
    assert task_of(cfg) is task
    assert loss_node(cfg)[0] == key
    set_loss(cfg, dict(type="Other"))
    assert loss_node(cfg) == (key, {"type": "Other"})


def test_two_stage_detector_has_several_losses_and_none_is_picked():
    cfg = get_config("mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py")
    assert list(loss_nodes(cfg)) == [
        "model.rpn_head.loss_cls",
        *(f"model.roi_head.bbox_head.{i}.loss_cls" for i in range(3)),
    ]
    with pytest.raises(ValueError, match=r"CascadeRCNN has 4 classification losses \(model.rpn_head.loss_cls, "):
        loss_node(cfg)


def test_loss_in_the_detector_of_a_semi_supervised_model_is_found():
    head = dict(bbox_head=dict(loss_cls=dict(type="FocalLoss")))
    assert list(loss_nodes(Config(dict(model=dict(type="SoftTeacher", detector=head))))) == [
        "model.detector.bbox_head.loss_cls"
    ]


def test_config_without_a_model_has_no_loss():
    with pytest.raises(ValueError, match="has 0 classification losses"):
        loss_node(Config())
