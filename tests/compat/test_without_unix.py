"""What Windows lacks is not needed for training, the loss, the audit and thresholds: its modules are blocked here."""

import pytest
from commands import NO_WORKERS, ROOT, as_arguments, options_of
from processes import python_with_torch

from asl_mmdet.coco.shapes import make_shapes

BLOCKED = """
import sys
sys.modules.update(dict.fromkeys(("fcntl", "grp", "pwd", "resource", "termios")))
import os, signal
for module, name in ((os, "killpg"), (os, "getpgid"), (signal, "SIGHUP"), (signal, "SIGKILL")):
    if hasattr(module, name):
        delattr(module, name)
"""


MODULES = """
import importlib, pkgutil
sys.modules["pyarrow"] = None  # only OpenImages needs it, and not when it is imported
import asl_mmdet.multilabel
del sys.modules["pyarrow"]
for module in pkgutil.walk_packages(asl_mmdet.__path__, "asl_mmdet."):
    importlib.import_module(module.name)
from pathlib import Path
from asl_mmdet.runs.processes import Processes
from asl_mmdet.hooks.peak_memory import resident_mb
from asl_mmdet.runs.locks import locked, signals_end_the_program
with locked(Path("folder")) as lock, signals_end_the_program():
    processes = Processes(lock)
    assert processes.run([sys.executable, "-c", "print('said')"], Path("log")) == 0
    processes.stop()
assert Path("log").read_text().strip() == "said"
"""


@pytest.mark.slow
@pytest.mark.every_stack
def test_every_module_is_imported_and_training_audit_and_thresholds_run(tmp_path):
    root = make_shapes(tmp_path / "shapes", num_train=4, num_val=6)
    short = {"train_cfg.max_epochs": 1, "model.test_cfg.score_thr": 0.0}
    config = "config.py"
    base = f"_base_ = '{ROOT}/configs/shapes/atss_r18_asl_shapes.py'\n"
    (tmp_path / config).write_text(f"{base}custom_hooks = [dict(type='PeakMemoryHook')]\n", encoding="utf-8")
    code = f"""
from asl_mmdet_cli import run
import asl_mmdet, mmdet.models, platform
platform.system = lambda: "Windows"  # MMEngine asks before it imports resource
options = {as_arguments(options_of(root, **NO_WORKERS, **short))!r}
run("train", [{config!r}, "--work-dir", "work", *options])
checkpoint = "work/epoch_1.pth"
run("test", [{config!r}, checkpoint, "--work-dir", "work", *options])
run("audit_labels", [{config!r}, checkpoint, "--out", "audit", "--score-thr", "0", *options])
try:
    run("tune_thresholds", [{config!r}, checkpoint, "--out", "thresholds", "--folds", "2", *options])
except SystemExit as end:
    assert "none of the" in str(end), end  # of so little training no score is right
"""
    done = python_with_torch(BLOCKED + MODULES + code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "audit/findings.json").is_file() and (tmp_path / "work/peak_memory.json").is_file()
    assert (tmp_path / "thresholds/predictions.pkl").is_file()
