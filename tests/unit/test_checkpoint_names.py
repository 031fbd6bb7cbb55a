"""Weights are found in a checkpoint, whoever saved it and whatever the model was wrapped in."""

from collections import OrderedDict

import pytest
import torch
from mmdet.models import SemiBaseDetector
from mmengine.config import Config
from mmengine.runner.checkpoint import CheckpointLoader
from mmengine.runner.checkpoint import load_checkpoint as load_by_mmengine
from torch import nn

from asl_mmdet.checks import preflight
from asl_mmdet.checks.start_weights import check_classes, check_weights
from asl_mmdet.compat import checkpoints, patches
from asl_mmdet.compat.checkpoints import load_checkpoint, load_weights, named_as, weights_of


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
    "two places": lambda state: dict(model=dict(state_dict=state, step=3), epoch=1),
    "averaged": lambda state: dict(
        ema_state_dict=dict(steps=torch.zeros(1), **{f"module.{k}": v for k, v in state.items()})
    ),
    "averaged by timm": lambda state: dict(state_dict_ema=state, epoch=1),
    "alone": lambda state: state,
    "beside numbers": lambda state: {**state, 1: torch.zeros(1)},
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


@pytest.mark.usefixtures("_loaders")
@pytest.mark.parametrize("part", ["model", "student", "teacher", "ema_model", "wrapper.detector"])
def test_a_model_that_was_saved_as_part_of_another_is_taken_out(part, tmp_path):
    path, saved = str(tmp_path / "a.pth"), model_of(1).state_dict()
    torch.save(dict(state_dict={"step": torch.zeros(1), **renamed(lambda name: f"{part}.{name}")(saved)}), path)
    ours, theirs = model_of(2), model_of(2)
    assert preflight.check_checkpoint(path, ours) == [] == check_weights(path, theirs)
    load_by_mmengine(theirs, path, map_location="cpu")
    for model in (ours, theirs):
        for name, value in saved.items():
            torch.testing.assert_close(model.state_dict()[name], value)


def test_a_student_and_its_teacher_take_the_weights_of_a_detector(tmp_path):
    class Semi(SemiBaseDetector):
        def __init__(self):
            nn.Module.__init__(self)
            self.student, self.teacher = model_of(1), model_of(2)

    path = str(tmp_path / "a.pth")
    torch.save(dict(state_dict=model_of(3).state_dict()), path)
    assert check_weights(path, Semi()) == []
    torch.save(dict(state_dict={"other.weight": torch.zeros(1)}), path)
    assert [finding.code for finding in check_weights(path, Semi())] == ["P207"]


def test_two_models_in_a_checkpoint_are_refused_with_the_way_out(tmp_path):
    path, saved = str(tmp_path / "a.pth"), model_of(1).state_dict()
    parts = [renamed(lambda name, part=part: f"{part}.{name}")(saved) for part in ("student", "teacher")]
    torch.save(dict(state_dict={**parts[0], **parts[1]}), path)
    for found in (preflight.check_checkpoint(path, model_of(2)), check_weights(path, model_of(2))):
        assert len(found) == 1 and found[0].is_error
        assert "below student and teacher. Save one of them alone" in str(found[0])
    model, weights, part = model_of(2), torch.load(path)["state_dict"], "teacher."
    assert load_weights(model, {k[len(part) :]: v for k, v in weights.items() if k.startswith(part)}) == []


def test_a_part_that_lacks_weights_of_the_model_is_left_as_it_is():
    weights = renamed(lambda name: f"student.{name}")(model_of(1).state_dict())
    del weights["student.head.bias"]
    assert named_as(model_of(2), weights) is weights


def test_part_of_a_model_that_is_called_module_keeps_its_name():
    assert list(weights_of({"head.module.weight": torch.zeros(1)})) == ["head.module.weight"]


def test_what_is_missing_or_of_another_shape_is_said():
    state = model_of(1).state_dict()
    del state["head.bias"]
    assert load_weights(model_of(2), state) == ["head.bias (2,): missing"]
    state["head.weight"] = torch.zeros(3, 4)
    assert load_weights(model_of(2), state) == ["head.weight (2, 4): (3, 4) there"]
    (said,) = load_weights(model_of(2), model_of(1).state_dict() | {"head.weight": "text"})
    assert "head.weight" in said


@pytest.mark.parametrize("content", [{}, dict(state_dict=None), dict(state_dict=[1]), {1: 2}, dict(state_dict={})])
def test_checkpoint_without_weights_lacks_all(content, tmp_path):
    torch.save(content, path := tmp_path / "a.pth")
    (finding,) = preflight.check_checkpoint(str(path), model_of(1))
    assert finding.code == "P205" and "body.0.weight" in str(finding)


@pytest.mark.parametrize(
    "content, said",
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n", "`git lfs pull` fetches it"),
        (b"\n<!DOCTYPE html><html>404</html>", "it is a web page"),
        (b"words", "not a checkpoint"),
        (b'\x38\0\0\0\0\0\0\0{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}   ', "in the format safetensors"),
        (b"", "a.pth is not a checkpoint: it is empty"),
        (b"PK", "a.pth is"),
    ],
)
def test_what_is_there_instead_of_a_checkpoint_is_said(content, said, tmp_path):
    (tmp_path / "a.pth").write_bytes(content)
    (finding,) = preflight.check_checkpoint(str(tmp_path / "a.pth"))
    assert finding.code == "P204" and said in str(finding) and "will likely succeed" not in str(finding)


class Renamed(nn.Linear):
    """A module that reads a layout of before, as MMDetection's have."""

    def _load_from_state_dict(self, state, prefix, *args):
        if f"{prefix}w" in state:
            state[f"{prefix}weight"] = state.pop(f"{prefix}w")
        super()._load_from_state_dict(state, prefix, *args)


def test_layout_that_the_model_itself_knows_fits():
    assert load_weights(nn.Sequential(Renamed(3, 2)), {"0.w": torch.ones(2, 3), "0.bias": torch.ones(2)}) == []


def test_weights_that_are_not_numbers_are_an_error(tmp_path):
    state = model_of(1).state_dict()
    state["head.bias"][1] = float("nan")
    state["body.1.running_var"][0] = float("inf")  # a mask may have that
    torch.save(dict(state_dict={f"module.{name}": value for name, value in state.items()}), path := tmp_path / "a.pth")
    (finding,) = preflight.check_checkpoint(str(path))
    assert (finding.code, finding.is_error, finding.examples) == ("P209", True, ("head.bias",))


@pytest.mark.parametrize(
    "here, is_same", [(("cat", "dog"), True), (["cat", "dog"], True), (("dog", "cat"), False), (("cat", "dot"), False)]
)
@pytest.mark.parametrize("key", ["classes", "CLASSES"])
def test_checkpoint_of_other_classes_is_pointed_out(key, here, is_same, tmp_path):
    path = str(tmp_path / "a.pth")
    torch.save(dict(meta=dict(dataset_meta={key: ("cat", "dog")}), state_dict={}), path)
    cfg = Config(dict(test_dataloader=dict(dataset=dict(data_root="d/", metainfo=dict(classes=here)))))
    found = check_classes(path, cfg, "test")
    assert [finding.code for finding in found] == ["P208"] * (not is_same)
    assert all(f"a.pth has cat, dog, the config {', '.join(here)}" in str(finding) for finding in found)
    assert check_classes(path, cfg, "val") == []  # which the config does not have


@pytest.mark.parametrize("meta", [None, {}, dict(dataset_meta=None), dict(CLASSES=("cat",))])
def test_checkpoint_that_names_no_classes_is_not_compared(meta, tmp_path):
    torch.save(dict(meta=meta, state_dict={}), path := str(tmp_path / "a.pth"))
    dataset = dict(data_root="d/", metainfo=dict(classes=("dog",)))
    assert check_classes(path, Config(dict(test_dataloader=dict(dataset=dataset))), "test") == []


RUN = dict(message_hub={}, meta=dict(epoch=1, iter=8), state_dict={})


@pytest.mark.parametrize("lacking", ["message_hub", "meta", "epoch", "iter", None])
@pytest.mark.parametrize("is_option", [True, False])
def test_weights_alone_are_no_run_to_resume(is_option, lacking, tmp_path):
    content = {key: value for key, value in RUN.items() if key != lacking}
    if lacking in RUN["meta"]:
        content["meta"] = {key: value for key, value in RUN["meta"].items() if key != lacking}
    torch.save(content, path := tmp_path / "a.pth")
    cfg = Config({} if is_option else dict(load_from=str(path), resume=True))
    found = preflight.find_start(cfg, str(path) if is_option else None).findings
    assert [finding.code for finding in found] == ["P206"] * (lacking is not None)
    assert all(f"--cfg-options load_from={path}" in str(finding) for finding in found)
    assert preflight.find_start(Config(dict(load_from=str(path))), None).findings == []  # its weights are there


@pytest.mark.parametrize(
    "change, fits",
    [
        (lambda state: state, True),
        (renamed(lambda name: f"module.{name}"), True),
        (lambda state: {"head.weight": state["head.weight"]}, True),  # as of a model with other classes
        (lambda state: {"head.weight": torch.zeros(9, 4)}, False),
        (renamed(lambda name: f"ema_{name}"), False),
        (lambda state: {name: value.numpy() for name, value in state.items()}, False),  # PyTorch does not take them
        (lambda state: {}, False),
    ],
)
def test_load_from_of_which_nothing_fits_is_an_error(change, fits, tmp_path):
    torch.save(dict(state_dict=change(model_of(1).state_dict())), path := tmp_path / "a.pth")
    found = check_weights(str(path), model_of(2))
    assert [finding.code for finding in found] == ["P207"] * (not fits)
    assert all("the model body.0.weight, ..." in str(finding) for finding in found)


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
