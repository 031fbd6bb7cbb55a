"""A copy of the repository: what is built there, and its folders used without installing them."""

import re
import shutil
import subprocess
import sys
import zipfile

import pytest
from commands import ROOT
from processes import python_with_torch

LOSS = """
import sys
sys.path.insert(0, "projects/asl_mmdet")
from pathlib import Path
from mmengine.config import Config
cfg = Config.fromfile("projects/asl_mmdet/configs/atss_r50_asl.py")  # imports asl_mmdet, which its bases need
import asl_mmdet
assert Path(asl_mmdet.__file__).is_relative_to(Path("projects/asl_mmdet").resolve()), asl_mmdet.__file__
from mmdet.registry import MODELS
print(type(MODELS.build(cfg.model.bbox_head.loss_cls)).__module__)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With a copy in a place of MMDetection's ``projects/``, on the path and not installed, and its distributions."""
    folder = tmp_path_factory.mktemp("distributions")
    copy = folder / "projects/asl_mmdet"
    ignored = shutil.ignore_patterns("__pycache__", ".*", "data", "work_dirs", "build", "dist", "*.egg-info", "*.jpg")
    shutil.copytree(ROOT, copy, ignore=ignored)
    built = ["-d", str(folder)]
    command = [sys.executable, "setup.py", "-q", "sdist", *built, "bdist_wheel", *built]
    subprocess.run(command, cwd=copy, check=True, capture_output=True)
    return folder


def test_config_of_the_copy_finds_the_loss_of_that_copy(folder):
    done = python_with_torch(LOSS, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["asl_mmdet.losses.asymmetric"]


@pytest.mark.skipif(not (ROOT / "experiments").is_dir(), reason="a source distribution has no experiments/")
def test_the_source_distribution_has_the_rows_and_leaves_the_experiments_out(folder):
    (archive,) = folder.glob("*.tar.gz")
    shutil.unpack_archive(archive, folder / "out")
    names = {path.relative_to(folder / "out").as_posix().partition("/")[2] for path in (folder / "out").rglob("*")}
    assert {"benchmarks/runs.csv", "benchmarks/plans/coco_folder.py", "tests/unit/test_rows.py"} <= names
    assert not any(name.startswith("experiments") for name in names)


def test_wheel_has_configs_and_tools_and_requires_no_distribution(folder):
    with zipfile.ZipFile(next(folder.glob("asl_mmdet-*.whl"))) as wheel:
        names = wheel.namelist()
        metadata, scripts = (
            wheel.read(next(name for name in names if name.endswith(end))).decode()
            for end in ("METADATA", "entry_points.txt")
        )
    assert "asl-mmdet = asl_mmdet_cli:main" in scripts and "asl_mmdet_cli/train.py" in names
    wanted = "configs/atss_r50_asl.py", "configs/_base_/shapes_detection.py", "tools/train.py", "tools/dist_test.sh"
    assert {f"asl_mmdet/.mim/{path}" for path in wanted} <= set(names)
    requirements = re.findall("^Requires-Dist: (.*)$", metadata, re.MULTILINE)
    assert any("onedl-mmdetection" in requirement for requirement in requirements)
    assert all("extra ==" in requirement for requirement in requirements)
