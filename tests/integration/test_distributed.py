"""Two processes (gloo, on the CPU) against one with the joined batch."""

import pytest
import torch
from commands import ROOT
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from torch import nn

from asl_mmdet.cli.common import end_processes

pytest.importorskip("mmpretrain")

from mmpretrain.structures import DataSample
from mmpretrain.utils import register_all_modules as mmpretrain_modules

CONFIGS = {
    name: f"{ROOT}/configs/shapes/{name}_shapes.py"
    for name in ("atss_r18_adaptive", "fcos_r18_asl", "classifier_r18_adaptive")
}

BATCHES = {"both": (3, 1), "one without": (4, 0), "none": (0, 0)}  # objects of its two images

pytestmark = pytest.mark.slow


def batch_of(name, cfg, objects):
    """Two images with so many objects each."""
    torch.manual_seed(1)
    if name.startswith("classifier"):
        samples = [
            DataSample().set_gt_score((torch.rand(24) < 0.2).float() * (number > 0)).set_gt_label([])
            for number in objects
        ]
        return dict(inputs=[torch.randint(0, 255, (3, 64, 64)) for _ in objects], data_samples=samples)
    return demo_mm_inputs(2, [[3, 128, 128]] * 2, num_items=list(objects), num_classes=cfg.model.bbox_head.num_classes)


def gradients(rank, world_size, folder, name):
    """Write the gradients and gamma- after one step on this process's part of each batch."""
    (mmpretrain_modules if name.startswith("classifier") else register_all_modules)()
    if world_size > 1:
        torch.distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=world_size)
    torch.set_num_threads(1)
    cfg = Config.fromfile(CONFIGS[name])
    cfg.model.backbone.init_cfg = None
    found = {batch: gradients_of(cfg, name, objects, rank, world_size) for batch, objects in BATCHES.items()}
    torch.save(found, f"{folder}/{world_size}_{rank}.pth")
    end_processes()


def gradients_of(cfg, name, objects, rank, world_size):
    torch.manual_seed(0)
    model = MODELS.build(dict(cfg.model, type=f"{cfg.default_scope}.{cfg.model.type}"))
    model.train()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()  # its statistics are those of one process
    wrapped = MMDistributedDataParallel(model, find_unused_parameters=True) if world_size > 1 else model
    data = batch_of(name, cfg, objects)
    part = slice(rank, rank + 1) if world_size > 1 else slice(0, 2)
    data = model.data_preprocessor({key: value[part] for key, value in data.items()}, training=True)
    loss, _ = model.parse_losses(wrapped(**data, mode="loss"))
    loss.backward()
    adaptive = [module for module in model.modules() if hasattr(module, "gamma_neg") and hasattr(module, "step")]
    for module in adaptive:
        module.step()
    found = {key: parameter.grad for key, parameter in model.named_parameters() if parameter.grad is not None}
    gammas = [module.gamma_neg.clone() for module in adaptive]
    return dict(grad=found, gamma=gammas, loss=loss.detach())


@pytest.fixture(scope="module", params=CONFIGS)
def results(request, tmp_path_factory):
    """The config's name, and what two processes and one have found; each is started once for all batches."""
    name, folder = request.param, tmp_path_factory.mktemp("gradients")
    torch.multiprocessing.start_processes(gradients, (2, folder, name), nprocs=2, start_method="forkserver")
    gradients(0, 1, folder, name)
    return name, *(torch.load(folder / f"{part}.pth") for part in ("2_0", "2_1", "1_0"))


@pytest.mark.parametrize("batch", BATCHES)
def test_gradients_and_gamma_equal_those_of_the_joined_batch(results, batch):
    name, first, second, one = results[0], *(result[batch] for result in results[1:])
    torch.testing.assert_close(first["grad"], second["grad"], rtol=0, atol=0)
    torch.testing.assert_close(first["gamma"], second["gamma"], rtol=0, atol=0)
    assert all(grad.isfinite().all() for grad in first["grad"].values())
    torch.testing.assert_close(first["gamma"], one["gamma"], rtol=1e-5, atol=1e-6)
    if batch == "none" and name.startswith("fcos"):
        return  # the head divides by max(positives, 1) in every process
    assert one["grad"].keys() == first["grad"].keys() or batch == "none"
    largest = max(float(grad.abs().max()) for grad in one["grad"].values())
    assert largest > 0
    for key, grad in one["grad"].items():
        torch.testing.assert_close(first["grad"][key], grad, rtol=1e-3, atol=1e-4 * largest)
