"""A resumed run says what it does not take from the config."""

import logging

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from torch import nn

import asl_mmdet  # noqa: F401  (registers the hook)

COSINE = dict(
    type="CosineAnnealingLR", T_max=4, eta_min=1e-6, by_epoch=True, begin=0, end=4, convert_to_iter_based=True
)


class Toy(nn.Module):
    """A model of one weight."""

    def __init__(self):
        super().__init__()
        self.w, self.b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))

    def train_step(self, data, optim_wrapper):
        loss = (self.w * data[0].mean()).sum() + self.b.sum()
        optim_wrapper.update_params(loss)
        return dict(loss=loss.detach())


def train(folder, epochs, resume=True, batch_size=2, schedule=COSINE, load=None, **optimizer):
    """What the hook said."""
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    images = torch.utils.data.TensorDataset(torch.rand(8, 1))
    runner = Runner(
        model=Toy(),
        work_dir=str(folder),
        train_dataloader=torch.utils.data.DataLoader(images, batch_size=batch_size),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer={"type": "SGD", "lr": 0.1, "momentum": 0.9, **optimizer}),
        param_scheduler=schedule,
        custom_hooks=[dict(type="ResumedSettingsHook")],
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", interval=1)),
        experiment_name=f"{folder.name}_{epochs}_{batch_size}",
        default_scope="mmengine",
        resume=resume,
        load_from=load,
        cfg=Config(),
    )
    runner.logger.addHandler(handler)
    try:
        runner.train()
    finally:
        runner.visualizer.close()
    return "\n".join(line for line in lines if "goes on with the optimizer" in line)


@pytest.fixture
def folder(tmp_path):
    assert train(tmp_path, 2, resume=False) == ""
    return tmp_path


def test_nothing_is_said_of_an_equal_config_or_of_more_epochs(folder):
    assert train(folder, 2) == ""
    assert train(folder, 3) == ""


@pytest.mark.parametrize(
    "changes, line",
    [
        (dict(lr=0.5), "optim_wrapper.optimizer.lr: 0.1 saved, 0.5 in the config"),
        (dict(weight_decay=0.01), "optim_wrapper.optimizer.weight_decay: 0 saved, 0.01 in the config"),
        (dict(momentum=0.5), "optim_wrapper.optimizer.momentum: 0.9 saved, 0.5 in the config"),
        (dict(schedule=dict(COSINE, eta_min=0.01)), "param_scheduler.0.eta_min: 1e-06 saved, 0.01 in the config"),
        (dict(schedule=dict(COSINE, T_max=8, end=8)), "param_scheduler.0.T_max: 16 saved, 32 in the config"),
        (dict(batch_size=4), "iterations of an epoch: 4 saved, 2 now (another batch_size, number of processes"),
        (dict(batch_size=1), "iterations of an epoch: 4 saved, 8 now (another batch_size, number of processes"),
        (dict(schedule=[COSINE, dict(type="ConstantLR")]), "param_scheduler: 1 saved, 2 in the config"),
    ],
)
def test_what_is_not_taken_from_the_config_is_said(changes, line, folder):
    said = train(folder, 3, **changes)
    assert line in said and "not with those of the config" in said and "load_from=CHECKPOINT" in said


def test_learning_rate_without_a_schedule_is_compared(tmp_path):
    train(tmp_path, 1, resume=False, schedule=None)
    assert train(tmp_path, 1, schedule=None) == ""
    assert "optim_wrapper.optimizer.lr: 0.1 saved, 0.2 in the config" in train(tmp_path, 2, schedule=None, lr=0.2)


def test_milestones_of_steps_are_compared(tmp_path):
    steps = dict(type="MultiStepLR", milestones=[2, 3], by_epoch=True, begin=0, end=4)
    train(tmp_path, 1, resume=False, schedule=steps)
    assert train(tmp_path, 1, schedule=steps) == ""
    assert "param_scheduler.0.milestones" in train(tmp_path, 2, schedule=dict(steps, milestones=[1, 3]))


def test_run_that_loads_the_weights_alone_takes_all_from_the_config(folder, tmp_path):
    other = tmp_path / "new"
    assert train(other, 1, resume=False, load=str(folder / "epoch_2.pth"), lr=0.5, batch_size=4) == ""
