"""Hooks that a config need not name."""

from typing import Any

from mmengine.hooks import Hook
from torch import nn

from asl_mmdet.hooks._common import unwrapped_model
from asl_mmdet.hooks.adaptive_asymmetry import AdaptiveAsymmetryHook, stepping_losses
from asl_mmdet.hooks.class_weight import ClassWeightHook, weighted_losses
from asl_mmdet.hooks.found_boxes import FoundBoxesHook
from asl_mmdet.hooks.ignored_boxes import IgnoredBoxesHook, trains_on_ignored_boxes
from asl_mmdet.hooks.missing_share import MissingShareHook, told_the_share

_NEEDED_BY = (
    (ClassWeightHook, lambda runner: weighted_losses(unwrapped_model(runner))),
    (AdaptiveAsymmetryHook, lambda runner: stepping_losses(unwrapped_model(runner))),
    (MissingShareHook, told_the_share),
    (IgnoredBoxesHook, lambda runner: _has(runner, FoundBoxesHook) or trains_on_ignored_boxes(runner.cfg)),
)


def _has(runner: Any, hook: type[Hook]) -> bool:
    return any(isinstance(one, hook) for one in runner.hooks)


class _WithTheModel(Hook):
    """Adds the hooks of a runner that builds its model after its hooks."""

    priority = "HIGHEST"  # what is added comes behind it, and has its own turn in the same call

    def before_run(self, runner: Any) -> None:
        """The model is there now."""
        add_needed_hooks(runner)


def add_needed_hooks(runner: Any) -> None:
    """Add the hooks that a loss of the runner's model or its data need and the config does not name, else nothing.

    MMEngine's runners call it when they register their hooks (:mod:`asl_mmdet.compat.patches`). ``FlexibleRunner``
    has no model before its strategy prepares one, and is asked again then.
    """
    if not isinstance(runner.model, nn.Module):
        runner.register_hook(_WithTheModel())
        return
    for hook, is_needed in _NEEDED_BY:
        if is_needed(runner) and not _has(runner, hook):
            runner.register_hook(hook())
