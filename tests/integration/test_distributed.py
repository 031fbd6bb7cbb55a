"""Two processes (gloo, on the CPU) against one with the joined batch, and the scripts that launch them."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from commands import NO_WORKERS
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from processes import Started, stop_servers
from torch import nn

from asl_mmdet.cli.common import end_processes
from asl_mmdet.coco.shapes import make_shapes

pytest.importorskip("mmpretrain")

from mmpretrain.structures import DataSample
from mmpretrain.utils import register_all_modules as mmpretrain_modules

ROOT = Path(__file__).parents[2]
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


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return str(sock.getsockname()[1])


def launch(script, *args, path=Path(sys.executable).parent):
    """The command of a launch script on two processes, and its variables."""
    env = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}", "MASTER_PORT": free_port(), "OMP_NUM_THREADS": "1"}
    return dict(args=["bash", str(ROOT / "tools" / script), *map(str, args)], cwd=ROOT, env=env, text=True)


def start(script, *args, rank, of, port):
    """What ``torchrun`` starts, but forked."""
    env = dict(RANK=rank, LOCAL_RANK=rank, WORLD_SIZE=of, MASTER_ADDR="127.0.0.1", MASTER_PORT=port, OMP_NUM_THREADS=1)
    return Started(script, *args, "--launcher", "pytorch", **{name: str(value) for name, value in env.items()})


def test_launch_script_of_the_evaluation_starts_it_as_that_of_the_training_does(tmp_path):
    (tmp_path / "torchrun").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "torchrun").chmod(0o755)
    train, test = (
        subprocess.run(**launch(script, *args, "--x", path=tmp_path), capture_output=True, check=True).stdout.split()
        for script, *args in (("dist_train.sh", "CONFIG", 2), ("dist_test.sh", "CONFIG", "CHECKPOINT", 2))
    )
    assert [word for word in train[:5] if "port" not in word] == [word for word in test[:5] if "port" not in word]
    assert train[5:] == [f"{ROOT}/tools/train.py", "CONFIG", "--launcher", "pytorch", "--x"]
    assert test[5:] == [f"{ROOT}/tools/test.py", "CONFIG", "CHECKPOINT", "--launcher", "pytorch", "--x"]


def test_launch_script_trains_and_dies_and_the_run_is_resumed_and_evaluated(tmp_path):
    """Two processes: the death of one ends the run, which resumes; its checkpoint is evaluated."""
    stop_servers()  # beside these processes there is no memory for them
    data = make_shapes(tmp_path / "shapes", num_train=16, num_val=8)
    roots = [f"{split}_dataloader.dataset.data_root={data}/" for split in ("train", "val", "test")]
    files = [f"{split}_evaluator.ann_file={data}/annotations/val.json" for split in ("val", "test")]
    options = ["--cfg-options", *roots, *files, "train_cfg.max_epochs=2", "default_hooks.logger.interval=1"]
    options += ["train_dataloader.batch_size=4", *(f"{key}={value}" for key, value in NO_WORKERS.items())]
    config, work_dir = CONFIGS["atss_r18_adaptive"], tmp_path / "work"
    train = [config, "2", "--work-dir", work_dir]
    with (tmp_path / "errors").open("w") as errors:
        process = subprocess.Popen(**launch("dist_train.sh", *train, *options), stdout=subprocess.PIPE, stderr=errors)
        for line in process.stdout:
            if "Epoch(train) [2][1/" in line or "Epoch(train)   [2][1/" in line:
                break
        listed = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        children = [int(pid) for pid in listed.read_text(encoding="utf-8").split()]
        assert len(children) >= 2
        os.kill(children[-1], signal.SIGKILL)
        killed = time.time()
        process.stdout.read()
        assert process.wait(timeout=60) != 0
    assert time.time() - killed < 60
    assert "SIGKILL" in (tmp_path / "errors").read_text() or "exitcode: -9" in (tmp_path / "errors").read_text()
    again, port = [config, "--work-dir", work_dir, "--resume", *options], free_port()
    started = [start("tools/train.py", *again, rank=rank, of=2, port=port) for rank in (0, 1)]
    done, other = (process.finish() for process in started)
    assert done.returncode == other.returncode == 0, done.stderr[-3000:] + other.stderr[-3000:]
    assert "resuming from" in done.stderr and (work_dir / "epoch_2.pth").exists()
    assert "Epoch(val) [2][1/1]" in done.stdout and "GPU number: 2" in done.stdout
    test = [config, work_dir / "epoch_2.pth", "--work-dir", work_dir, *options]
    done = start("tools/test.py", *test, rank=0, of=1, port=free_port()).finish()
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Epoch(test) [1/1]" in done.stdout
    assert "Distributed launcher: pytorch" in done.stdout
    assert "GPU number: 1" in done.stdout  # the number of processes, as MMEngine calls it
