"""The type of a block is known whether a config has its name, its path or the class itself."""

import pytest
import torch
from mmdet.datasets import CocoDataset
from mmdet.models import ATSS, MobileNetV2
from mmdet.registry import DATASETS
from mmengine.config import Config, ConfigDict
from mmengine.hooks import EMAHook

from asl_mmdet.config.task import DETECTION, MULTI_LABEL, task_of
from asl_mmdet.config.tree import add_hooks, find_blocks, find_type, shown_type, type_name, type_scope
from asl_mmdet.deploy.detector import classes_of
from asl_mmdet.hooks import EvaluateOnResumeHook, NonFiniteLossHook
from asl_mmdet.losses import AsymmetricLoss
from asl_mmdet.thresholds.model import with_thresholds

pytestmark = pytest.mark.usefixtures("mmdet_scope")


@pytest.mark.parametrize(
    "kind, name, scope",
    [
        ("ATSS", "ATSS", ""),
        ("mmdet.ATSS", "ATSS", "mmdet"),
        ("mmdet.models.detectors.atss.ATSS", "ATSS", "mmdet"),
        (ATSS, "ATSS", "mmdet"),
        (AsymmetricLoss, "AsymmetricLoss", "asl_mmdet"),
        (MobileNetV2, "MobileNetV2", "mmdet"),
        ("WithThresholds", "WithThresholds", ""),
        (with_thresholds, "WithThresholds", "asl_mmdet"),
        ("asl_mmdet.thresholds.model.with_thresholds", "WithThresholds", "asl_mmdet"),
        (torch.optim.SGD, "SGD", "torch"),
        (None, "None", ""),
    ],
)
def test_type_has_a_name_and_a_scope(kind, name, scope):
    assert type_name(kind) == name
    if kind is not None:
        assert type_scope(kind) == scope


def test_type_is_shown_as_a_config_has_it():
    assert (shown_type("mmdet.ATSS"), shown_type(ATSS)) == ("'mmdet.ATSS'", "ATSS")


@pytest.mark.parametrize("kind", ["CocoDataset", "mmdet.CocoDataset", "mmdet.datasets.coco.CocoDataset", CocoDataset])
def test_type_stands_for_its_class(kind):
    assert find_type(DATASETS, kind) is CocoDataset
    assert find_type(DATASETS, f"{kind}s") is None


@pytest.mark.parametrize(
    "there", ["NonFiniteLossHook", "mmengine.NonFiniteLossHook", NonFiniteLossHook, "asl_mmdet.hooks.NonFiniteLossHook"]
)
def test_hook_is_added_once(there):
    cfg = Config(dict(custom_hooks=[dict(type=there, max_skips=3), dict(type=EMAHook)]))
    add_hooks(cfg, "NonFiniteLossHook", "EvaluateOnResumeHook")
    assert [hook.get("max_skips") for hook in cfg.custom_hooks] == [3, None, None]
    add_hooks(cfg, "NonFiniteLossHook", "EvaluateOnResumeHook")
    assert [type_name(hook["type"]) for hook in cfg.custom_hooks][1:] == ["EMAHook", "EvaluateOnResumeHook"]


def test_hook_that_is_built_is_left_as_it_is():
    cfg = Config(dict())
    cfg.custom_hooks = [EvaluateOnResumeHook()]
    add_hooks(cfg, "NonFiniteLossHook")
    assert len(cfg.custom_hooks) == 2


@pytest.mark.parametrize("model, task", [(ATSS, DETECTION), ("mmpretrain.ImageClassifier", MULTI_LABEL)])
def test_task_of_a_model(model, task):
    assert task_of(Config(dict(model=dict(type=model)))) is task
    assert task_of(Config(dict(model=dict(type=with_thresholds, model_type=model)))) is task


def test_task_of_a_class_of_mmpretrain():
    ImageClassifier = pytest.importorskip("mmpretrain.models").ImageClassifier  # noqa: N806
    assert task_of(Config(dict(model=dict(type=ImageClassifier)))) is MULTI_LABEL


@pytest.mark.parametrize("kind", ["CocoDataset", CocoDataset])
def test_classes_come_from_the_data_set_where_no_metainfo_names_them(kind):
    cfg = Config(dict(test_dataloader=dict(dataset=dict(type=kind, data_root="x"))))
    assert classes_of(cfg, {})[:2] == ("person", "bicycle")


def test_several_evaluators_may_be_a_tuple():
    cfg = Config(dict())
    cfg.val_evaluator = (ConfigDict(type="CocoMetric"), ConfigDict(type="VOCMetric"))
    assert [key for key, _ in find_blocks(cfg, "val_evaluator")] == ["val_evaluator.0", "val_evaluator.1"]
