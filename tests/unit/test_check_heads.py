"""Every head that counts classes is compared with the training set."""

import json
from copy import deepcopy

import pytest
from annotated import coco
from mmdet.models import FCNMaskHead, Shared2FCBBoxHead
from mmengine.config import Config

from asl_mmdet.checks import check_config, check_datasets
from asl_mmdet.checks.heads import class_counts
from asl_mmdet.deploy.detector import build_detector
from asl_mmdet.errors import UserError

BOX = dict(type="Shared2FCBBoxHead", num_classes=3)
SEESAW = dict(type="SeesawLoss", num_classes=80)
MASK = dict(type="FCNMaskHead", num_classes=3)
TWO_STAGE = dict(type="FasterRCNN", rpn_head=dict(type="RPNHead", num_classes=1))
pytestmark = pytest.mark.usefixtures("mmdet_scope")


def roi(**heads):
    return dict(**TWO_STAGE, roi_head=dict(type="StandardRoIHead", **heads))


WRONG = {  # the model, and the key of its wrong number
    "the second of a cascade": (roi(bbox_head=[BOX, dict(BOX, num_classes=80), BOX]), "roi_head.bbox_head.1"),
    "a mask head": (roi(bbox_head=BOX, mask_head=dict(MASK, num_classes=80)), "roi_head.mask_head"),
    "a list of mask heads": (roi(bbox_head=BOX, mask_head=[MASK, dict(MASK, num_classes=80)]), "roi_head.mask_head.1"),
    "a mask head by its default": (roi(bbox_head=BOX, mask_head=dict(type="FCNMaskHead")), "roi_head.mask_head"),
    "a class by its default": (roi(bbox_head=BOX, mask_head=dict(type=FCNMaskHead)), "roi_head.mask_head"),
    "a base class's default": (roi(bbox_head=dict(type=Shared2FCBBoxHead)), "roi_head.bbox_head"),
    "a point head": (roi(bbox_head=BOX, point_head=dict(type="MaskPointHead", num_classes=80)), "roi_head.point_head"),
    "a head of context": (
        roi(bbox_head=BOX, glbctx_head=dict(type="GlobalContextHead", num_classes=80)),
        "roi_head.glbctx_head",
    ),
    "a loss": (roi(bbox_head=dict(BOX, loss_cls=SEESAW)), "roi_head.bbox_head.loss_cls"),
    "a one-stage head": (dict(type="RetinaNet", bbox_head=dict(type="RetinaHead", num_classes=80)), "bbox_head"),
    "one of several": (dict(type="CoDETR", bbox_head=[BOX, dict(BOX, num_classes=80)]), "bbox_head.1"),
    "several RoI heads": (
        dict(type="CoDETR", roi_head=[dict(bbox_head=BOX), dict(bbox_head=dict(BOX, num_classes=80))]),
        "roi_head.1.bbox_head",
    ),
    "a teacher's": (dict(type="LAD", bbox_head=BOX, teacher_bbox_head=dict(BOX, num_classes=80)), "teacher_bbox_head"),
    "a student's": (
        dict(type="SoftTeacher", detector=roi(bbox_head=dict(BOX, num_classes=80))),
        "detector.roi_head.bbox_head",
    ),
    "a model with thresholds": (
        dict(type="WithThresholds", model_type="RetinaNet", bbox_head=dict(type="RetinaHead", num_classes=80)),
        "bbox_head",
    ),
    "queries": (
        dict(type="Mask2Former", panoptic_head=dict(type="Mask2FormerHead", num_things_classes=80)),
        "panoptic_head",
    ),
}
RIGHT = {
    "a cascade": roi(bbox_head=[BOX] * 3, mask_head=[MASK] * 3),
    "regions without a class": dict(**TWO_STAGE, roi_head=dict(bbox_head=BOX)),
    "regions by default": dict(type="FasterRCNN", rpn_head=dict(type="RPNHead"), roi_head=dict(bbox_head=BOX)),
    "stuff": roi(bbox_head=BOX, semantic_head=dict(type="FusedSemanticHead", num_classes=183)),
    "a backbone of ImageNet": dict(type="RetinaNet", backbone=dict(type="X", num_classes=1000), bbox_head=BOX),
    "identities": dict(type="DeepSORT", detector=roi(bbox_head=BOX), reid=dict(head=dict(num_classes=380))),
    "words": dict(type="GroundingDINO", language_model=dict(type="BertModel"), bbox_head=dict(num_classes=256)),
    "a head without classes": roi(bbox_head=BOX, mask_head=dict(type="DynamicMaskHead", num_classes=3)),
}


def found(model, tmp_path, **dataset):
    names = ("a", "b", "c")
    content = coco(dict(enumerate(names, 1)), {1: "1.jpg"}, [(1, i) for i in (1, 2, 3)])
    (tmp_path / "train.json").write_text(json.dumps(content), encoding="utf-8")
    block = dict(type="CocoDataset", data_root=f"{tmp_path}/", ann_file="train.json", metainfo=dict(classes=names))
    cfg = Config(dict(model=deepcopy(model), train_dataloader=dict(dataset={**block, **dataset})))
    findings = check_datasets(cfg, ("train",), False)["train_dataloader.dataset"]
    return [finding for finding in findings if finding.code == "D212"]


@pytest.mark.parametrize("model, key", WRONG.values(), ids=WRONG)
def test_wrong_number_of_any_head_is_found(model, key, tmp_path):
    (finding,) = found(model, tmp_path)
    (example,) = finding.examples
    assert finding.is_error
    name = "num_things_classes" if "panoptic" in key else "num_classes"
    assert example == f"model.{key}.{name}=80, 3 in metainfo.classes; write {name}=3"


@pytest.mark.parametrize("model", RIGHT.values(), ids=RIGHT)
def test_what_counts_something_else_is_no_finding(model, tmp_path):
    assert found(model, tmp_path) == []


def test_all_wrong_heads_are_named(tmp_path):
    wrong = dict(BOX, num_classes=80)
    (finding,) = found(roi(bbox_head=[wrong] * 3, mask_head=dict(MASK, num_classes=80)), tmp_path)
    assert len(finding.examples) == 4


def test_panoptic_head_counts_things():
    model = dict(type="PanopticFPN", roi_head=dict(bbox_head=BOX), semantic_head=dict(num_things_classes=3))
    meta = dict(classes=("a", "b", "c", "sky"), thing_classes=("a", "b", "c"), stuff_classes=("sky",))
    loader = dict(dataset=dict(type="CocoPanopticDataset", ann_file="a.json", metainfo=meta))

    def of_things(model):
        return [one for one in check_config(Config(dict(model=model, train_dataloader=loader))) if one.code == "C109"]

    assert of_things(model) == []
    (finding,) = of_things(dict(model, roi_head=dict(bbox_head=dict(BOX, num_classes=4))))
    assert "model.roi_head.bbox_head.num_classes=4, 3 in train_dataloader.dataset.metainfo" in finding.examples[0]


@pytest.mark.parametrize("value", [0, -1, "3", 2.5, True])
def test_number_of_any_head_out_of_range_is_found(value):
    model = roi(bbox_head=[BOX, dict(BOX, num_classes=value)])
    (finding,) = [one for one in check_config(Config(dict(model=model))) if one.code == "C101"]
    assert f"model.roi_head.bbox_head.1.num_classes={value!r}; use the number of classes" in finding.examples[0]


def test_detector_of_another_number_of_classes_is_refused(tmp_path):
    (tmp_path / "config.py").write_text('_base_ = "mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py"')
    cfg = Config.fromfile(tmp_path / "config.py")
    assert len(class_counts(cfg)) == 3
    cfg.model.roi_head.bbox_head[0].num_classes = 2
    with pytest.raises(UserError, match=r"model.roi_head.bbox_head.1.num_classes=80, and the checkpoint is of 2"):
        build_detector(cfg, ("a", "b"))
