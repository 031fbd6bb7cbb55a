"""The loss: pure functions, and the classes that MMDetection's registry knows."""

from asl_mmdet.losses.adaptive import AdaptiveAsymmetricLoss
from asl_mmdet.losses.asymmetric_loss import AsymmetricLoss
from asl_mmdet.losses.functional import asymmetric_loss, asymmetric_softmax_loss

__all__ = ["AdaptiveAsymmetricLoss", "AsymmetricLoss", "asymmetric_loss", "asymmetric_softmax_loss"]
