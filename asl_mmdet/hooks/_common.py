"""What the hooks share."""

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn


def unwrapped_model(runner: Runner) -> nn.Module:
    """The model without DistributedDataParallel or the like."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def log_scalars(runner: Runner, values: dict[str, float]) -> None:
    """Hand numbers of a training iteration to the message hub, but for those that are NaN: nothing was averaged."""
    for name, value in values.items():
        if value == value:
            runner.message_hub.update_scalar(f"train/{name}", value)
