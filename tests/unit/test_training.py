"""What keeps a run valid: checkpoints, numbers that are not finite, mixed precision, room on the disk."""

import io
import os
import pickle
import re
import shutil
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from pickle import UnpicklingError
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.optim import AmpOptimWrapper, MultiStepLR, OneCycleLR, OptimWrapper
from mmengine.runner import Runner
from torch import nn

from asl_mmdet.checks import preflight
from asl_mmdet.cli import common as cli
from asl_mmdet.compat.checkpoints import find_resumable, load_checkpoint
from asl_mmdet.compat.optim import BFloat16OptimWrapper
from asl_mmdet.compat.restricted_pickle import restricted_pickle
from asl_mmdet.hooks import NonFiniteLossHook


class Runs:
    """What a pickle asks to be called when it is loaded."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "call",
    [
        (os.system, "touch {}"),
        (eval, "open('{}', 'w')"),
        (getattr, HistoryBuffer, "__init__"),
        (getattr, os, "system"),
    ],
    ids=["system", "eval", "getattr of a class", "getattr of a module"],
)
def test_checkpoint_that_carries_code_is_refused(call, tmp_path):
    function, *args = call
    args = [arg.format(tmp_path / "ran") if isinstance(arg, str) else arg for arg in args]
    if args[0] is os:
        args[0] = Runs(__import__, "os")
    torch.save({"state_dict": {"w": torch.zeros(2)}, "more": Runs(function, *args)}, tmp_path / "bad.pth")
    with pytest.raises(ValueError, match=r"bad.pth is refused: it holds not only weights but also code \("):
        load_checkpoint(str(tmp_path / "bad.pth"))
    (finding,) = preflight.check_checkpoint(str(tmp_path / "bad.pth"))
    assert finding.code == "P204" and "is refused" in str(finding)
    assert not (tmp_path / "ran").exists()


ALLOWED = {"a.f": repr, "a.Class": HistoryBuffer, "collections.OrderedDict": OrderedDict}


@pytest.mark.parametrize(
    "code, asks",
    [
        (b"cos\nsystem\n(S'touch ran'\ntR.", "for os.system"),
        (b"c__builtin__\neval\n.", "for __builtin__.eval"),
        (b"(S'touch ran'\nios\nsystem\n.", "for an instruction"),  # INST
        (b"(cos\nsystem\nS'touch ran'\no.", "for os.system"),  # OBJ
        (b"ca\nf\nS'x'\n\x85R)R.", "for a call of \"'x'\""),  # the result of a call is called
        (b"S'x'\nS'y'\n\x85R.", "for a call of 'x'"),
        (b"S'x'\n)\x81.", "for a call of 'x'"),  # NEWOBJ
        (b"ca\nClass\nN}S'mean'\nca\nf\ns\x86b.", "for a change of <class"),  # BUILD on a class
        (b"ca\nf\nN}S'__call__'\nNs\x86b.", "for a change of <built-in"),
        (b"\x82\x01.", "for an instruction"),  # EXT1
    ],
)
def test_restricted_unpickler_finds_calls_and_changes_nothing_else(code, asks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = restricted_pickle(ALLOWED, buildable=(OrderedDict,))
    with pytest.raises(UnpicklingError, match=f"it asks {asks}"):
        module.load(io.BytesIO(code))
    assert not (tmp_path / "ran").exists()


def test_restricted_unpickler_reads_what_is_allowed():
    module = restricted_pickle(ALLOWED, buildable=(OrderedDict,))
    value = {"a": [1, 2.5, None, True, (3,)], "b": OrderedDict(c="text")}
    assert module.load(io.BytesIO(pickle.dumps(value, protocol=2))) == value


def test_state_of_a_training_run_is_read(tmp_path):
    hub = MessageHub("saved")
    hub.update_scalar("train/loss", 1.5)
    for name, value in (("epoch", 3), ("best", np.float64(0.5)), ("step", np.int64(7))):
        hub.update_info(name, value)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    scheduler = OneCycleLR(OptimWrapper(optimizer), eta_max=0.1, total_steps=10)
    steps = MultiStepLR(OptimWrapper(optimizer), milestones=[8, 11])
    torch.save(
        dict(
            state_dict=model.state_dict(),
            optimizer=optimizer.state_dict(),
            param_schedulers=[scheduler.state_dict(), steps.state_dict()],
            message_hub=hub.state_dict(),
        ),
        tmp_path / "epoch_1.pth",
    )
    loaded = load_checkpoint(str(tmp_path / "epoch_1.pth"))
    torch.testing.assert_close(loaded["optimizer"]["state"], optimizer.state_dict()["state"])
    again = MessageHub("loaded")
    again.load_state_dict(loaded["message_hub"])
    assert again.get_scalar("train/loss").current() == 1.5
    assert [again.get_info(name) for name in ("epoch", "best", "step")] == [3, 0.5, 7]
    assert loaded["param_schedulers"][0]["total_steps"] == 10
    assert list(loaded["param_schedulers"][1]["milestones"]) == [8, 11]


def test_resuming_over_checkpoints_that_cannot_be_read_is_refused_and_changes_nothing(tmp_path):
    for epoch in (1, 2):
        (tmp_path / f"epoch_{epoch}.pth").write_bytes(b"damaged")
    with pytest.raises(SystemExit, match=r"P201 (.|\n)*epoch_2.pth(.|\n)*epoch_1.pth"):
        cli.prepare_start(Config(dict(work_dir=str(tmp_path))), "auto")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch_1.pth", "epoch_2.pth"]
    fresh = Config(dict(work_dir=str(tmp_path / "new")))
    cli.prepare_start(fresh, "auto")
    assert not fresh.resume


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", None], ids=["empty", "text", "zip", "truncated"])
def test_truncated_checkpoint_is_recognised_and_the_one_before_it_is_found(content, tmp_path):
    for epoch in (1, 2, 10):
        torch.save(
            {"state_dict": {"w": torch.zeros(1000)}, "message_hub": {}, "meta": dict(epoch=1, iter=1)},
            tmp_path / f"epoch_{epoch}.pth",
        )
    torch.save({"state_dict": {}}, tmp_path / "best_epoch_11.pth")
    assert find_resumable(tmp_path) == (str(tmp_path / "epoch_10.pth"), [])
    last = tmp_path / "epoch_10.pth"
    last.write_bytes(last.read_bytes()[:-500] if content is None else content)
    path, problems = find_resumable(tmp_path)
    assert path == str(tmp_path / "epoch_2.pth")
    assert len(problems) == 1 and "epoch_10.pth" in problems[0]
    assert find_resumable(tmp_path / "nowhere") == (None, [])


def test_training_over_another_run_is_said(tmp_path):
    cfg = Config(dict(work_dir=str(tmp_path)))
    assert preflight.check_rerun(cfg) == []
    (tmp_path / "last_checkpoint").write_text("epoch_1.pth")
    (finding,) = preflight.check_rerun(cfg)
    assert (finding.code, finding.severity) == ("P303", "warning")
    cfg.resume = True
    assert preflight.check_rerun(cfg) == []


def test_work_directory_without_right_or_room_is_explained(tmp_path, monkeypatch):
    model = nn.Linear(1000, 1000)
    (tmp_path / "file").write_text("")
    (finding,) = preflight.check_work_dir(str(tmp_path / "file" / "work"))
    assert finding.code == "P301" and "--work-dir" in finding.fix
    assert preflight.check_work_dir(str(tmp_path / "work")) == []
    assert preflight.check_space(str(tmp_path / "work"), model) == []
    assert list((tmp_path / "work").iterdir()) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**7))
    (finding,) = preflight.check_space(str(tmp_path / "work"), model)
    assert re.match("error: P302 .*: 1 .*10 MB.*24 MB", str(finding))


def test_findings_end_a_command_unless_they_are_ignored_or_warnings(tmp_path, capsys):
    findings = preflight.check_checkpoint(str(tmp_path / "nothing.pth"))
    with pytest.raises(SystemExit, match=r"error: P203 no such checkpoint: 1 \(.*nothing.pth\)"):
        cli.stop_on(findings)
    cli.stop_on(findings, ["P203"])
    cli.stop_on([replace(findings[0], severity="warning")])
    assert "warning: P203" in capsys.readouterr().err


class WithExtraState(nn.Linear):
    """A module whose state dict holds something that is no tensor, as those of quantization do."""

    def get_extra_state(self):
        return {"bits": 8}

    def set_extra_state(self, state):
        pass


def test_tensors_of_another_shape_are_found_and_extra_state_is_none(tmp_path):
    path, model = str(tmp_path / "a.pth"), WithExtraState(3, 2)
    torch.save({"state_dict": model.state_dict()}, path)
    assert preflight.check_checkpoint(path, model) == []
    assert preflight.check_space(str(tmp_path), model) == []
    (finding,) = preflight.check_checkpoint(path, WithExtraState(4, 2))
    assert finding.code == "P205" and "weight (2, 4): (2, 3) there" in str(finding)


def test_newest_valid_checkpoint_is_the_start_and_newer_ones_are_warned_of(tmp_path):
    torch.save({"state_dict": {}, "message_hub": {}, "meta": dict(epoch=1, iter=1)}, tmp_path / "epoch_1.pth")
    (tmp_path / "epoch_2.pth").write_bytes(b"damaged")
    start = preflight.find_start(Config(dict(work_dir=str(tmp_path))), "auto")
    assert (start.checkpoint, start.resumes) == (str(tmp_path / "epoch_1.pth"), True)
    assert [(finding.code, finding.is_error) for finding in start.findings] == [("P202", False)]


class Toy(nn.Module):
    """A model whose loss the data decides."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(2))
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x, mode):
        self.seen = x if x == -1 else self.seen
        return {"loss_cls": (self.w * x).sum(), "loss_bbox": [self.w.sum() * 0, self.w.sum() * 0]}

    def train_step(self, data, optim_wrapper):
        with optim_wrapper.optim_context(self):
            losses = self(data["inputs"], mode="loss")
        optim_wrapper.update_params(losses["loss_cls"])
        return {"loss": losses["loss_cls"].detach()}


class Sample:
    img_path = "images/7.jpg"


def train(values, tmp_path, hook, **optim_wrapper):
    data = [dict(inputs=torch.tensor([float(value)]), data_samples=[Sample()]) for value in values]
    runner = Runner(
        model=Toy(),
        work_dir=str(tmp_path),
        train_dataloader=torch.utils.data.DataLoader(data, batch_size=1, collate_fn=lambda batch: batch[0]),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(**{"type": "OptimWrapper", "optimizer": dict(type="SGD", lr=0.1), **optim_wrapper}),
        custom_hooks=[hook],
        default_hooks=dict(checkpoint=None),
        experiment_name=tmp_path.name,
        default_scope="mmengine",
    )
    try:
        runner.train()
    finally:
        runner.visualizer.close()
    return runner


def test_run_stops_before_a_loss_that_is_not_finite_reaches_the_weights(tmp_path):
    with pytest.raises(FloatingPointError) as error:
        train([1, 1, float("nan"), 1], tmp_path, dict(type="NonFiniteLossHook"))
    message = str(error.value)
    words = ("iteration 3 (epoch 1)", "loss_cls = nan", "loss_bbox = 0", "images/7.jpg", "check_dataset", "max_skips")
    assert all(word in message for word in words)
    weights = load_checkpoint(str(tmp_path / "nonfinite_iter_3.pth"))["state_dict"]["w"]
    torch.testing.assert_close(weights, torch.full((2,), 0.8))  # after the first two steps


def test_batches_are_left_out_up_to_max_skips(tmp_path):
    values = [1, float("inf"), 1, float("nan"), 1]
    runner = train(values, tmp_path, dict(type="NonFiniteLossHook", max_skips=2))
    torch.testing.assert_close(runner.model.w.data, torch.full((2,), 0.7))
    log = next(Path(tmp_path).glob("*/*.log")).read_text()
    assert "as 1 of at most 2" in log and "as 2 of at most 2" in log
    assert runner.optim_wrapper.update_params.__func__ is OptimWrapper.update_params  # as it was
    with pytest.raises(FloatingPointError, match="iteration 4"):
        train(values, tmp_path / "one", dict(type="NonFiniteLossHook", max_skips=1))


@pytest.mark.skipif(not hasattr(torch.amp, "GradScaler"), reason="PyTorch before 2.3 scales no loss on a CPU")
def test_overflow_in_half_precision_skips_the_step_and_is_logged(tmp_path, monkeypatch):
    module = "mmengine.optim.optimizer.amp_optimizer_wrapper"
    monkeypatch.setattr(f"{module}.is_cuda_available", lambda: True)
    monkeypatch.setattr(f"{module}.GradScaler", lambda **kwargs: torch.amp.GradScaler("cpu", **kwargs))
    scale = dict(init_scale=1e30, growth_interval=1000, backoff_factor=1e-20)
    runner = train([1e10, 1], tmp_path, dict(type="NonFiniteLossHook"), type="AmpOptimWrapper", loss_scale=scale)
    assert isinstance(runner.optim_wrapper, AmpOptimWrapper)
    torch.testing.assert_close(runner.model.w.data, torch.full((2,), 0.9))  # the second step alone
    log = next(Path(tmp_path).glob("*/*.log")).read_text()
    assert "iteration 1: gradients overflowed in half precision; the step is skipped" in log
    assert "from 1e+30 to 1e+10" in log
    assert runner.message_hub.get_scalar("train/loss_scale").current() == pytest.approx(1e10)


def test_cpu_wrapper_computes_in_bfloat16_and_keeps_the_weights_in_float32():
    model = nn.Linear(4, 4)
    wrapper = BFloat16OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    with wrapper.optim_context(model):
        y = model(torch.ones(1, 4))
    assert y.dtype == torch.bfloat16
    before = model.weight.detach().clone()
    wrapper.update_params(y.float().sum())
    assert model.weight.dtype == torch.float32 and not torch.equal(before, model.weight)
    assert model(torch.ones(1, 4)).dtype == torch.float32


def test_negative_max_skips_is_refused():
    with pytest.raises(ValueError, match="max_skips=-1"):
        NonFiniteLossHook(max_skips=-1)
