"""Every config of MMDetection that has a FocalLoss: a training step with ASL at focal loss's parameters is the same.

The list comes from MMDetection's own files, so that a new MMDetection is covered. A config whose step fails with
focal loss (ops that neither mmcv nor torchvision has here, packages, downloads) is skipped with that reason.
"""

import copy
import functools
import inspect
import json
import random
import re
from pathlib import Path

import mmdet
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from pooled_image import pooled

from asl_mmdet.losses import AsymmetricLoss

pytestmark = pytest.mark.slow

ROOT = Path(mmdet.__file__).parent / ".mim" / "configs"
PATHS = [
    str(path.relative_to(ROOT))
    for path in sorted(ROOT.rglob("*.py"))
    if re.search(r"""type=['"]FocalLoss['"]""", path.read_text())
]


def blocks(node):
    """All dicts of a config."""
    if isinstance(node, dict):
        yield node
        node = node.values()
    if not isinstance(node, str) and hasattr(node, "__iter__"):
        for child in node:
            yield from blocks(child)


@functools.cache
def pooled_block(backbone):
    """The replacement of a backbone, whose maps are looked up without computing them."""
    model = MODELS.build(json.loads(backbone)).to("meta")
    model.eval()
    return pooled(model(torch.empty(2, 3, 128, 128, device="meta")), 128)


LIMITS = dict(num_queries=100, num_proposals=20, stacked_convs=2, fc_out_channels=64)


def shrink(block):
    """Few layers, and no more queries than a small image has places."""
    block |= {key: min(block[key], limit) for key, limit in LIMITS.items() if isinstance(block.get(key), int)}
    if block.get("num_layers", 0) >= 6:  # a transformer
        block["num_layers"] = 2
    if block.get("type") == "DynamicConv":
        block["feat_channels"] = 16
    if "stage_loss_weights" in block:
        lists = ("stage_loss_weights", "bbox_head", "mask_head")
        block |= {key: block[key][:2] for key in lists if isinstance(block.get(key), list)} | {"num_stages": 2}
    if "num_grids" in block:
        block["num_grids"] = [number // 3 for number in block["num_grids"]]


def small(model):
    """No download, no backbone, no large image, and little memory."""
    for block in blocks(model):
        shrink(block)
        if isinstance(block.get("init_cfg"), dict) and "checkpoint" in block["init_cfg"]:
            block["init_cfg"] = None
        if block.get("type") == "DetDataPreprocessor":
            block["batch_augments"] = None  # these pad to 1024 x 1024
        if "backbone" in block:
            block["backbone"] = copy.deepcopy(pooled_block(json.dumps(block["backbone"])))
    return model


def swap(model):
    """FocalLoss -> AsymmetricLoss with equal gammas; returns how many there were."""
    focal = [block for block in blocks(model) if block.get("type") == "FocalLoss"]
    for block in focal:
        gamma = block.pop("gamma", 2.0)
        block.update(type="AsymmetricLoss", gamma_pos=gamma, gamma_neg=gamma, clip=0.0)
        block.setdefault("use_sigmoid", True)
    return len(focal)


def seed():
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)


def training_step(model):
    seed()
    data = demo_mm_inputs(2, [[3, 128, 128]] * 2, num_items=[3, 2], num_classes=20, with_mask=True)
    data = model.data_preprocessor(data, training=True)
    seed()
    return model.parse_losses(model(**data, mode="loss"))[1]


def build(config):
    seed()
    model = MODELS.build(copy.deepcopy(config))
    model.init_weights()
    return model.train()


@pytest.fixture(autouse=True, scope="module")
def _quiet_mmdet():
    register_all_modules()
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel("ERROR")
    hub = MessageHub.get_current_instance()  # TOOD and BoxInst ask the runner how far the training is
    hub.update_info("epoch", 0)
    hub.update_info("iter", 0)
    yield
    logger.setLevel(level)


COMPARED: set[str] = set()  # models that have passed


def text_of(model):
    """The block of a model, without what a random image makes no difference to."""
    model = copy.deepcopy(model.to_dict())
    for block in blocks(model):
        if str(block.get("type")).endswith("DetDataPreprocessor"):
            for key in ("mean", "std", "bgr_to_rgb"):
                block.pop(key, None)
    return json.dumps(model, sort_keys=True)


@pytest.mark.parametrize("path", PATHS)
def test_equal_gammas_train_as_focal_loss(path):
    config = small(Config.fromfile(ROOT / path).model)
    whole = text_of(config)
    if whole in COMPARED:  # but for its backbone or its normalization of images
        assert swap(config) > 0
        return
    try:
        focal_model = build(config)
        state = copy.deepcopy(focal_model.state_dict())  # DDQ's decoder gets more keys in a step
        focal_terms = training_step(focal_model)
        focal_terms["loss"].backward()
        expected = {name: p.grad for name, p in focal_model.named_parameters() if p.grad is not None}
        del focal_model
    except Exception as error:
        pytest.skip(f"does not train with FocalLoss here: {type(error).__name__}: {str(error)[:120]}")
    assert swap(config) > 0
    model = MODELS.build(copy.deepcopy(config)).train()
    model.load_state_dict(state)  # as many channels as with focal loss, too
    terms = training_step(model)
    for name, value in focal_terms.items():
        torch.testing.assert_close(terms[name], value, rtol=1e-4, atol=1e-6, msg=lambda m, name=name: f"{name}: {m}")
    assert terms["loss"].isfinite()
    terms["loss"].backward()
    grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert grads.keys() == expected.keys()
    largest = max(grad.abs().max().item() for grad in expected.values())
    for name, grad in expected.items():  # some are rounding errors around zero: a bias before a normalisation
        atol = 1e-4 * grad.abs().max().item() + 1e-6 * largest
        message = f"gradient of {name}: {{}}".format
        torch.testing.assert_close(grads[name], grad, rtol=1e-3, atol=atol, msg=message)
    assert any(isinstance(module, AsymmetricLoss) for module in model.modules())
    COMPARED.add(whole)


def has_focal_loss_as_default(head):
    defaults = (parameter.default for parameter in inspect.signature(head).parameters.values())
    return any(isinstance(value, dict) and value.get("type") == "FocalLoss" for value in defaults)


def test_the_configs_cover_the_heads_that_take_focal_loss():
    heads = {
        MODELS.get(block["type"])
        for path in PATHS
        for block in blocks(Config.fromfile(ROOT / path).model)
        if any(isinstance(value, dict) and value.get("type") == "FocalLoss" for value in block.values())
    }
    wanted = [head for head in MODELS.module_dict.values() if has_focal_loss_as_default(head)]
    missing = {head.__name__ for head in wanted if not any(issubclass(found, head) for found in heads)}
    assert missing <= {"VFNetHead"}  # whose configs have the varifocal loss
