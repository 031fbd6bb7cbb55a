"""What a result depends on, kept beside it: a result of something else is not taken for it, or gone on with."""

import functools
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

from asl_mmdet.coco.format import write_json
from asl_mmdet.compat import stack
from asl_mmdet.config.tree import find_blocks, find_datasets, find_typed_blocks

KEY = "key.json"
Key = dict[str, Any]
_SHOWN = 5
_PLACES = ("work_dir", "launcher")  # where something ran; nothing depends on it


def key_of(cfg: Config, **more: Any) -> Key:
    """All that a run of a config depends on.

    That is the whole config, its annotation files and initial weights by content, and the versions of this project and
    of what it stands on.

    Args:
        cfg: The config.
        **more: What else it depends on, as JSON has it.
    """
    return dict(
        config=flattened({key: value for key, value in cfg.items() if key not in _PLACES}),
        files={path: digest_of(path) for path in sorted(set(_files_of(cfg)))},
        versions=versions(),
        **more,
    )


def flattened(node: Any) -> dict[str, str]:
    """The values of a config as text by their keys; classes by their names, as MMEngine dumps them."""
    return dict(_flattened(node, ""))


def _flattened(node: Any, key: str) -> Iterator[tuple[str, str]]:
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(node, dict):
        items = node.items()
    elif isinstance(node, (list, tuple)):
        items = enumerate(node)
    if not node or not isinstance(node, (dict, list, tuple)):
        yield key, f"{node.__module__}.{node.__qualname__}" if hasattr(node, "__qualname__") else repr(node)
    for name, child in items:
        yield from _flattened(child, f"{key}.{name}" if key else str(name))


def _files_of(cfg: Config) -> Iterator[str]:
    """The annotation files and checkpoints of a config that are on this machine."""
    for split in ("train", "val", "test"):
        for _, dataset in find_datasets(cfg.get(f"{split}_dataloader"), split):
            for name in ("ann_file", "class_file", "proposal_file"):
                given = dataset.get(name) or []
                for path in given if isinstance(given, (list, tuple)) else [given]:
                    yield os.path.join(dataset.get("data_root") or "", str(path))
        yield from (str(e["ann_file"]) for _, e in find_blocks(cfg, f"{split}_evaluator") if e.get("ann_file"))
    weights = [cfg.get("load_from"), *(b.get("checkpoint") for _, b in find_typed_blocks(cfg.get("model"), ""))]
    yield from (str(path) for path in weights if path and os.path.isfile(str(path)))


def digest_of(path: str | Path) -> str:
    """The SHA-256 of a file; 'missing' if there is none."""
    try:
        stat = os.stat(path)
    except OSError:
        return "missing"
    return _digest(os.path.abspath(path), stat.st_size, stat.st_mtime_ns) if os.path.isfile(path) else "no file"


@functools.lru_cache(maxsize=256)
def _digest(path: str, size: int, changed: int) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(2**20):
            digest.update(part)
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """This project, PyTorch and OpenMMLab's packages."""
    from asl_mmdet import __version__  # it imports this module

    names = ("torch", *(name for packages in stack.DISTRIBUTIONS.values() for name in packages))
    found = {name: number for name in names if (number := stack.installed_version(name))}
    return {"asl_mmdet": __version__, **found}


def differences(there: Any, now: Key) -> list[str]:
    """What differs, a line each; of long lists the first lines."""
    there = there if isinstance(there, dict) else {}
    lines = []
    for part in [*now, *(part for part in there if part not in now)]:
        old, new = there.get(part), now.get(part)
        if isinstance(old, dict) and isinstance(new, dict):
            keys = [key for key in dict.fromkeys([*new, *old]) if old.get(key) != new.get(key)]
            lines += [_line(f"{part} {key}", old.get(key), new.get(key)) for key in keys]
        elif old != new:
            lines.append(_line(part, old, new))
    return lines[:_SHOWN] + [f"and {len(lines) - _SHOWN} more"] * (len(lines) > _SHOWN)


def _line(name: str, old: Any, new: Any) -> str:
    if name.startswith("files ") and old and new:
        return f"{name.removeprefix('files ')} has another content now"
    if isinstance(old, str) and isinstance(new, str) and len(old) == len(new) == 64:  # digests
        return f"another {name}"
    return f"{name}: {_short(old)} there, {_short(new)} now"


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def read_key(folder: Path) -> Key | None:
    """The key that a folder was made with; None if it does not say."""
    try:
        key = json.loads((folder / KEY).read_bytes())
    except (OSError, ValueError):
        return None
    return key if isinstance(key, dict) else None


def write_key(folder: Path, key: Key) -> None:
    """Note what the results of a folder depend on."""
    write_json(folder / KEY, key, indent=1)
