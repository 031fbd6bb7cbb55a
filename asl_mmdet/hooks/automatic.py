"""Hooks that a config need not name."""

import functools
from typing import Any

from mmengine.runner import Runner

from asl_mmdet.hooks._common import unwrapped_model
from asl_mmdet.hooks.adaptive_asymmetry import AdaptiveAsymmetryHook, stepping_losses
from asl_mmdet.hooks.class_weight import ClassWeightHook, weighted_losses
from asl_mmdet.hooks.missing_share import MissingShareHook
from asl_mmdet.losses.missing_rate import auto_losses

_NEEDED_BY = (
    (ClassWeightHook, weighted_losses),
    (AdaptiveAsymmetryHook, stepping_losses),
    (MissingShareHook, auto_losses),
)


def add_to_runners() -> None:
    """Have MMEngine's ``Runner`` add the hooks that a loss of its model needs and the config does not name.

    So ``class_weight`` and the losses that adapt themselves work by ``custom_imports`` alone. Nothing changes for other
    models.
    """
    register_hooks = Runner.register_hooks

    @functools.wraps(register_hooks)
    def with_needed_hooks(self: Runner, *args: Any, **kwargs: Any) -> None:
        register_hooks(self, *args, **kwargs)
        for hook, losses in _NEEDED_BY:
            if losses(unwrapped_model(self)) and not any(isinstance(one, hook) for one in self.hooks):
                self.register_hook(hook())

    Runner.register_hooks = with_needed_hooks
