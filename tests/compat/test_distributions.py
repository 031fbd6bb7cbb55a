"""A copy of the folders, in a place of MMDetection's ``projects/``, on the path and not installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = """
from pathlib import Path
from mmengine.config import Config
cfg = Config.fromfile("projects/asl_mmdet/configs/atss_r50_asl.py")  # imports asl_mmdet, which its bases need
import asl_mmdet
assert Path(asl_mmdet.__file__).is_relative_to(Path("projects/asl_mmdet").resolve()), asl_mmdet.__file__
from mmdet.registry import MODELS
print(type(MODELS.build(cfg.model.bbox_head.loss_cls)).__module__)
"""


def test_config_of_a_copy_in_projects_finds_the_loss_of_that_copy(tmp_path):
    copy = tmp_path / "projects" / "asl_mmdet"
    for folder in ("asl_mmdet", "configs"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    env = {**os.environ, "PYTHONPATH": "projects/asl_mmdet"}
    command = [sys.executable, "-c", BUILD]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["asl_mmdet.losses.asymmetric"]
