"""All rules by their codes."""

from itertools import chain
from typing import Any

from asl_mmdet.checks import class_rules, config, image_rules, item_rules, loaders, preflight, set_rules
from asl_mmdet.checks.finding import Rule

LISTS: list[list[Rule[Any]]] = [
    value
    for module in (set_rules, class_rules, item_rules, image_rules, config, preflight, loaders)
    for name, value in vars(module).items()
    if name.endswith("_RULES")
]
RULES: dict[str, Rule[Any]] = {rule.code: rule for rule in chain(*LISTS)}
