"""Weights are found in a checkpoint, whoever saved it and whatever the model was wrapped in."""

from collections import OrderedDict

import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader
from mmengine.runner.checkpoint import load_checkpoint as load_by_mmengine
from torch import nn

from asl_mmdet.checks import preflight
from asl_mmdet.compat import checkpoints, patches
from asl_mmdet.compat.checkpoints import load_checkpoint, load_weights, weights_of


def model_of(seed):
    torch.manual_seed(seed)
    return nn.Sequential(OrderedDict(body=nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)), head=nn.Linear(4, 2)))


def renamed(function):
    return lambda state: OrderedDict((function(name), value) for name, value in state.items())


NAMES = {
    "as they are": lambda state: state,
    "DistributedDataParallel": renamed(lambda name: f"module.{name}"),
    "twice": renamed(lambda name: f"module.module.{name}"),
    "compiled": renamed(lambda name: f"_orig_mod.{name}"),
    "compiled, then distributed": renamed(lambda name: f"module._orig_mod.{name}"),
    "distributed, then compiled": renamed(lambda name: f"_orig_mod.module.{name}"),
    "a compiled part": renamed(lambda name: name.replace("body.", "body._orig_mod.")),
    "sharded": renamed(lambda name: f"_fsdp_wrapped_module.{name}"),
    "a part with checkpointing": renamed(lambda name: name.replace("body.", "body._checkpoint_wrapped_module.")),
    "with more": lambda state: {**state, "teacher.head.weight": torch.zeros(1)},
    "from before BN counted": lambda state: {k: v for k, v in state.items() if "num_batches" not in k},
}
PLACES = {
    "state_dict": lambda state: dict(state_dict=state, meta=dict(epoch=1)),
    "model": lambda state: dict(model=state, epoch=1),
    "model_state_dict": lambda state: dict(model_state_dict=state, optimizer_state_dict={}),
    "alone": lambda state: state,
}


@pytest.fixture
def _loaders():
    before = dict(CheckpointLoader._schemes)
    patches.SAFE_LOADER.apply()
    yield
    CheckpointLoader._schemes = before


@pytest.mark.usefixtures("_loaders")
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_weights_reach_the_model(names, place, tmp_path):
    path, saved = str(tmp_path / "a.pth"), model_of(1)
    torch.save(place(names(saved.state_dict())), path)

    ours, theirs = model_of(2), model_of(2)
    assert load_weights(ours, weights_of(load_checkpoint(path))) == []
    assert preflight.check_checkpoint(path, model_of(2)) == []
    load_by_mmengine(theirs, path, map_location="cpu")
    for model in (ours, theirs):
        for name, value in saved.state_dict().items():
            torch.testing.assert_close(model.state_dict()[name], value)


def test_part_of_a_model_that_is_called_module_keeps_its_name():
    assert list(weights_of({"head.module.weight": torch.zeros(1)})) == ["head.module.weight"]


def test_what_is_missing_or_of_another_shape_is_said():
    state = model_of(1).state_dict()
    del state["head.bias"]
    assert load_weights(model_of(2), state) == ["head.bias (2,): missing"]
    state["head.weight"] = torch.zeros(3, 4)
    assert load_weights(model_of(2), state) == ["head.weight (2, 4): (3, 4) there"]


class Renamed(nn.Linear):
    """A module that reads a layout of before, as MMDetection's have."""

    def _load_from_state_dict(self, state, prefix, *args):
        if f"{prefix}w" in state:
            state[f"{prefix}weight"] = state.pop(f"{prefix}w")
        super()._load_from_state_dict(state, prefix, *args)


def test_layout_that_the_model_itself_knows_fits():
    assert load_weights(nn.Sequential(Renamed(3, 2)), {"0.w": torch.ones(2, 3), "0.bias": torch.ones(2)}) == []


def test_checkpoint_that_is_kept_is_read_once_and_then_forgotten(tmp_path, monkeypatch):
    path, reads = str(tmp_path / "a.pth"), []
    torch.save(dict(state_dict=dict(w=torch.zeros(2))), path)
    read = checkpoints._load
    monkeypatch.setattr(checkpoints, "_load", lambda *args: reads.append(args) or read(*args))
    assert preflight.check_checkpoint(path) == preflight.check_checkpoint(path) == []
    load_checkpoint(path)["more"] = 1  # what is given is the caller's own
    assert (len(reads), checkpoints._kept) == (1, {})
    assert "more" not in load_checkpoint(path) and len(reads) == 2
    load_checkpoint(path, keep=True)
    torch.save(dict(state_dict=dict(w=torch.ones(30))), path)  # another file by now
    assert len(load_checkpoint(path)["state_dict"]["w"]) == 30
