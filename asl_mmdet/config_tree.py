"""Finding things in a config's tree."""

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config, ConfigDict


def find_blocks(cfg: Config, key: str) -> Iterator[tuple[str, ConfigDict]]:
    """The blocks of a key that holds one or a list of them, each with its own key."""
    blocks = cfg.get(key) or []
    if isinstance(blocks, list):
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
    """The value of a key with dots, or None."""
    node: Any = cfg
    for part in key.split("."):
        node = node.get(part) if isinstance(node, (dict, Config)) else None
    return node
