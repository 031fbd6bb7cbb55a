"""Every config that is shipped: it builds, has the channels it should, and trains."""

import copy
import functools
import json
import math

import cv2
import numpy as np
import pytest
import torch
from annotated import coco
from commands import ROOT
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import OneCycleLR, build_optim_wrapper
from mmengine.runner import Runner
from mmpretrain.registry import MODELS as CLASSIFIER_MODELS
from pooled_image import pooled

from asl_mmdet.checks import check_config
from asl_mmdet.losses import AsymmetricLoss, MissingRateLoss
from asl_mmdet.losses.presets import PRESETS

SHIPPED = sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / "configs").rglob("*.py") if p.parent.name != "_base_")
NEW_STYLE = [path for path in SHIPPED if "new_style" in path]  # theirs are in test_new_style.py
CONFIGS = [path for path in SHIPPED if path not in NEW_STYLE]
CLASSIFIERS = [path for path in CONFIGS if "multilabel/" in path or "/classifier" in path]
DETECTORS = [path for path in CONFIGS if path not in CLASSIFIERS]
assert len(CONFIGS) > 30


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # nothing may depend on the working directory


pytestmark = pytest.mark.usefixtures("mmdet_scope")


@functools.cache
def _read(path):
    return Config.fromfile(ROOT / path, format_python_code=False)  # which MMEngine does four times a run


def read(path):
    return copy.deepcopy(_read(path))


TRAINED = set()  # the backbones of which one has trained


def set_backbone(model, registry):
    """No download of weights; and where a backbone of the type has trained, a quick one with maps of the same sizes."""
    block = model.backbone
    block.init_cfg = None
    if "pretrained" in block:
        block.pretrained = False
    kind = registry.get(block.type)
    if kind in TRAINED:
        with torch.no_grad():
            backbone = kind(**{key: value for key, value in block.items() if key != "type"})
            backbone.eval()
            maps = backbone.to("meta")(torch.zeros(1, 3, 128, 128, device="meta"))
        model.backbone = pooled(maps, 128)
    TRAINED.add(kind)


@pytest.mark.parametrize("path", CONFIGS)
def test_checks_find_nothing(path):
    assert check_config(read(path)) == []


@pytest.mark.parametrize("path", DETECTORS)
def test_detector_builds_and_does_one_training_step(path):
    cfg = read(path)
    set_backbone(cfg.model, MODELS)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    head = model.bbox_head
    losses = {"_asl_": "AsymmetricLoss", "_asl.": "AsymmetricLoss", "_adaptive_": "AdaptiveAsymmetricLoss"}
    expected = next((name for part, name in losses.items() if part in path), "FocalLoss")
    assert type(head.loss_cls).__name__ == expected
    # One channel too many would mean that the head takes the scores for a softmax's.
    assert head.cls_out_channels == cfg.model.bbox_head.num_classes

    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    for objects in ([3, 1], [0, 0]):
        torch.manual_seed(1)
        data = demo_mm_inputs(2, [[3, 128, 128]] * 2, num_items=objects, num_classes=head.num_classes)
        data = model.data_preprocessor(data, training=True)
        loss, terms = model.parse_losses(model(**data, mode="loss"))
        assert loss.isfinite(), terms
        assert terms["loss_cls"] > 0
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
        assert any(p.grad.abs().max() > 0 for p in head.parameters() if p.grad is not None)
        optimizer.step()


@pytest.mark.parametrize("name", PRESETS)
def test_preset_is_a_block_that_the_registry_builds(name):
    loss = MODELS.build(PRESETS[name])
    assert type(loss) is (MissingRateLoss if "missing_rate" in name else AsymmetricLoss)
    assert loss(torch.zeros(2, 3), torch.tensor([0, 3]), avg_factor=1.0).isfinite()


def test_asl_configs_have_the_preset_of_their_task():
    for path in CONFIGS:
        if "_asl" in path and "herbarium" not in path:  # which has one label a sample
            model = read(path).model
            block = (model.bbox_head.loss_cls if path in DETECTORS else model.head.loss).to_dict()
            of_detector = "detection_small" if "small/" in path else "detection"
            preset = PRESETS[of_detector if path in DETECTORS else "multi_label"]
            assert {**block, "type": preset["type"]} == preset, path


@pytest.mark.parametrize(
    "path, base",
    [
        ("configs/atss_r50_asl.py", "atss/atss_r50_fpn_1x_coco.py"),
        ("configs/fcos_r50_asl.py", "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py"),
        ("configs/retinanet_r50_asl.py", "retinanet/retinanet_r50_fpn_1x_coco.py"),
    ],
)
def test_coco_config_differs_from_mmdetections_in_the_loss_alone(path, base, tmp_path):
    (tmp_path / "stock.py").write_text(f"_base_ = 'mmdet::{base}'\n")
    ours, stock = (Config.fromfile(ROOT / p).to_dict() for p in (path, tmp_path / "stock.py"))
    assert ours.pop("custom_imports")["imports"] == ["asl_mmdet"]
    assert ours["model"]["bbox_head"].pop("loss_cls") == PRESETS["detection"]
    assert stock["model"]["bbox_head"].pop("loss_cls")["type"] == "FocalLoss"
    assert ours == stock


@pytest.mark.parametrize("path", [p for p in CONFIGS if ("shapes/" in p or "small/" in p) and "_asl" in p])
def test_small_config_differs_from_its_twins_in_the_loss_alone(path):
    def without_loss(config):
        model = config["model"]
        return model["bbox_head"].pop("loss_cls") if "bbox_head" in model else model["head"].pop("loss")

    twins = [path.replace("_asl", f"_{loss}") for loss in (["focal", "bce"] if path in CLASSIFIERS else ["focal"])]
    ours, *others = (read(p).to_dict() for p in (path, *twins))
    losses = [str(without_loss(config)) for config in (ours, *others)]
    assert len(set(losses)) == len(losses)
    assert all(ours == other for other in others)


def test_small_config_reads_classes_and_length_from_the_folder(tmp_path, monkeypatch):
    (tmp_path / "annotations").mkdir()
    content = dict(images=[dict(id=i) for i in range(250)], categories=[dict(id=4, name="ray"), dict(id=2, name="cod")])
    (tmp_path / "annotations" / "train.json").write_text(json.dumps(content))
    monkeypatch.setenv("COCO_FOLDER", str(tmp_path))
    monkeypatch.setenv("TRAIN_IMAGES", "2000")
    for path in (p for p in CONFIGS if "small/" in p):
        cfg = Config.fromfile(ROOT / path)
        head = cfg.model.head if path in CLASSIFIERS else cfg.model.bbox_head
        assert head.num_classes == 2
        for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
            assert loader.dataset.metainfo.classes == ("ray", "cod")
            assert loader.dataset.data_root == f"{tmp_path}/"
        assert cfg.train_cfg.max_epochs == cfg.param_scheduler[1].end == cfg.param_scheduler[1].T_max == 8
        cfg.dump(tmp_path / "dumped.py")
        monkeypatch.delenv("COCO_FOLDER")  # what a run keeps needs neither the variable nor the folder
        assert Config.fromfile(tmp_path / "dumped.py").model == cfg.model
        monkeypatch.setenv("COCO_FOLDER", str(tmp_path))


def write_images(folder, names):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for name in names:
        cv2.imwrite(str(folder / name), rng.integers(0, 256, (60, 80, 3), np.uint8))


def make_coco(root, dataset, num_classes):
    """Two images with one object each, at the paths and with the number of classes that the config expects."""
    write_images(root / dataset.get("data_prefix", ""), ["1.jpg", "2.jpg"])
    (root / dataset.ann_file).parent.mkdir(parents=True, exist_ok=True)
    names = dataset.get("metainfo", {}).get("classes") or [f"class {i}" for i in range(1, num_classes + 1)]
    classes = [3 * i % num_classes + 1 for i in (1, 2)]
    content = coco(dict(enumerate(names, 1)), {i: f"{i}.jpg" for i in (1, 2)}, list(enumerate(classes, 1)))
    (root / dataset.ann_file).write_text(json.dumps(content))


def make_voc(root, dataset, num_classes):
    write_images(root / "JPEGImages", ["1.jpg", "2.jpg"])
    for folder in ("Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "ImageSets" / "Main" / f"{dataset.split}.txt").write_text("1\n2\n")
    item = "<object><name>{}</name><difficult>{}</difficult></object>"
    for i, name in enumerate(("dog", "train"), 1):
        objects = item.format(name, 0) + item.format("person", 1)
        (root / "Annotations" / f"{i}.xml").write_text(f"<annotation>{objects}</annotation>")


def make_nuswide(root, dataset, num_classes):
    write_images(root, ["1.jpg", "2.jpg"])
    halves = [[f"class {i:02d}" for i in range(num_classes) if i % 2 == half] for half in (0, 1)]
    rows = [f'{1 + half}.jpg,"{names}",{split}' for half, names in enumerate(halves) for split in ("train", "val")]
    (root / dataset.ann_file).write_text("\n".join(["filepath,label,split_name", *rows]))


def make_open_images(root, dataset, num_classes):
    images = ["0123456789abcdef", "fedcba9876543210"]
    write_images(root / dataset.data_prefix, [f"{image}.jpg" for image in images])
    (root / dataset.class_file).write_text("".join(f"/m/{i:05d}\n" for i in range(num_classes)))
    rows = [f"{image},verification,/m/{i:05d},{1 - i % 2}" for image in images for i in range(4)]
    (root / dataset.ann_file).write_text("\n".join(["ImageID,Source,LabelName,Confidence", *rows]))


MAKERS = dict(CocoMultiLabel=make_coco, VOC=make_voc, NUSWide=make_nuswide, OpenImages=make_open_images)


@pytest.mark.parametrize("path", CLASSIFIERS)
def test_classifier_does_one_training_and_one_validation_step_on_its_data_format(path, tmp_path):
    cfg = read(path)
    num_classes = cfg.model.head.num_classes
    assert cfg.model.data_preprocessor.num_classes == num_classes
    if num_classes > 1000:  # a head of a GB
        cfg.model.head.num_classes = cfg.model.data_preprocessor.num_classes = num_classes = 100
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.data_root = str(tmp_path)
        MAKERS[loader.dataset.type](tmp_path, loader.dataset, num_classes)
        for transform in loader.dataset.pipeline:
            if transform.type == "Resize":
                assert transform.scale[0] == transform.scale[1]  # squashed to a square
                transform.scale = (96, 96)
            elif transform.type == "Cutout":
                transform.shape = 48
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
    cfg.test_dataloader = cfg.val_dataloader
    set_backbone(cfg.model, CLASSIFIER_MODELS)
    cfg.optim_wrapper.type = "OptimWrapper"  # MMEngine's mixed precision needs a GPU
    cfg.train_cfg.max_epochs = 1
    cfg.train_cfg.val_interval = 1
    cfg.default_hooks.checkpoint = dict(type="CheckpointHook", interval=10, save_last=False)
    cfg.work_dir = str(tmp_path / "work")
    cfg.visualizer.name = path
    runner = Runner.from_cfg(cfg)
    before = copy.deepcopy(runner.model.head.state_dict())
    metrics = {}
    runner.register_hook(SaveMetrics(metrics))
    runner.train()

    loss = runner.message_hub.get_scalar("train/loss").current()
    assert 0 < loss < math.inf
    assert all(value.isfinite().all() for value in runner.model.state_dict().values())
    assert any(not torch.equal(before[name], value) for name, value in runner.model.head.state_dict().items())
    expected = "accuracy/top1" if cfg.model.head.type == "LinearClsHead" else "multi-label/mAP"
    assert 0 <= metrics[expected] <= 100
    if any(hook.type == "EMAHook" for hook in cfg.get("custom_hooks", [])):  # of the weights, not their average alone
        assert f"val/{expected}_origin" in runner.message_hub.log_scalars


class SaveMetrics(Hook):
    def __init__(self, metrics):
        self.metrics = metrics

    def after_val_epoch(self, runner, metrics=None):
        self.metrics.update(metrics)


def test_recipe_is_that_of_the_paper():
    """Adam's rate along the cycle against PyTorch's own scheduler; no decay on biases and norms."""
    cfg = Config.fromfile(ROOT / "configs/multilabel/resnet101_asl_coco448.py")
    assert cfg.train_cfg.max_epochs == 40
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4))
    wrapper = build_optim_wrapper(model, dict(cfg.optim_wrapper, type="OptimWrapper"))
    assert [group["weight_decay"] for group in wrapper.optimizer.param_groups] == [1e-4, 0, 0, 0]
    (options,) = cfg.param_scheduler
    scheduler = OneCycleLR.build_iter_from_epoch(
        wrapper, epoch_length=10, **{k: v for k, v in options.items() if k not in ("type", "convert_to_iter_based")}
    )
    theirs = torch.optim.Adam(model.parameters(), lr=1e-4)
    reference = torch.optim.lr_scheduler.OneCycleLR(theirs, max_lr=1e-4, steps_per_epoch=10, epochs=80, pct_start=0.2)
    for _ in range(400):
        assert wrapper.get_lr()["lr"] == [pytest.approx(reference.get_last_lr()[0])] * 4
        theirs.step()
        scheduler.step()
        reference.step()
