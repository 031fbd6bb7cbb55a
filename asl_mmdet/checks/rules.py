"""All rules by their codes: these modules make them."""

from asl_mmdet.checks import (  # noqa: F401
    class_rules,
    config,
    image_rules,
    item_rules,
    loaders,
    preflight,
    run_parts,
    set_rules,
    start_weights,
)
from asl_mmdet.checks.finding import RULES

__all__ = ["RULES"]
