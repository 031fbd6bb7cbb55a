"""The converter of the authors' checkpoints, against key layouts and logits that come from a run of their models."""

import functools
import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
from mmengine.logging import MessageHub
from mmengine.registry import DefaultScope
from mmpretrain.models import build_classifier

from asl_mmdet.cli import convert_asl_checkpoint as tool
from asl_mmdet_cli import parse, work

GOLDEN = json.loads((Path(__file__).parents[1] / "data" / "asl_tresnet.json").read_text())
FEATURES = {"tresnet_m": 2048, "tresnet_l": 2432, "tresnet_xl": 2656, "tresnet_v2_l": 2048}


@pytest.fixture(autouse=True, scope="module")
def _models_are_made_once():
    """To recognise one takes up to four of them, which nothing changes."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tool, "timm", SimpleNamespace(create_model=functools.cache(timm.create_model)))
        yield


@pytest.fixture(scope="module")
def theirs():
    """A TResNet-M of the authors with scales of both signs; the golden logits belong to these numbers."""
    draw = np.random.RandomState(0)
    tensors = {}
    for key, shape in sorted(GOLDEN["tresnet_m"].items()):
        if key.endswith("running_var"):
            value = draw.uniform(0.5, 2, shape)
        elif len(shape) > 1:
            value = draw.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape)
        elif key.endswith("weight"):
            value = draw.uniform(-1.5, 1.5, shape)
        else:
            value = draw.normal(0, 0.2, shape)
        tensors[key] = torch.from_numpy(value.astype(np.float32))
    return tensors


@pytest.fixture(scope="module")
def ours(theirs):
    return tool.to_mmpretrain(theirs)


@functools.cache
def classifier():
    model = dict(
        type="ImageClassifier",
        backbone=dict(type="TIMMBackbone", model_name="tresnet_m", pretrained=False),
        neck=dict(type="GlobalAveragePooling"),
        head=dict(type="MultiLabelLinearClsHead", num_classes=5, in_channels=FEATURES["tresnet_m"]),
    )
    with DefaultScope.overwrite_default_scope("mmpretrain"):  # whatever the tests before have set
        return build_classifier(model).eval()


def logits(state_dict):
    """What mmpretrain's model, which must know every tensor, makes of three images."""
    images = np.kron(np.random.RandomState(1).uniform(size=(3, 3, 8, 8)), np.ones((8, 8)))
    classifier().load_state_dict(state_dict, strict=True)
    with torch.no_grad():
        return classifier()(torch.from_numpy(images.astype(np.float32)))


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        torch.testing.assert_close(found[key], value, atol=1e-6, rtol=1e-6, msg=lambda text, key=key: f"{key}: {text}")


def test_converted_model_has_the_authors_logits(ours):
    torch.testing.assert_close(logits(ours), torch.tensor(GOLDEN["logits"]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["tresnet_m", "tresnet_l", "tresnet_xl"])
def test_reverse_has_the_authors_keys_and_shapes(name):
    with torch.device("meta"):
        model = tool.timm.create_model(name, num_classes=5)
    shapes = {key: tuple(value.shape) for key, value in tool.from_mmpretrain(model.state_dict()).items()}
    assert shapes["head.fc.weight"] == (5, FEATURES[name])
    layout = "\n".join(f"{key} {shape}" for key, shape in sorted(shapes.items()))
    assert hashlib.sha256(layout.encode()).hexdigest() == GOLDEN["layout_sha256"][name]


@pytest.mark.parametrize("name", FEATURES)
def test_every_model_is_recognised_in_both_directions(name):
    with torch.device("meta"):
        state = tool.timm.create_model(name, num_classes=7).state_dict()
    found, model = tool.recognise(state)
    assert (found, model.num_classes, model.num_features) == (name, 7, FEATURES[name])
    back = tool.to_mmpretrain(tool.from_mmpretrain(state))
    assert {key.removeprefix("backbone.timm_model."): value.shape for key, value in back.items()} == {
        key: value.shape for key, value in state.items()
    }


def test_scale_is_converted_as_inplace_abn_applies_it(theirs, ours):
    theirs, ours = theirs["body.layer2.0.conv1.0.1.weight"], ours["backbone.timm_model.body.layer2.0.conv1.bn.weight"]
    assert (theirs < 0).any()
    assert torch.equal(ours, theirs.abs() + 1e-5)


def test_round_trip_keeps_all_but_the_sign_that_inplace_abn_ignores(theirs, ours):
    expected = {key: value.abs() if key.endswith(".1.weight") else value for key, value in theirs.items()}
    assert_same(tool.from_mmpretrain(ours), expected)
    assert_same(tool.to_mmpretrain(tool.from_mmpretrain(ours)), ours)


def test_reverse_of_negative_scales_is_the_same_function(ours):
    flipped = {
        key: value * (-1) ** torch.arange(len(value)) if "bn.weight" in key else value for key, value in ours.items()
    }
    back = tool.to_mmpretrain(tool.from_mmpretrain(flipped))
    assert not torch.allclose(logits(flipped), logits(ours), atol=0.1)
    torch.testing.assert_close(logits(back), logits(flipped), atol=1e-5, rtol=1e-5)


def test_two_linear_layers_of_the_open_images_head_become_one(theirs, ours):
    torch.manual_seed(0)
    first, second = torch.nn.Linear(2048, 512), torch.nn.Linear(512, 5)
    heads = {"embedding_generator.0": first, "FC": second}
    body = {key: value for key, value in theirs.items() if key.startswith("body.")}
    head = {f"head.fc.{k}.{n}": v.detach() for k, layer in heads.items() for n, v in layer.named_parameters()}
    found = tool.to_mmpretrain(body | head)
    assert found.keys() == ours.keys()
    features = torch.randn(4, 2048)
    joined = torch.nn.functional.linear(features, found["head.fc.weight"], found["head.fc.bias"])
    torch.testing.assert_close(joined, second(first(features)).detach(), atol=1e-5, rtol=1e-5)


def test_half_precision_and_the_prefix_of_data_parallel_are_undone(theirs, ours):
    halved = tool.to_mmpretrain({f"module.{key}": value.half() for key, value in theirs.items()})
    assert {key: (value.shape, value.dtype) for key, value in halved.items()} == {
        key: (value.shape, value.dtype) for key, value in ours.items()
    }


def convert(source, target, *flags):
    work("convert_asl_checkpoint", parse("convert_asl_checkpoint", [str(source), "--out", str(target), *flags]))


def test_file_is_converted_there_and_back(theirs, ours, tmp_path, capsys):
    names = ["person", "bicycle", "car", "motorcycle", "airplane"]
    torch.save(dict(model=theirs, num_classes=5, idx_to_class=dict(enumerate(names))), tmp_path / "theirs.pth")
    convert(tmp_path / "theirs.pth", tmp_path / "ours.pth")
    printed = capsys.readouterr().out
    for expected in ("tresnet_m, 5 classes, 434 tensors", "person, bicycle", "in_channels=2048", "tools/test.py"):
        assert expected in printed
    found = torch.load(tmp_path / "ours.pth", weights_only=True)
    assert found["meta"]["dataset_meta"]["classes"] == names
    assert_same(found["state_dict"], ours)

    hub = MessageHub("convert")  # MMEngine's checkpoints carry the log of the training
    hub.update_scalar("loss", 1.0)
    torch.save(found | dict(message_hub=hub.state_dict()), tmp_path / "epoch_1.pth")
    convert(tmp_path / "epoch_1.pth", tmp_path / "back.pth", "--reverse")
    back = torch.load(tmp_path / "back.pth", weights_only=True)
    assert (back["num_classes"], back["idx_to_class"]) == (5, dict(enumerate(names)))
    assert back["model"].keys() == theirs.keys()
    assert {path.name for path in tmp_path.iterdir()} == {"theirs.pth", "ours.pth", "epoch_1.pth", "back.pth"}


def small(**tensors):
    return {key.replace("__", "."): torch.zeros(value) for key, value in tensors.items()}


@pytest.mark.parametrize(
    "content, flags, message",
    [
        (b"PK\x03\x04 cut off", [], "src.pth is truncated, or not a checkpoint"),
        (dict(model=[1, 2]), [], "src.pth holds no state dict"),
        (small(conv1__weight=(64, 3, 7, 7)), [], "conv1.weight: (64, 3, 7, 7), in tresnet_m there is none"),
        (small(head__fc__weight=()), ["--reverse"], "not one of tresnet_m, tresnet_l, tresnet_xl, tresnet_v2_l"),
    ],
)
def test_what_is_no_checkpoint_of_a_tresnet_is_refused(content, flags, message, tmp_path):
    if isinstance(content, bytes):
        (tmp_path / "src.pth").write_bytes(content)
    else:
        torch.save(content, tmp_path / "src.pth")
    with pytest.raises(SystemExit, match=r"^error: ") as error:
        convert(tmp_path / "src.pth", tmp_path / "dst.pth", *flags)
    assert message in str(error.value)
    assert not (tmp_path / "dst.pth").exists()


@pytest.mark.parametrize(
    "change, message",
    [
        (small(head__decoder__query=(3, 768)), "head.decoder.query: (3, 768), in tresnet_m there is none"),
        (small(head__fc__bias=(6,)), "head.fc.bias: (6,), in tresnet_m (5,)"),
        (small(head__fc__FC__weight=(5, 512)), "head.fc.FC.weight: (5, 512), in tresnet_m there is none"),
    ],
)
def test_keys_and_shapes_that_are_left_over_are_named(theirs, change, message):
    with pytest.raises(SystemExit) as error:
        tool.to_mmpretrain(theirs | change)
    assert "of the closest, 1 tensors differ" in str(error.value)
    assert message in str(error.value)


def test_missing_key_is_named(theirs):
    with pytest.raises(SystemExit, match=r"body.layer1.0.conv1.bn.bias: not there, in tresnet_m \(64,\)"):
        tool.to_mmpretrain({key: value for key, value in theirs.items() if key != "body.layer1.0.conv1.1.bias"})


def test_wrong_direction_is_refused(theirs, ours):
    with pytest.raises(SystemExit, match=r"backbone.timm_model.body.conv1.conv.weight"):
        tool.to_mmpretrain(ours)
    with pytest.raises(SystemExit, match=r"body.conv1.0.weight"):
        tool.from_mmpretrain(theirs)


def test_folder_that_is_not_there_is_explained(theirs, tmp_path):
    torch.save(theirs, tmp_path / "src.pth")
    with pytest.raises(SystemExit, match="cannot be written"):
        convert(tmp_path / "src.pth", tmp_path / "nowhere" / "dst.pth")
