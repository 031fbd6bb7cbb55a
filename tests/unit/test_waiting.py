"""A hook waits for the accelerator only in the iterations that are logged."""

from types import SimpleNamespace

import pytest
from mmengine.hooks import LoggerHook
from mmengine.logging import MessageHub
from torch import nn

from asl_mmdet.hooks import AdaptiveAsymmetryHook
from asl_mmdet.hooks import adaptive_asymmetry as module
from asl_mmdet.losses import AdaptiveAsymmetricLoss


@pytest.mark.parametrize(
    "hooks, logged",
    [
        ([LoggerHook(interval=3)], [2, 5, 6]),  # as LoggerHook does, and at the end of the epoch
        ([LoggerHook(interval=100)], [6]),
        ([], [0, 1, 2, 3, 4, 5, 6]),  # something else may read them
    ],
)
def test_every_iteration_steps_and_those_that_are_logged_read(hooks, logged, monkeypatch, request):
    steps, read = [], []
    loss = AdaptiveAsymmetricLoss(use_sigmoid=True)
    monkeypatch.setattr(loss, "step", lambda: steps.append(len(steps)))
    monkeypatch.setattr(module, "log_scalars", lambda runner, values: read.append(steps[-1]))
    model = nn.Module()
    model.loss = loss
    runner = SimpleNamespace(
        model=model, hooks=hooks, train_dataloader=range(7), message_hub=MessageHub.get_instance(request.node.name)
    )
    hook = AdaptiveAsymmetryHook()
    hook.before_train(runner)
    for batch in range(7):
        hook.after_train_iter(runner, batch)
    assert steps == list(range(7)) and read == logged
