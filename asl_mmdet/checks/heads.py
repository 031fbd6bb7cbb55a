"""The numbers of classes in a model's config, of all of its heads."""

import inspect
from collections.abc import Iterator
from typing import Any

from mmdet.registry import MODELS
from mmengine.config import Config

from asl_mmdet.config.tree import find_type

KEYS = ("num_classes", "num_things_classes")
# What counts something else there: nothing, identities, regions of no class in particular, or stuff and background.
_OTHERS = ("backbone", "neck", "reid", "rpn_head", "test_cfg", "train_cfg")
_OF_STUFF = ("semantic_head",)


def class_counts(cfg: Config) -> dict[str, Any]:
    """The number of classes by its key, such as ``model.roi_head.bbox_head.1.num_classes``.

    Heads, losses and data preprocessors have them, of any nesting. A head that does not say has the default of its
    class. A model that finds what a text names counts tokens, and has none here.
    """
    model = cfg.get("model") or {}
    return {} if "language_model" in model else dict(_counts(model, "model"))


def _counts(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, (list, tuple)):
        for i, child in enumerate(node):
            yield from _counts(child, f"{key}.{i}")
    if not isinstance(node, dict):
        return
    parts = [part for part in key.split(".") if not part.isdigit()]
    keys = KEYS[1:] if parts[-1] in _OF_STUFF else KEYS
    yield from ((f"{key}.{name}", node[name]) for name in keys if name in node)
    if parts[-1].endswith("head") and not set(KEYS) & node.keys() and "type" in node:
        kind = find_type(MODELS, node["type"])
        yield from ((f"{key}.{name}", number) for name in keys if (number := _default_of(kind, name)) is not None)
    for name, child in node.items():
        if name not in _OTHERS:
            yield from _counts(child, f"{key}.{name}")


def _default_of(kind: Any, name: str) -> int | None:
    """The default of an argument of a class, its own or that of a base class."""
    for one in getattr(kind, "__mro__", ()):
        parameter = inspect.signature(one.__init__).parameters.get(name) if "__init__" in vars(one) else None
        if parameter is not None:
            return parameter.default if isinstance(parameter.default, int) else None
    return None
