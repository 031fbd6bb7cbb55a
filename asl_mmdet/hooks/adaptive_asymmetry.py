"""The steps of the losses that adapt themselves."""

from typing import Any

from mmengine.hooks import Hook, LoggerHook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn

from asl_mmdet.hooks._common import log_scalars, unwrapped_model
from asl_mmdet.losses.stepping import SteppingLoss


@HOOKS.register_module()
class AdaptiveAsymmetryHook(Hook):
    """Have every loss that adapts itself take its step after an iteration.

    These are :class:`~asl_mmdet.losses.AdaptiveAsymmetricLoss` and :class:`~asl_mmdet.losses.MissingRateLoss`. The
    message hub gets what moved, ``gamma_neg``, ``clip``, ``gap`` or ``ignore_above``: means over the classes where
    every class has its own. It gets them in the iterations that are logged: reading them waits for the accelerator, and
    the step does not. A config need not name the hook: MMEngine's ``Runner`` gets one where a loss needs it
    (:func:`asl_mmdet.hooks.automatic.add_needed_hooks`).

    Raises:
        ValueError: When training starts, if the model has no such loss.
    """

    def before_train(self, runner: Runner) -> None:
        """Find the losses."""
        self.losses = stepping_losses(unwrapped_model(runner))
        if not self.losses:
            raise ValueError(
                "AdaptiveAsymmetryHook finds no AdaptiveAsymmetricLoss or MissingRateLoss in the model: use one, or "
                "drop the hook"
            )
        self.intervals = [hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)] or [1]

    def after_train_iter(self, runner: Runner, batch_idx: int = 0, *args: Any, **kwargs: Any) -> None:
        """Step, and log where it led."""
        is_logged = self.end_of_epoch(runner.train_dataloader, batch_idx) or any(
            self.every_n_inner_iters(batch_idx, interval) for interval in self.intervals
        )
        for path, loss in self.losses.items():
            loss.step()
            if not is_logged:
                continue
            prefix = f"{path}." if len(self.losses) > 1 else ""
            log_scalars(runner, {prefix + name: float(getattr(loss, name).mean()) for name in loss.moved})


def stepping_losses(model: nn.Module) -> dict[str, SteppingLoss]:
    """The losses of a model that adapt themselves, by their paths."""
    return {path: module for path, module in model.named_modules() if isinstance(module, SteppingLoss)}
