"""The loss: pure functions, which only need torch, and the classes that MMDetection's registry knows.

``plain`` has the equations, ``functional`` the functions, and ``asymmetric``, ``adaptive`` and ``missing_rate`` the
classes.
"""

from typing import NoReturn

from asl_mmdet.compat import stack
from asl_mmdet.losses.functional import asymmetric_loss, asymmetric_softmax_loss

if not stack.missing():
    from asl_mmdet.losses.adaptive import AdaptiveAsymmetricLoss
    from asl_mmdet.losses.asymmetric import AsymmetricLoss
    from asl_mmdet.losses.missing_rate import MissingRateLoss

__all__ = ["AdaptiveAsymmetricLoss", "AsymmetricLoss", "MissingRateLoss", "asymmetric_loss", "asymmetric_softmax_loss"]


def __getattr__(name: str) -> NoReturn:
    """Say what the classes need, where there is no MMDetection."""
    if name in __all__:
        raise ImportError(
            f"asl_mmdet.losses.{name} is a module for MMDetection 3.x, and {stack.not_found(stack.missing())}"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
