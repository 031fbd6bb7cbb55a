"""FastMobileNetV2 against MMDetection's MobileNetV2: outputs, gradients, weights that change, and whole trainings."""

import copy
import pickle

import pytest
import torch
from mmdet.models.backbones import MobileNetV2
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from asl_mmdet.compat.checkpoints import load_checkpoint
from asl_mmdet.mobilenet import FastMobileNetV2

CONFIG = dict(out_indices=(2, 4, 6), frozen_stages=2, norm_eval=True, widen_factor=0.5)
CLOSE = dict(rtol=1e-4, atol=1e-4)


def images(number=2, height=64, width=96, seed=0):
    return torch.randn(number, 3, height, width, generator=torch.Generator().manual_seed(seed))


def mobilenet(kind, seed=0, **kwargs):
    """A backbone in training whose BatchNorm scales and shifts, as that of a trained one does."""
    torch.manual_seed(seed)
    backbone = kind(**{**CONFIG, **kwargs})
    for module in backbone.modules():
        if isinstance(module, _BatchNorm):
            for tensor, low, high in (
                (module.weight, 0.8, 1.5),
                (module.bias, -0.3, 0.3),
                (module.running_mean, -0.3, 0.3),
                (module.running_var, 0.5, 1.5),
            ):
                nn.init.uniform_(tensor, low, high)
    backbone.train()
    return backbone


def both(**kwargs):
    return mobilenet(MobileNetV2, **kwargs), mobilenet(FastMobileNetV2, **kwargs)


def outputs_and_gradients(backbone, x):
    maps = backbone(x)
    generator = torch.Generator().manual_seed(7)
    loss = sum((map * torch.randn(map.shape, generator=generator).to(map)).sum() for map in maps)
    if loss.requires_grad:
        loss.backward()
    grads = {name: p.grad for name, p in backbone.named_parameters() if p.grad is not None}
    return [map.detach() for map in maps], grads


def relative_error(found, exact):
    """Of all tensors together: rounding flips a ReLU6 here and there, and with it some gradients."""
    off = sum(float((found[name].double() - exact[name].double()).square().sum()) for name in exact)
    return (off / sum(float(tensor.double().square().sum()) for tensor in exact.values())) ** 0.5


def assert_as_exact(found, expected, exact):
    """As close to float64 as the expected tensors in float32 are."""
    assert found.keys() == expected.keys() == exact.keys()
    if exact:
        assert relative_error(found, exact) < 3 * relative_error(expected, exact) + 1e-6


@pytest.mark.parametrize(
    "kwargs",
    [
        dict(frozen_stages=-1),
        dict(frozen_stages=0),
        dict(),
        dict(frozen_stages=5, out_indices=(0, 3)),
        dict(out_indices=(7,)),
        dict(frozen_stages=-1, norm_eval=False),
    ],
    ids=str,
)
def test_outputs_and_gradients_are_those_of_mobilenet(kwargs):
    plain, fast = both(**kwargs)
    exact = copy.deepcopy(plain).double()
    expected, grads = outputs_and_gradients(plain, images())
    found, fast_grads = outputs_and_gradients(fast, images())
    maps, exact_grads = outputs_and_gradients(exact, images().double())
    assert_as_exact(*(dict(enumerate(maps)) for maps in (found, expected, maps)))
    assert_as_exact(fast_grads, grads, exact_grads)
    assert_as_exact(fast.state_dict(), plain.state_dict(), exact.state_dict())  # BatchNorm's statistics, if they move


def test_all_frozen_layers_have_no_gradient():
    plain, fast = both(frozen_stages=7)
    for backbone in (plain, fast):
        assert not any(map.requires_grad for map in backbone(images()))
    torch.testing.assert_close(fast(images()), plain(images()), **CLOSE)


def test_evaluation_and_images_of_other_sizes_give_the_same():
    plain, fast = both()
    for x in (images(), images(3, 128, 64), images(1, 70, 90), images()):
        for train in (True, False):
            plain.train(train)
            fast.train(train)
            with torch.inference_mode(not train):
                torch.testing.assert_close(fast(x), plain(x), **CLOSE)


def test_training_after_inference_mode_has_gradients():
    plain, fast = both()
    with torch.inference_mode():
        fast(images())
    expected, found = (outputs_and_gradients(backbone, images()) for backbone in (plain, fast))
    torch.testing.assert_close(found[0], expected[0], **CLOSE)
    assert relative_error(found[1], expected[1]) < 1e-2


def test_frozen_layers_are_one_graph_that_is_made_once(monkeypatch):
    made = []
    trace = torch.jit.trace
    monkeypatch.setattr(torch.jit, "trace", lambda *args, **kwargs: made.append(1) or trace(*args, **kwargs))
    fast = mobilenet(FastMobileNetV2)
    for seed in range(3):
        fast(images(seed=seed))
    assert made == [1]


def test_hook_on_a_frozen_layer_is_called():
    plain, fast = both()
    called = []
    handle = fast.layer2.register_forward_hook(lambda *_: called.append(2))
    torch.testing.assert_close(fast(images()), plain(images()), **CLOSE)
    assert called == [2]
    handle.remove()
    torch.testing.assert_close(fast(images()), plain(images()), **CLOSE)


@pytest.mark.parametrize(
    "write",
    [
        lambda fast, other: fast.load_state_dict(other.state_dict()),
        lambda fast, other: fast.load_state_dict(copy.deepcopy(other.state_dict()), assign=True),
        lambda fast, other: [a.data.copy_(b) for a, b in zip(tensors(fast), tensors(other), strict=True)],
        lambda fast, other: [setattr(a, "data", b.clone()) for a, b in zip(tensors(fast), tensors(other), strict=True)],
    ],
    ids=["load_state_dict", "assign", "data.copy_", "data"],
)
def test_new_weights_count_from_the_next_call(write):
    other, fast = mobilenet(MobileNetV2, seed=1), mobilenet(FastMobileNetV2)
    fast(images())
    write(fast, other)
    torch.testing.assert_close(fast(images()), other(images()), **CLOSE)


def tensors(module):
    return [*module.parameters(), *module.buffers()]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_copy_has_weights_of_its_own(copied):
    other, fast = mobilenet(MobileNetV2, seed=1), mobilenet(FastMobileNetV2)
    before = fast(images())
    twin = copied(fast)
    twin.load_state_dict(other.state_dict())
    torch.testing.assert_close(twin(images()), other(images()), **CLOSE)
    torch.testing.assert_close(fast(images()), before, **CLOSE)


def test_layers_that_are_thawed_get_a_gradient():
    plain, fast = both()
    for backbone in (plain, fast):
        backbone(images())
        backbone.layer2.requires_grad_()
    assert fast.state_dict().keys() == plain.state_dict().keys()
    (_, expected), (_, found) = (outputs_and_gradients(backbone, images()) for backbone in (plain, fast))
    assert any(name.startswith("layer2") for name in found)
    assert found.keys() == expected.keys()
    assert relative_error(found, expected) < 1e-2


@pytest.mark.parametrize("kwargs", [dict(), dict(out_indices=(7,)), dict(frozen_stages=-1)], ids=str)
def test_a_new_backbone_asks_for_those_gradients_that_it_gets(kwargs):
    """DistributedDataParallel waits for every weight that asks, and looks before the first call of train()."""
    backbone = FastMobileNetV2(**{**CONFIG, **kwargs})
    asked = {name for name, weight in backbone.named_parameters() if weight.requires_grad}
    backbone.train()
    assert outputs_and_gradients(backbone, images())[1].keys() == asked


def test_without_torch_jit_a_warning_says_so_once_and_the_outputs_are_the_same(monkeypatch, recwarn):
    def broken(*args, **kwargs):
        raise RuntimeError("no tracing here")

    monkeypatch.setattr(torch.jit, "trace", broken)
    plain, fast = both()
    for _ in range(2):
        torch.testing.assert_close(fast(images()), plain(images()), **CLOSE)
    messages = [str(warning.message) for warning in recwarn if "one by one" in str(warning.message)]
    assert len(messages) == 1 and "RuntimeError('no tracing here')" in messages[0]


def of_images(backbone):
    x = images().requires_grad_()
    backbone(x)[-1].sum().backward()
    return x.grad


def in_bfloat16(backbone):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return backbone(images())


def traced(backbone):
    backbone.eval()
    return torch.jit.trace(backbone, images(), check_trace=False)(images(1))


@pytest.mark.parametrize(
    "call",
    [
        of_images,
        in_bfloat16,
        lambda backbone: backbone.double()(images().double()),
        traced,
    ],
    ids=["gradient of the images", "bfloat16", "float64", "traced"],
)
def test_elsewhere_it_is_mobilenet_to_the_last_bit(call):
    plain, fast = both()
    fast(images())  # on its own way before
    torch.testing.assert_close(call(fast), call(plain), rtol=0, atol=0)


def test_recomputing_layers_is_mobilenet_to_the_last_bit():
    plain, fast = both(with_cp=True)
    torch.testing.assert_close(fast(images()), plain(images()), rtol=0, atol=0)


class Toy(BaseModel):
    """A backbone and one number an image."""

    def __init__(self, kind):
        super().__init__()
        self.backbone = mobilenet(kind)
        self.head = nn.Linear(160, 1)
        nn.init.constant_(self.head.weight, 0.1)

    def forward(self, inputs, mode="tensor"):
        score = self.head(self.backbone(torch.stack(inputs))[-1].mean((2, 3)))
        return dict(loss=(score - 1).square().mean()) if mode == "loss" else score


def train(kind, work_dir, epochs, resume=False):
    torch.manual_seed(0)
    data = [dict(inputs=images(1, seed=seed)[0]) for seed in range(6)]
    runner = Runner(
        model=Toy(kind),
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=2, dataset=data, sampler=dict(type="DefaultSampler", shuffle=False), num_workers=0
        ),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=1e-3, momentum=0.9)),
        custom_hooks=[dict(type="EMAHook", momentum=0.1)],
        default_hooks=dict(logger=None, checkpoint=dict(type="CheckpointHook", interval=1)),
        resume=resume,
        experiment_name=f"{work_dir.name}{epochs}{resume}",
        default_scope="mmengine",
        randomness=dict(seed=0),
    )
    try:
        runner.train()
    finally:
        runner.visualizer.close()
    return load_checkpoint(str(work_dir / f"epoch_{epochs}.pth"))


@pytest.mark.slow
def test_trainings_with_an_average_of_the_weights_write_the_same_checkpoint_and_resume_each_others(tmp_path):
    expected = train(MobileNetV2, tmp_path / "plain", 2)
    found = train(FastMobileNetV2, tmp_path / "fast", 2)
    for key in ("state_dict", "ema_state_dict"):
        assert list(found[key]) == list(expected[key])
        torch.testing.assert_close(found[key], expected[key], **CLOSE)

    train(FastMobileNetV2, tmp_path / "half", 1)
    resumed = train(MobileNetV2, tmp_path / "half", 2, resume=True)
    torch.testing.assert_close(resumed["state_dict"], expected["state_dict"], **CLOSE)
