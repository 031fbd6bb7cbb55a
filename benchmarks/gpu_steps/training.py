"""The loss in training: a step of ATSS, runs on the shapes, a resumed one, and two processes."""

import os
import subprocess
import sys
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import torch

from asl_mmdet.coco.shapes import make_shapes
from asl_mmdet.config.task import set_loss
from asl_mmdet.runs.logs import read_log
from gpu_steps import Rows, Settings
from gpu_steps.timing import median_ms, peak_bytes

ROOT = Path(__file__).parents[2]
FOCAL = dict(type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0)
ASL = dict(type="AsymmetricLoss", use_sigmoid=True, gamma_pos=0.0, gamma_neg=1.0, clip=0.0, alpha=0.25)
LOSSES: dict[str, dict[str, Any]] = {
    "FocalLoss": FOCAL,
    "AsymmetricLoss, eager": dict(ASL, impl="eager"),
    "AsymmetricLoss, compile": dict(ASL, impl="compile"),
}


def step(settings: Settings) -> Rows:
    """Steps of ATSS R-50 on random images with ten boxes each, with initial weights: 8 images of 800 x 1333."""
    from mmdet.utils import register_all_modules
    from mmengine.hub import get_config
    from mmengine.optim import build_optim_wrapper
    from mmengine.registry import MODELS, DefaultScope

    register_all_modules(init_default_scope=False)
    images, height, width = (1, 64, 64) if settings.quick else (8, 800, 1333)
    for precision in ("float32", "autocast"):
        for name, loss in list(LOSSES.items())[: 2 if settings.quick else 3]:
            if settings.quick and precision == "autocast" and loss is FOCAL:
                continue
            cfg = get_config("mmdet::atss/atss_r50_fpn_1x_coco.py")
            cfg.model.backbone.init_cfg = None
            set_loss(cfg, loss)
            torch.manual_seed(0)
            with DefaultScope.overwrite_default_scope("mmdet"):
                model = MODELS.build(cfg.model).to(settings.device).train()
                model.init_weights()
            optimizer = build_optim_wrapper(model, dict(optimizer=dict(type="SGD", lr=1e-4)))
            call = partial(_train_step, model, optimizer, _batch(images, height, width), precision == "autocast")
            row = dict(model="ATSS R-50", images=images, height=height, width=width, precision=precision, loss=name)
            row |= dict(ms="", peak_gb="", error="")
            try:
                ms = median_ms(call, settings.device, 1 if settings.quick else 20, 0 if settings.quick else 5)
                peak = peak_bytes(call, settings.device)
                row |= dict(ms=f"{ms:.2f}", peak_gb="" if peak is None else f"{peak / 1e9:.2f}")
            except RuntimeError as error:
                row["error"] = str(error).splitlines()[0]
            yield row
            del model, optimizer, call
            if settings.device == "cuda":
                torch.cuda.empty_cache()


def _batch(images: int, height: int, width: int) -> dict[str, Any]:
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    generator = torch.Generator().manual_seed(0)
    inputs, samples = [], []
    for i in range(images):
        inputs.append(torch.randint(256, (3, height, width), generator=generator, dtype=torch.uint8))
        corner = torch.rand(10, 2, generator=generator) * torch.tensor([width / 2, height / 2])
        size = 8 + torch.rand(10, 2, generator=generator) * torch.tensor([width / 2 - 8, height / 2 - 8])
        labels = torch.randint(0, 80, (10,), generator=generator)
        meta = dict(img_id=i, img_shape=(height, width), ori_shape=(height, width), scale_factor=(1.0, 1.0))
        sample = DetDataSample(metainfo=meta)
        sample.gt_instances = InstanceData(bboxes=torch.cat([corner, corner + size], 1), labels=labels)
        sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


def _train_step(model: Any, optimizer: Any, batch: dict[str, Any], autocast: bool) -> None:
    data = model.data_preprocessor(deepcopy(batch), True)
    device = next(model.parameters()).device.type
    with torch.autocast(device, torch.bfloat16, enabled=autocast):
        losses = model(**data, mode="loss")
    total, _ = model.parse_losses(losses)
    optimizer.update_params(total)


def _train(settings: Settings, name: str, loss: str, seed: int, epochs: int, *extra: str, processes: int = 1) -> Path:
    """Train the small ATSS; the work directory.

    Raises:
        RuntimeError: With the end of what it said, if it failed.
    """
    images = (4, 2) if settings.quick else (1500, 300)
    data, work_dir = settings.out / f"shapes_{images[0]}", settings.out / "runs" / name
    if not data.is_dir():
        make_shapes(data, num_train=images[0], num_val=images[1])
    config = str(ROOT / f"configs/shapes/atss_r18_{loss}_shapes.py")
    options = [f"{part}_dataloader.dataset.data_root={data}/" for part in ("train", "val", "test")]
    options += [f"{part}_evaluator.ann_file={data}/annotations/val.json" for part in ("val", "test")]
    options += [f"randomness.seed={seed}", f"train_cfg.max_epochs={epochs}", "default_hooks.logger.interval=1"]
    if settings.quick:
        options += ["train_dataloader.num_workers=0", "val_dataloader.num_workers=0", "train_dataloader.batch_size=2"]
    script = [sys.executable, "tools/train.py", config]
    if processes > 1:
        script = ["bash", "tools/dist_train.sh", config, str(processes)]
    command = [*script, "--work-dir", str(work_dir), "--skip-checks", *extra, "--cfg-options", *options]
    env = dict(os.environ, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if settings.device == "cpu":
        env["CUDA_VISIBLE_DEVICES"] = ""
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{(done.stdout + done.stderr)[-3000:]}")
    return work_dir


def shapes(settings: Settings) -> Rows:
    """Box AP of the small ATSS after 6 epochs, three seeds of each loss."""
    for seed in range(1 if settings.quick else 3):
        for loss in ("focal", "asl"):
            if settings.quick and loss == "focal":
                continue
            epochs = 1 if settings.quick else 6
            train, val = read_log(_train(settings, f"{loss}_seed{seed}", loss, seed, epochs))
            ap = list(val.values())[-1].get("coco/bbox_mAP", 0.0)  # COCO's metric logs none where nothing is found
            last = list(train.values())[-1]
            yield dict(loss=loss, seed=seed, epochs=epochs, AP=ap, last_loss=last["loss"], step_seconds=last["time"])


def resume(settings: Settings) -> Rows:
    """A run that is stopped after its first epoch and goes on; and one in two processes where two GPUs are."""
    _train(settings, "resumed", "asl", 0, 1)
    _, val = read_log(_train(settings, "resumed", "asl", 0, 2, "--resume"))
    yield dict(run="resumed", epochs=len(val), passed=sorted(val) == [1, 2], note="")
    if settings.device == "cuda" and torch.cuda.device_count() > 1:
        _, val = read_log(_train(settings, "two_processes", "asl", 0, 1, processes=2))
        yield dict(run="two processes", epochs=len(val), passed=sorted(val) == [1], note="")
    else:
        yield dict(run="two processes", epochs="", passed="", note="needs two GPUs")
