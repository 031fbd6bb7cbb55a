"""The code of docs/how_to/plain_pytorch.md: torchvision's detectors with the loss, on tiny images."""

import re
from pathlib import Path

import pytest
import torch
from torchvision.models.detection import fcos, fcos_resnet50_fpn, retinanet_resnet50_fpn

pytestmark = pytest.mark.slow
PAGE = Path(__file__).parents[2] / "docs/how_to/plain_pytorch.md"
SMALL = dict(num_classes=3, weights=None, weights_backbone=None, min_size=64, max_size=64)


def blocks():
    text = PAGE.read_text(encoding="utf-8")
    text = text.replace('weights_backbone="DEFAULT"', "weights_backbone=None, min_size=64, max_size=64")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def batch():
    generator = torch.Generator().manual_seed(0)
    images = [torch.rand(3, 64, 64, generator=generator) for _ in range(2)]
    targets = [
        dict(boxes=torch.tensor([[8.0, 8, 40, 40], [30, 20, 62, 60]]), labels=torch.tensor([0, 2])),
        dict(boxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long)),
    ]
    return images, targets


def test_retinanet_of_the_page_learns():
    torch.manual_seed(0)
    swap, train, _ = blocks()
    names = {}
    exec(swap, names)
    assert type(names["model"].head.classification_head) is names["ASLHead"]
    before = names["model"].train()(*batch())
    exec(train, names | dict(loader=[batch()] * 8))
    after = names["model"](*batch())
    assert 0 < after["classification"] < before["classification"]


def test_with_focal_losss_parameters_it_is_torchvisions_loss():
    swap, *_ = blocks()
    names = {}
    exec(swap, names)
    names["ASLHead"].asl = dict(gamma_pos=2.0, gamma_neg=2.0, clip=0.0, alpha=0.25)
    torch.manual_seed(0)
    model = retinanet_resnet50_fpn(**SMALL).train()
    model.load_state_dict(names["model"].state_dict())
    torch.testing.assert_close(names["model"].train()(*batch()), model(*batch()))


def test_fcos_calls_the_loss_of_the_page(monkeypatch):
    monkeypatch.setattr(fcos, "sigmoid_focal_loss", fcos.sigmoid_focal_loss)  # put back afterwards
    torch.manual_seed(0)
    model = fcos_resnet50_fpn(**SMALL).train()
    focal = model(*batch())
    swap, _, replace = blocks()
    names = {}
    exec(swap, names)
    exec(replace, names)
    ours = model(*batch())
    assert ours["classification"] > focal["classification"]  # less focusing
    torch.testing.assert_close(ours["bbox_regression"], focal["bbox_regression"])
    sum(ours.values()).backward()
    assert all(p.grad.isfinite().all() for p in model.head.classification_head.parameters())
