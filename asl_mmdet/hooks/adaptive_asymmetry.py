"""The steps of the loss that sets its own asymmetry."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor

from asl_mmdet.hooks._common import log_scalars, unwrapped_model
from asl_mmdet.losses import AdaptiveAsymmetricLoss


@HOOKS.register_module()
class AdaptiveAsymmetryHook(Hook):
    """Have every :class:`~asl_mmdet.losses.AdaptiveAsymmetricLoss` of the model take its step after an iteration.

    The message hub gets ``gamma_neg``, ``clip`` if the margin adapts, and ``gap``, means over the classes where every
    class has its own.

    Raises:
        ValueError: When training starts, if the model has no such loss.
    """

    def before_train(self, runner: Runner) -> None:
        """Find the losses."""
        modules = unwrapped_model(runner).named_modules()
        self.losses = {path: module for path, module in modules if isinstance(module, AdaptiveAsymmetricLoss)}
        if not self.losses:
            raise ValueError(
                "AdaptiveAsymmetryHook finds no AdaptiveAsymmetricLoss in the model: use that loss, or drop the hook"
            )

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Step, and log where it led."""
        for path, loss in self.losses.items():
            loss.step()
            prefix = f"{path}." if len(self.losses) > 1 else ""
            values = dict(gamma_neg=loss.gamma_neg, clip=loss.clip, gap=loss.gap)
            log_scalars(runner, {prefix + k: float(v.mean()) for k, v in values.items() if isinstance(v, Tensor)})
