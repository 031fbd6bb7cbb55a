"""Config checks that look at more than one value: paths of one file, and what a deleted block had."""

import os

import pytest
from commands import ROOT
from mmengine.config import Config

from asl_mmdet.checks import check_config

CONFIG = ROOT / "configs/shapes/atss_r18_asl_shapes.py"
DELETED = "_delete_=True, use_sigmoid=True"
pytestmark = pytest.mark.usefixtures("mmdet_scope")


def codes(cfg):
    return [finding.code for finding in check_config(cfg)]


@pytest.mark.parametrize("data, evaluator", [("relative", "absolute"), ("absolute", "relative"), ("link", "absolute")])
def test_one_file_may_be_written_in_two_ways(data, evaluator, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/annotations").mkdir(parents=True)
    (tmp_path / "data/annotations/val.json").touch()
    (tmp_path / "linked").symlink_to("data")
    roots = dict(relative="data/", absolute=f"{tmp_path}/data/", link="linked/")
    cfg = Config.fromfile(CONFIG)
    for split in ("val", "test"):
        cfg[f"{split}_dataloader"].dataset.data_root = roots[data]
        cfg[f"{split}_evaluator"].ann_file = os.path.join(roots[evaluator], "annotations/val.json")
    assert codes(cfg) == []
    cfg.val_evaluator.ann_file = "data/annotations/train.json"
    (finding,) = check_config(cfg)
    assert finding.code == "C103" and f"write '{roots[data]}annotations/val.json'" in str(finding)


@pytest.mark.parametrize("kind", [dict(ann_file="data/a.json"), dict(ann_file="data/b.json")])
def test_an_evaluator_of_one_of_several_files_is_found(kind):
    parts = [dict(type="CocoDataset", data_root="data/", ann_file=f"{name}.json") for name in "ab"]
    cfg = Config(dict(val_dataloader=dict(dataset=dict(type="ConcatDataset", datasets=parts))))
    assert codes(cfg) == []
    cfg.val_evaluator = dict(type="CocoMetric", **kind)
    (finding,) = check_config(cfg)
    assert finding.code == "C103" and "one of 2 files" in str(finding) and "MultiDatasetsEvaluator" in str(finding)
    metrics = [dict(type="CocoMetric", ann_file=f"data/{name}.json") for name in "ab"]
    cfg.val_evaluator = dict(type="MultiDatasetsEvaluator", metrics=metrics, dataset_prefixes=["a", "b"])
    assert codes(cfg) == []


def config_of(folder, block, base="configs/small/atss_mnv2_focal.py"):
    path = folder / "mine.py"
    path.write_text(f'_base_ = "{ROOT / base}"\nmodel = dict(bbox_head=dict(loss_cls=dict({block})))\n')
    return Config.fromfile(path)


@pytest.mark.parametrize(
    "block, base, dropped",
    [
        ('type="MissingRateLoss"', "focal", "alpha=0.5, loss_weight=2.0"),
        ('type="AsymmetricLoss", alpha=0.25', "focal", "loss_weight=2.0"),
        ('type="AsymmetricLoss"', "asl", "alpha=0.5, loss_weight=2.0"),
        ('type="AdaptiveAsymmetricLoss", loss_weight=1.0', "asl", "alpha=0.5"),
        ('type="AsymmetricLoss", alpha=0.5, loss_weight=2.0', "focal", None),
        ('type="MissingRateLoss", alpha=None, loss_weight=1.0', "asl", None),
    ],
)
def test_a_block_that_deletes_tuned_values_is_pointed_out(block, base, dropped, tmp_path):
    cfg = config_of(tmp_path, f"{DELETED}, {block}", f"configs/small/atss_mnv2_{base}.py")
    if dropped is None:
        assert codes(cfg) == []
        return
    (finding,) = check_config(cfg)
    assert finding.code == "C210" and not finding.is_error
    assert f"write {dropped})" in str(finding) and "model.bbox_head.loss_cls: " in str(finding)


def test_values_that_a_base_of_the_base_had_are_found_and_those_written_again_are_not(tmp_path):
    (tmp_path / "base.py").write_text(
        f'_base_ = "{ROOT}/configs/small/atss_mnv2_focal.py"\n'
        f'model = dict(bbox_head=dict(loss_cls=dict({DELETED}, type="AsymmetricLoss", alpha=0.5)))\n'
    )
    (tmp_path / "mine.py").write_text('_base_ = "base.py"\n')
    assert codes(Config.fromfile(tmp_path / "base.py")) == ["C210"]
    cfg = Config.fromfile(tmp_path / "mine.py")
    assert codes(cfg) == ["C210"]
    cfg.model.bbox_head.loss_cls.loss_weight = 2.0
    assert codes(cfg) == []


def test_blocks_in_a_list_of_heads_are_looked_at():
    heads = [dict(loss_cls=dict(type="AsymmetricLoss", use_sigmoid=False, loss_weight=weight)) for weight in (1, 0)]
    model = dict(type="CascadeRCNN", roi_head=dict(type="CascadeRoIHead", bbox_head=heads))
    (finding,) = check_config(Config(dict(model=model, custom_imports=dict(imports=["asl_mmdet"]))))
    assert finding.code == "C204" and "model.roi_head.bbox_head.1.loss_cls" in str(finding)


def test_a_block_without_delete_keeps_the_values(tmp_path):
    block = 'type="MissingRateLoss", missing_rate=0.5'
    assert codes(config_of(tmp_path, block, "configs/small/atss_mnv2_asl.py")) == []


def test_a_share_that_nothing_can_be_estimated_from_is_pointed_out(tmp_path):
    cfg = config_of(tmp_path, 'type="MissingRateLoss", missing_rate="auto"', "configs/small/atss_mnv2_asl.py")
    assert codes(cfg) == []
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    (finding,) = check_config(cfg)
    assert finding.code == "C212" and finding.is_error
    assert "bbox_head.loss_cls.missing_rate='auto' without val_dataloader, val_cfg, val_evaluator)" in str(finding)
    cfg.model.bbox_head.loss_cls.missing_rate = 0.5
    assert codes(cfg) == []


def test_a_classifier_with_the_loss_for_missing_boxes_is_pointed_out():
    cfg = Config.fromfile(ROOT / "configs/small/classifier_mnv2_asl.py")
    assert codes(cfg) == []
    cfg.model.head.loss.type = "mmdet.MissingRateLoss"
    assert codes(cfg) == ["C211"]


@pytest.mark.parametrize("path", sorted(ROOT.glob("configs/*/*.py")), ids=lambda path: path.stem)
def test_no_config_of_this_project_drops_what_its_base_sets(path):
    if path.parent.name == "_base_":
        return
    assert "C210" not in codes(Config.fromfile(path))
