"""The metrics that a config watches are ones that it evaluates."""

import pytest
from mmdet.evaluation import CocoMetric
from mmengine.config import Config
from mmengine.hooks import CheckpointHook, EarlyStoppingHook

from asl_mmdet.checks import check_config

COCO = dict(type="CocoMetric", ann_file="val.json")
VALIDATES = dict(val_dataloader=dict(dataset=dict(type="CocoDataset")))
pytestmark = pytest.mark.usefixtures("mmdet_scope")


def found(evaluator, code="C106", **options):
    cfg = Config(dict(**VALIDATES, val_evaluator=evaluator, **options))
    return [example for one in check_config(cfg) if one.code == code for example in one.examples]


def best(name, **options):
    return dict(default_hooks=dict(checkpoint=dict(save_best=name, **options)))


@pytest.mark.parametrize(
    "write, names",
    [
        ("coco/bbox_mAP", ("bbox_mAP", "BBOX_MAP", "coco/bbox_map", "coco/segm_mAP", "mAP")),
        ("coco/bbox_mAP_50", ("bbox_mAP_50", "coco/bbox_mAP50")),
    ],
)
@pytest.mark.parametrize("kind", ["CocoMetric", "mmdet.CocoMetric", CocoMetric])
def test_name_that_is_not_evaluated_is_found(kind, names, write):
    for name in names:
        (text,) = found(dict(type=kind, metric="bbox"), **best(name))
        assert text == f"default_hooks.checkpoint.save_best={name!r}; write {write!r}"


@pytest.mark.parametrize("name", ["auto", "coco/bbox_mAP", ["coco/bbox_mAP", "coco/bbox_mAP_s"], None])
def test_name_that_is_evaluated_is_no_finding(name):
    assert found(COCO, **best(name)) == []


def test_one_wrong_name_of_several_is_found():
    (text,) = found(COCO, **best(["coco/bbox_mAP", "bbox_mAP_75"]))
    assert "'bbox_mAP_75'; write 'coco/bbox_mAP_75'" in text


@pytest.mark.parametrize("kind", ["EarlyStoppingHook", "mmengine.EarlyStoppingHook", EarlyStoppingHook])
def test_monitor_of_early_stopping_is_found(kind):
    (text,) = found(COCO, custom_hooks=[dict(type=kind, monitor="bbox_mAP")])
    assert text == "custom_hooks.0.monitor='bbox_mAP'; write 'coco/bbox_mAP'"
    assert found(COCO, custom_hooks=[dict(type=kind, monitor="coco/bbox_mAP")]) == []


@pytest.mark.parametrize(
    "options",
    [
        dict(custom_hooks=[dict(type=CheckpointHook, save_best="bbox_mAP")]),
        dict(default_hooks=dict(checkpoint=dict(type=CheckpointHook, save_best="bbox_mAP"))),
        dict(default_hooks=dict(early_stopping=dict(type="EarlyStoppingHook", monitor="bbox_mAP"))),
        dict(param_scheduler=[dict(type="ReduceOnPlateauLR", monitor="bbox_mAP")]),
        dict(param_scheduler=dict(type="ReduceOnPlateauLR", monitor="bbox_mAP")),
    ],
)
def test_wherever_a_metric_is_watched(options):
    (text,) = found(COCO, **options)
    assert text.endswith("='bbox_mAP'; write 'coco/bbox_mAP'")


@pytest.mark.parametrize(
    "evaluator, right, wrong",
    [
        (dict(COCO, prefix="val"), "val/bbox_mAP", "coco/bbox_mAP"),
        (dict(COCO, metric=["bbox", "segm"]), "coco/segm_mAP_50", "segm_mAP_50"),
        (dict(COCO, metric_items=["mAP", "mAR_100"]), "coco/bbox_mAR_100", "coco/bbox_mAP_50"),
        (dict(COCO, classwise=True), "coco/cat_precision", "cat_precision"),
        ([COCO, dict(type="VOCMetric")], "pascal_voc/mAP", "mAP"),
        ((COCO, dict(type="VOCMetric")), "coco/bbox_mAP", "voc/mAP"),
        (dict(type="KnownClassesCocoMetric"), "coco/bbox_mAP", "bbox_mAP"),
        (dict(type="LVISMetric"), "lvis/bbox_APr", "lvis/bbox_mAP"),
        (dict(type="VOCMetric"), "pascal_voc/AP50", "AP50"),
        (dict(COCO, metric="proposal"), "coco/AR@1000", "AR@1000"),
    ],
)
def test_names_are_those_of_the_evaluators(evaluator, right, wrong):
    import asl_mmdet.known_classes  # noqa: F401  (registers a metric)

    assert found(evaluator, **best(right)) == []
    assert len(found(evaluator, **best(wrong))) == 1


def test_names_of_our_table_are_those_that_it_gives():
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("asl_mmdet.multilabel.metrics")
    from asl_mmdet.checks.monitors import _names_of

    table = metrics.MultiLabelTable(topk=2)
    sample = dict(pred_score=torch.tensor([0.9, 0.2]), gt_score=torch.tensor([1, 0]), pred_label=torch.tensor([0]))
    table.process(None, [{**sample, "thresholds_applied": True}, sample])
    given = {f"multi-label/{name}" for name in table.compute_metrics(table.results[1:])}
    prefix, names = _names_of(dict(type="MultiLabelTable", topk=2), "mmpretrain")
    assert given <= {f"{prefix}/{name}" for name in names}
    for kind in ("mmpretrain.MultiLabelTable", metrics.MultiLabelTable):
        assert len(found(dict(type=kind), **best("mAP"))) == 1
        assert found(dict(type=kind), **best("multi-label/CF1_top3")) == []
    assert len(found(dict(type="MultiLabelTable"), default_scope="mmpretrain", **best("mAP"))) == 1


@pytest.mark.parametrize("evaluator", [dict(type="NoSuchMetric"), [COCO, dict(type="NoSuchMetric")], dict(metrics=[])])
def test_nothing_is_said_where_the_names_are_not_known(evaluator):
    assert found(evaluator, **best("anything")) == []


def test_loss_of_a_validation_is_no_metric():
    assert found(COCO, param_scheduler=[dict(type="ReduceOnPlateauLR", monitor="loss")]) == []


def test_best_checkpoint_without_a_validation_is_found():
    cfg = Config(dict(val_dataloader=None, val_evaluator=None, **best("coco/bbox_mAP")))
    (finding,) = [one for one in check_config(cfg) if one.code == "C106"]
    assert "save_best='coco/bbox_mAP' without val_dataloader" in finding.examples[0]


@pytest.mark.parametrize("loader", [dict(drop_last=True), dict(batch_sampler=dict(type="X", drop_last=True))])
@pytest.mark.parametrize("key", ["val_dataloader", "test_dataloader"])
def test_evaluation_that_drops_images_is_found(key, loader):
    (finding,) = [one for one in check_config(Config({key: loader})) if one.code == "C107"]
    assert finding.examples == (f"{key}.drop_last=True",)
    assert check_config(Config({key: dict(drop_last=False)})) == []


@pytest.mark.parametrize(
    "options, text",
    [
        (best("coco/bbox_mAP", rule="grater"), "default_hooks.checkpoint.rule='grater'; write 'greater' or 'less'"),
        (best("coco/bbox_mAP", rule="less"), "rule='less' for save_best='coco/bbox_mAP'; write rule='greater'"),
        (best(["loss", "coco/bbox_mAP"], rule=["less"] * 2), "rule='less' for save_best='coco/bbox_mAP'"),
        (best(["coco/bbox_mAP", "loss"], rule=["less"] * 3), "and save_best has 2; write one rule, or one for each"),
        (
            dict(custom_hooks=[dict(type=EarlyStoppingHook, monitor="coco/bbox_mAP", rule="less")]),
            "custom_hooks.0.rule='less' for monitor='coco/bbox_mAP'",
        ),
        (
            dict(param_scheduler=[dict(type="ReduceOnPlateauLR", monitor="coco/bbox_mAP")]),  # 'less' by default
            "param_scheduler.0.rule='less' for monitor='coco/bbox_mAP'; write rule='greater'",
        ),
    ],
)
def test_rule_that_is_none_or_takes_the_worst_for_the_best_is_found(options, text):
    (example,) = found(COCO, "C111", **options)
    assert text in example


@pytest.mark.parametrize(
    "options",
    [
        best("coco/bbox_mAP"),
        best(["coco/bbox_mAP", "loss"], rule=["greater", "less"]),
        best(["coco/bbox_mAP", "coco/bbox_mAP_50"], rule="greater"),
        dict(param_scheduler=[dict(type="ReduceOnPlateauLR", monitor="coco/bbox_mAP", rule="greater")]),
        dict(param_scheduler=[dict(type="ReduceOnPlateauLR", monitor="loss")]),
        dict(param_scheduler=[dict(type="MultiStepLR", milestones=[1])]),
    ],
)
def test_rule_that_fits_its_metric_is_no_finding(options):
    assert found(COCO, "C111", **options) == []
