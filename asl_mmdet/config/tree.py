"""Finding things in a config's tree."""

import os
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import Registry
from mmengine.utils import get_object_from_string

from asl_mmdet.errors import UserError

_OF_VERSION_2 = ("checkpoint_config", "evaluation", "log_config", "lr_config", "optimizer_config", "total_epochs")
_REGISTERED = {"with_thresholds": "WithThresholds"}  # a function, which is registered by another name


def type_name(kind: Any) -> str:
    """The name of a block's ``type``, whatever a config writes there.

    That is a name, in a scope or not, in the old style; a class or a function in the new one; and the path of a class
    in a new-style config that MMEngine has dumped.
    """
    name = kind.rpartition(".")[2] if isinstance(kind, str) else getattr(kind, "__name__", str(kind))
    return _REGISTERED.get(name, name)


def type_scope(kind: Any) -> str:
    """The library that a block's ``type`` names, such as 'mmdet'; empty if it names none."""
    if isinstance(kind, str):
        return kind.partition(".")[0] if "." in kind else ""
    return str(getattr(kind, "__module__", "")).partition(".")[0]


def shown_type(kind: Any) -> str:
    """A block's ``type`` as a config has it."""
    return repr(kind) if isinstance(kind, str) else type_name(kind)


def require(cfg: Config, *keys: str) -> None:
    """Look whether a config has what a command needs of it.

    Raises:
        UserError: If it is one of MMDetection 2, or lacks one of the keys.
    """
    has_loader = any(f"{split}_dataloader" in cfg for split in ("train", "val", "test"))
    if (old := keys_of_version_2(cfg)) and not has_loader:
        raise UserError(
            f"{cfg.filename} is a config of MMDetection 2.x (it has {', '.join(old)}), and one of 3.x is needed: "
            "https://mmdetection.readthedocs.io/en/latest/migration/config_migration.html says how to write it"
        )
    if missing := [key for key in keys if cfg.get(key) is None]:  # test_cfg=dict() is one
        raise UserError(f"{cfg.filename} has no {' and no '.join(missing)}: write it, or a _base_ that has it")


_PARTS = (
    ("train_dataloader", "train_cfg", "optim_wrapper"),
    ("val_dataloader", "val_cfg", "val_evaluator"),
    ("test_dataloader", "test_cfg", "test_evaluator"),
)


def incomplete_parts(cfg: Config) -> list[str]:
    """In words the parts of a run that a config has half: MMEngine's runner takes all keys of one or none."""
    found = []
    for part in _PARTS:
        missing = [key for key in part if cfg.get(key) is None]  # test_cfg=dict() is one
        if missing and len(missing) < len(part):
            there = " and ".join(key for key in part if key not in missing)
            found.append(f"{there} without {' and '.join(missing)}")
    return found


def keys_of_version_2(cfg: Config) -> list[str]:
    """The keys of a config that MMDetection 2 read and MMDetection 3 does not."""
    data = cfg.get("data")
    is_data = isinstance(data, dict) and {"train", "val", "test", "samples_per_gpu"} & data.keys()
    return ["data"] * bool(is_data) + [key for key in _OF_VERSION_2 if key in cfg]


def find_type(registry: Registry, kind: Any) -> Any:
    """What a block's ``type`` stands for; None if the registry does not know its name."""
    if not isinstance(kind, str):
        return kind
    return registry.get(type_name(kind)) or (get_object_from_string(kind) if "." in kind else None)


def add_hooks(cfg: Config, *names: str) -> None:
    """Add hooks of these names to a config's ``custom_hooks``, but for those that it has already."""
    hooks = list(cfg.get("custom_hooks") or [])
    there = {type_name(hook["type"]) for hook in hooks if isinstance(hook, dict)}
    # A list that Config.setdefault gives back is not the one that it keeps.
    cfg.custom_hooks = hooks + [dict(type=name) for name in names if name not in there]


def find_blocks(cfg: Config, key: str) -> Iterator[tuple[str, ConfigDict]]:
    """The blocks of a key that holds one or a list of them, each with its own key."""
    blocks = cfg.get(key) or []
    if isinstance(blocks, (list, tuple)):
        yield from ((f"{key}.{i}", block) for i, block in enumerate(blocks))
    else:
        yield key, blocks


def find_datasets(node: Any, key: str) -> Iterator[tuple[str, ConfigDict]]:
    """The data sets in a dataloader's config, inside of their wrappers, each with its key."""
    if not isinstance(node, dict):
        return
    if {"ann_file", "data_prefix", "data_root"} & node.keys():
        yield key, node
    yield from find_datasets(node.get("dataset"), f"{key}.dataset")
    for i, child in enumerate(node.get("datasets") or []):
        yield from find_datasets(child, f"{key}.datasets.{i}")


def annotation_path(dataset: Any) -> str:
    """Where a data set's block has its annotation file."""
    return os.path.join(dataset.get("data_root") or "", str(dataset.get("ann_file")))


def find_typed_blocks(node: Any, key: str) -> Iterator[tuple[str, ConfigDict]]:
    """All blocks with a type, below a config's node."""
    if isinstance(node, dict):
        if "type" in node:
            yield key, node
        for name, child in node.items():
            yield from find_typed_blocks(child, f"{key}.{name}")
    elif isinstance(node, (list, tuple)):
        for i, child in enumerate(node):
            yield from find_typed_blocks(child, f"{key}.{i}")


def get_key(cfg: Config, key: str) -> Any:
    """The value of a key with dots, also in lists, or None."""
    node: Any = cfg
    for part in key.split("."):
        if isinstance(node, (list, tuple)):
            node = {str(i): child for i, child in enumerate(node)}
        node = node.get(part) if isinstance(node, (dict, Config)) else None
    return node
