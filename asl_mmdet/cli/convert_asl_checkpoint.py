"""Convert a TResNet that the authors of ASL publish, and back.

Apart from the names, the two differ in this:

- The authors' InPlaceABN scales by ``|weight| + eps``, batch norm by ``weight``.
- The head of their model for Open Images is two linear layers in a row, which become one.
"""

import argparse
import os
from pathlib import Path
from typing import Any

import timm
import torch
from timm.layers import ConvNormAct
from timm.models.tresnet import checkpoint_filter_fn
from torch import Tensor, nn

from asl_mmdet.cli.common import fail
from asl_mmdet.compat.checkpoints import load_checkpoint

MODELS = ("tresnet_m", "tresnet_l", "tresnet_xl", "tresnet_v2_l")
PREFIX = "backbone.timm_model."
EPS = 1e-5  # InPlaceABN's, which timm's function adds


def recognise(state: dict[str, Tensor]) -> tuple[str, nn.Module]:
    """The timm model that has exactly these keys and shapes: its name, and itself without memory for its tensors."""
    found = {key: tuple(value.shape) for key, value in state.items()}
    misfits: dict[str, list[str]] = {}
    for name in MODELS:
        with torch.device("meta"):
            model = timm.create_model(name, num_classes=(found.get("head.fc.weight") or (1,))[0])
        wanted = {key: tuple(value.shape) for key, value in model.state_dict().items()}
        misfits[name] = [
            f"{key}: {found.get(key, 'not there')}, in {name} {wanted.get(key, 'there is none')}"
            for key in found | wanted
            if found.get(key) != wanted.get(key)
        ]
        if not misfits[name]:
            return name, model
    closest = min(misfits.values(), key=len)
    shown = "\n".join(f"    {line}" for line in closest[:10] + ["..."] * (len(closest) > 10))
    fail(f"not one of {', '.join(MODELS)} with a linear head; of the closest, {len(closest)} tensors differ:\n{shown}")


def to_mmpretrain(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """The authors' tensors under the names, and with the values, that mmpretrain's model needs."""
    state = {
        key.removeprefix("module."): value.float() if value.is_floating_point() else value
        for key, value in state_dict.items()
    }
    first, second = "head.fc.embedding_generator.0", "head.fc.FC"
    if {f"{first}.weight", f"{first}.bias", f"{second}.weight", f"{second}.bias"} <= state.keys():
        outer = state.pop(f"{second}.weight").double()
        bias = outer @ state.pop(f"{first}.bias").double() + state.pop(f"{second}.bias").double()
        state["head.fc.weight"] = (outer @ state.pop(f"{first}.weight").double()).float()
        state["head.fc.bias"] = bias.float()
    state = checkpoint_filter_fn(state, None)
    for key in [key for key in state if key.endswith(".running_var")]:  # InPlaceABN did not count batches
        state.setdefault(key.replace("running_var", "num_batches_tracked"), torch.tensor(0))
    recognise(state)
    return {(PREFIX if key.startswith("body.") else "") + key: value for key, value in state.items()}


def from_mmpretrain(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """The reverse of :func:`to_mmpretrain`, but for the signs that it dropped and the head that it joined.

    InPlaceABN has no negative scale: where batch norm has one, the filter before it and its mean change sign instead.
    """
    state = {key.replace(f"{PREFIX}body.", "body."): value for key, value in state_dict.items()}
    _, model = recognise(state)
    names = {}
    for name, module in model.named_modules():
        if isinstance(module, ConvNormAct):
            theirs = name if module.aa is None else f"{name}.0"  # before an anti-aliasing layer, one level deeper
            names[f"{name}.conv"], names[f"{name}.bn"] = f"{theirs}.0", f"{theirs}.1"
            scale = state[f"{name}.bn.weight"]
            sign = torch.where(scale < 0, -1.0, 1.0)
            state[f"{name}.bn.weight"] = (scale.abs() - EPS).clamp(min=0)
            state[f"{name}.bn.running_mean"] = state[f"{name}.bn.running_mean"] * sign
            state[f"{name}.conv.weight"] = state[f"{name}.conv.weight"] * sign[:, None, None, None]
    split = {key: key.rpartition(".") for key in state if not key.endswith(".num_batches_tracked")}
    return {f"{names.get(module, module)}.{tensor}": state[key] for key, (module, _, tensor) in split.items()}


def load(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The whole checkpoint, and the state dict in it."""
    checkpoint = load_checkpoint(str(path))
    state: Any = checkpoint
    for key in ("model", "state_dict"):
        state = state.get(key, state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        fail(f"{path} holds no state dict, neither by itself nor as 'model' or 'state_dict'")
    return checkpoint, state


def save(checkpoint: dict[str, Any], path: Path) -> None:
    """Write all of the file or none of it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        torch.save(checkpoint, partial)
        partial.replace(path)
    except (OSError, RuntimeError) as error:
        fail(f"{path} cannot be written: {error}")
    finally:
        partial.unlink(missing_ok=True)


def main(args: argparse.Namespace) -> None:
    """Convert, and say what the file is and how to use it."""
    checkpoint, state = load(Path(args.checkpoint))
    converted = from_mmpretrain(state) if args.reverse else to_mmpretrain(state)
    ours = state if args.reverse else converted
    name, model = recognise({key.removeprefix(PREFIX): value for key, value in ours.items()})
    names = checkpoint.get("meta", {}).get("dataset_meta", {}).get("classes", ())
    names = names if args.reverse else checkpoint.get("idx_to_class", ())
    classes = [str(value) for value in (names.values() if isinstance(names, dict) else names)]
    if len(classes) != model.num_classes:
        classes = []
    if args.reverse:
        save(dict(model=converted, num_classes=model.num_classes, idx_to_class=dict(enumerate(classes))), args.out)
    else:
        save(dict(state_dict=converted, meta=dict(dataset_meta=dict(classes=classes)) if classes else {}), args.out)
    print(f"{args.out}: {name}, {model.num_classes} classes, {len(converted)} tensors")
    print(f"names of the classes: {', '.join([*classes[:3], '...']) if classes else 'not in the file'}")
    if not args.reverse:
        print(f"""The model of a config for it, and its evaluation:
    data_preprocessor=dict(mean=[0, 0, 0], std=[255, 255, 255], to_rgb=True)
    backbone=dict(type="TIMMBackbone", model_name="{name}", pretrained=False)
    neck=dict(type="GlobalAveragePooling")
    head=dict(type="MultiLabelLinearClsHead", num_classes={model.num_classes}, in_channels={model.num_features})
    python tools/test.py CONFIG {args.out} --cfg-options model.backbone.pretrained=False""")
