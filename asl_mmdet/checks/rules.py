"""All rules by their codes: these modules make them."""

from asl_mmdet.checks import class_rules, config, image_rules, item_rules, loaders, preflight, set_rules  # noqa: F401
from asl_mmdet.checks.finding import RULES

__all__ = ["RULES"]
