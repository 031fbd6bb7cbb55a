"""Whether the metrics that a config watches, for the best checkpoint or to stop early, are ones that it evaluates."""

import difflib
from collections.abc import Iterator
from typing import Any

from mmdet.registry import METRICS
from mmengine.config import Config
from mmengine.registry import Registry

from asl_mmdet.config.tree import find_blocks, find_type, type_name, type_scope

_AP = ("mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m", "mAP_l")
_LVIS_AP = ("AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf")
_RATES = [f"{letter}{key}{top}" for letter in "CO" for key in ("P", "R", "F1") for top in ("", "_top{}", "_thresholds")]


def unknown_monitors(cfg: Config) -> Iterator[str]:
    """What is watched and never evaluated, with what to write instead."""
    watched = list(_watched(cfg))
    if not watched:
        return
    if not cfg.get("val_evaluator") or not cfg.get("val_dataloader"):
        yield from (f"{key}={name!r} without val_dataloader and val_evaluator" for key, name in watched)
        return
    evaluated = [_names_of(block, cfg.get("default_scope")) for _, block in find_blocks(cfg, "val_evaluator")]
    if any(prefix is None for prefix, _ in evaluated):
        return
    known = [f"{prefix}/{name}" for prefix, names in evaluated for name in names or []]
    for key, name in watched:
        prefix, _, rest = name.rpartition("/")
        is_open = [names is None or rest.endswith("_precision") for one, names in evaluated if one == prefix]
        if name not in known and not any(is_open):
            yield f"{key}={name!r}; write {_similar(name, known) or ' or '.join(f'{p}/...' for p, _ in evaluated)!r}"


def wrong_rules(cfg: Config) -> Iterator[str]:
    """The rules that are none, and those by which the worst is the best; schedulers have 'less' by default."""
    for key, name, block in _watching(cfg):
        rules, names = _as_list(block.get("rule")), _as_list(block[name])
        if strange := [rule for rule in rules if rule not in (None, "greater", "less")]:
            yield f"{key}.rule={strange[0]!r}; write 'greater' or 'less'"
        elif len(rules) not in (1, len(names)):
            yield f"{key}.rule={rules}, and {name} has {len(names)}; write one rule, or one for each"
        else:
            default = "less" if key.startswith("param_scheduler") else "greater"
            for one, rule in zip(names, rules * (len(names) // len(rules)), strict=True):
                if "mAP" in str(one) and (rule or default) == "less":
                    yield f"{key}.rule='less' for {name}={one!r}; write rule='greater'"


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _watching(cfg: Config) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The hooks and schedulers that watch a metric: the key, and the name of the option that names the metric."""
    hooks = [(f"default_hooks.{name}", hook) for name, hook in (cfg.get("default_hooks") or {}).items()]
    for key, hook in [*hooks, *find_blocks(cfg, "custom_hooks"), *find_blocks(cfg, "param_scheduler")]:
        name = "save_best" if type_name(_kind(hook, key)) == "CheckpointHook" else "monitor"
        if isinstance(hook, dict) and hook.get(name):
            yield key, name, hook


def _watched(cfg: Config) -> Iterator[tuple[str, str]]:
    """The names of metrics by their keys; but for 'auto', and a loss, which a validation may have."""
    for key, name, block in _watching(cfg):
        yield from ((f"{key}.{name}", one) for one in _listed(block.get(name)))


def _kind(hook: Any, key: str) -> Any:
    """The type; MMEngine's own default hook by that name needs none in a config."""
    default = "CheckpointHook" if key == "default_hooks.checkpoint" else None
    return hook.get("type", default) if isinstance(hook, dict) else None


def _listed(value: Any) -> list[str]:
    names = value if isinstance(value, (list, tuple)) else [value]
    return [name for name in names if isinstance(name, str) and name != "auto" and "loss" not in name]


def _names_of(evaluator: Any, default_scope: str | None = None) -> tuple[str | None, list[str] | None]:
    """The prefix of an evaluator's metrics, None if it is not known, and their names, None if those are not known."""
    if not isinstance(evaluator, dict) or "metrics" in evaluator:  # several of MMEngine's in one
        return None, None
    kind = evaluator.get("type")
    kind = find_type(_registry(type_scope(kind) or default_scope), kind)
    names = {one.__name__ for one in getattr(kind, "__mro__", ())}
    prefix = evaluator.get("prefix") or getattr(kind, "default_prefix", None)
    if "MultiLabelTable" in names:
        return prefix, ["mAP", "mAP_all", *(name.format(evaluator.get("topk", 3)) for name in _RATES)]
    if "CocoMetric" in names:
        metrics, items = _listed(evaluator.get("metric", "bbox")), evaluator.get("metric_items")
        if all(metric in ("bbox", "segm") for metric in metrics):
            default = _LVIS_AP if "LVISMetric" in names else _AP
            return prefix, [f"{metric}_{item}" for metric in metrics for item in items or default]
    return prefix, None


def _registry(scope: str | None) -> Registry:
    if scope != "mmpretrain":
        return METRICS
    from mmpretrain.registry import METRICS as mmpretrains  # noqa: N811

    return mmpretrains


def _similar(name: str, known: list[str]) -> str:
    """The one that was meant, such as with its prefix or in other letters."""
    folded = name.casefold()
    whole = [one for one in known if one.casefold() == folded or one.partition("/")[2].casefold() == folded]
    return next(iter(whole or difflib.get_close_matches(name, known, 1, 0.4) or known), "")
