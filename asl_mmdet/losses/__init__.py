"""The loss: pure functions, which need torch alone, and the classes that MMDetection's registry knows."""

from typing import NoReturn

from asl_mmdet import stack

if not stack.missing():
    from asl_mmdet.losses.adaptive import AdaptiveAsymmetricLoss
    from asl_mmdet.losses.asymmetric_loss import AsymmetricLoss
    from asl_mmdet.losses.missing_rate import MissingRateLoss
# After the classes: a function has the name of a module here, and the module binds it when it is imported.
from asl_mmdet.losses.functional import asymmetric_loss, asymmetric_softmax_loss

__all__ = ["AdaptiveAsymmetricLoss", "AsymmetricLoss", "MissingRateLoss", "asymmetric_loss", "asymmetric_softmax_loss"]


def __getattr__(name: str) -> NoReturn:
    """Say what the classes need, where there is no MMDetection."""
    if name in __all__:
        raise ImportError(
            f"asl_mmdet.losses.{name} is a module for MMDetection 3.x, and {stack.not_found(stack.missing())}"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
