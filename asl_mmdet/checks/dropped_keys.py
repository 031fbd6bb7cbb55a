"""What a loss block with ``_delete_=True`` drops of the values that its base config had chosen."""

import inspect
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmdet.registry import MODELS
from mmengine.config import Config

from asl_mmdet.config.tree import find_type, get_key
from asl_mmdet.losses import AsymmetricLoss


def dropped_keys(cfg: Config, key: str) -> dict[str, tuple[Any, Any, str]]:
    """The arguments of a loss that a base config sets and the block does not, where the loss's default is another one.

    Args:
        cfg: A config that was read from a file.
        key: That of the block.

    Returns:
        By argument: the value of the base, the default, and the file of the base.
    """
    block = get_key(cfg, key)
    defaults = defaults_of(loss_class(block["type"]))
    found: dict[str, tuple[Any, Any, str]] = {}
    for path, base in _bases(cfg.filename):
        tuned = get_key(base, key)
        for name in tuned.keys() & defaults.keys() - block.keys() if isinstance(tuned, dict) else ():
            if name != "type" and tuned[name] != defaults[name]:
                found.setdefault(name, (tuned[name], defaults[name], path))
    return dict(sorted(found.items()))


def loss_class(kind: Any) -> type[AsymmetricLoss] | None:
    """What a block's ``type`` stands for in MMDetection, if it is this project's loss or one that is made from it."""
    found = find_type(MODELS, kind)
    return found if isinstance(found, type) and issubclass(found, AsymmetricLoss) else None


def defaults_of(loss: type[AsymmetricLoss] | None) -> dict[str, Any]:
    """The defaults of a loss, those that it hands on to the class above among them."""
    defaults: dict[str, Any] = {}
    for cls in reversed(loss.__mro__ if loss else ()):
        if "__init__" in vars(cls) and issubclass(cls, AsymmetricLoss):
            parameters = inspect.signature(vars(cls)["__init__"]).parameters.values()
            defaults |= {one.name: one.default for one in parameters if one.default is not one.empty}
    return defaults


def _bases(filename: str | None) -> Iterator[tuple[str, Config]]:
    """The configs of which a file deletes something, or one that it starts from."""
    if not filename or not filename.endswith(".py") or not os.path.isfile(filename):
        return
    deletes = "_delete_" in Path(filename).read_text(encoding="utf-8")
    for base in Config._get_base_files(filename):
        path, _ = Config._get_cfg_path(base, filename)
        if deletes:
            yield path, Config.fromfile(path)
        yield from _bases(path)
