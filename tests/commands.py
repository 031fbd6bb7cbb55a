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
