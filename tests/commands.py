"""The commands, called in this process: one more that imports PyTorch and MMDetection takes seconds and 500 MB."""

import os
import subprocess
import traceback
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest import mock

from asl_mmdet_cli import parse, work

ROOT = Path(__file__).parents[1]
# Options for a training whose test is not about its loaders: each of their processes takes up to 0.8 GB.
NO_WORKERS = {
    f"{split}_dataloader.{key}": value
    for split in ("train", "val", "test")
    for key, value in (("num_workers", 0), ("persistent_workers", False))
}

# A plan of the benchmark.
PLAN = """
_asl = dict(type="mmdet.AsymmetricLoss", use_sigmoid=True, alpha=None)
configs = dict(classifier="configs/shapes/classifier_r18_bce_shapes.py")
losses = dict(bce=None, asl=_asl)
baseline = "bce"
seeds = (0, 1)
"""


def options_of(data, boxes=True, **more):
    """The options by which a config in configs/shapes, of a detector or not, reads a folder of ``make_shapes``."""
    options = {f"{split}_dataloader.dataset.data_root": f"{data}/" for split in ("train", "val", "test")}
    if boxes:
        options |= {f"{split}_evaluator.ann_file": f"{data}/annotations/val.json" for split in ("val", "test")}
    return options | more


def as_arguments(options):
    return ["--cfg-options", *(f"{key}={value}" for key, value in options.items())]


def config_of(data, name="atss_r18_asl", **more):
    """A config in configs/shapes that reads a folder of ``make_shapes``."""
    from mmengine.config import Config

    cfg = Config.fromfile(ROOT / f"configs/shapes/{name}_shapes.py")
    cfg.merge_from_dict(options_of(data, **more))
    return cfg


def save_random(cfg, path, change=None):
    """Write a checkpoint of random weights, which ``change`` alters in place of those of ``init_weights``."""
    import torch
    from mmengine.registry import MODELS, DefaultScope

    from asl_mmdet.coco.shapes import class_names

    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
        change(model) if change else model.init_weights()
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=class_names(24)))), path)
    return path


def call(tool, *args):
    """What ``python tools/<tool>.py`` does from the checkout's folder, and what a process would leave of it."""
    forget_runs()
    out, err, before = StringIO(), StringIO(), Path.cwd()
    code = 0
    try:
        os.chdir(ROOT)
        with mock.patch.dict(os.environ), redirect_stdout(out), redirect_stderr(err):
            work(tool, parse(tool, [str(arg) for arg in args]))
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if isinstance(stop.code, str):
            err.write(stop.code + "\n")
    except Exception:
        code = 1
        err.write(traceback.format_exc())
    finally:
        os.chdir(before)
    return subprocess.CompletedProcess([tool, *args], code, out.getvalue(), err.getvalue())


def forget_runs():
    """MMEngine keeps a run's logger and visualizer by its name, which two runs of a second share."""
    from mmengine.logging import MMLogger
    from mmengine.visualization import Visualizer

    for kept in (MMLogger, *Visualizer.__subclasses__()):
        kept._instance_dict.clear()


def message_of(tool, *args):
    """What a command says that must fail with a message and no stack trace."""
    done = call(tool, *args)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    assert "error:" in done.stderr
    return done.stderr
