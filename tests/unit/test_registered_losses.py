"""Every registered loss through one grid."""

from loss_tester import LOSSES, LossTester
from mmdet.registry import MODELS

from asl_mmdet.losses import AsymmetricLoss


class TestRegisteredLosses(LossTester):
    """The tests are those of tests/loss_tester.py."""


def test_every_loss_of_this_project_is_in_the_grid():
    ours = {
        name
        for name, kind in MODELS.module_dict.items()
        if isinstance(kind, type) and issubclass(kind, AsymmetricLoss) and kind.__module__.startswith("asl_mmdet.")
    }
    assert ours == {loss.name for loss in LOSSES}
