"""What is said where a package is missing, or there twice: never what would break an installation."""

import importlib
import importlib.metadata
import subprocess
import sys

import numpy as np
import pytest
from commands import ROOT
from processes import python_with_torch

from asl_mmdet.compat import mmcv_ops, stack

CLASSIC = {"mmengine": "0.10.7", "mmcv-lite": "2.1.0", "mmdet": "3.3.0"}
MAINTAINED = {"onedl-mmengine": "0.10.12", "onedl-mmcv": "2.3.6", "onedl-mmdetection": "3.5.1"}


@pytest.fixture
def installed(monkeypatch):
    """What pip has installed, as a dictionary to change."""
    versions = {}

    def version(name):
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(stack, "version", version)
    return versions


def test_missing_package_is_named_for_the_line_that_is_there(installed):
    assert "pip install 'asl-mmdet[full]'" in stack.how_to_install(["mmengine", "mmcv", "mmdet"])
    installed |= {name: CLASSIC[name] for name in ("mmengine", "mmcv-lite")}
    hint = stack.how_to_install(["mmdet"])
    assert "pip install mmdet==3.3.0 'numpy<2' 'opencv-python<4.12' 'setuptools<81'" in hint and "onedl" not in hint
    installed.clear()
    installed |= MAINTAINED
    assert stack.how_to_install(["mmpretrain"]) == "Install it beside what you have: `pip install onedl-mmpretrain`"


def test_two_distributions_of_one_package_are_found(installed):
    installed |= MAINTAINED
    assert stack.clashes() == []
    installed["mmdet"] = "3.3.0"
    assert stack.clashes() == ["mmdet comes from mmdet and onedl-mmdetection"]


@pytest.mark.parametrize(
    "mmcv, commands",
    [
        (
            ("mmcv-lite", "2.1.0"),
            ["pip uninstall -y mmcv-lite && mim install mmcv==2.1.0", "-cache-dir mmcv==2.1.0`"],
        ),
        (("mmcv", "2.1.0"), ["`mim install mmcv==2.1.0`", "-cache-dir mmcv==2.1.0`"]),
        (("onedl-mmcv", "2.3.6"), ["-cache-dir onedl-mmcv`"]),
    ],
)
def test_compiled_ops_are_offered_for_the_mmcv_that_is_there(installed, mmcv, commands):
    installed |= [mmcv]
    hint = mmcv_ops.how_to_get_ops()
    assert all(command in hint for command in commands)
    assert ("mim" in hint) == (len(commands) == 2)


def test_import_into_an_empty_environment_says_what_to_install():
    command = [sys.executable, "-S", "-c", "import asl_mmdet"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ImportError: asl_mmdet is a plugin for MMDetection 3.x, and mmengine, mmcv, mmdet cannot be" in done.stderr
    assert "pip install 'asl-mmdet[full]'" in done.stderr


WITH_TORCH_ALONE = """
import sys
sys.modules.update(dict.fromkeys(("mmengine", "mmcv", "mmdet")))
import asl_mmdet.losses.functional, asl_mmdet.losses.presets, asl_mmdet.losses.probability, torch
from asl_mmdet.losses import asymmetric_loss, asymmetric_softmax_loss
assert asymmetric_loss is asl_mmdet.losses.functional.asymmetric_loss
asymmetric_loss(torch.zeros(2, 3), torch.tensor([0, 3]), gamma_pos=0, gamma_neg=1, clip=0)
assert not any(sys.modules.get(name) for name in ("mmengine", "mmcv", "mmdet", "mmpretrain"))
assert not hasattr(asl_mmdet.losses, "no_such_loss")
from asl_mmdet.losses import AdaptiveAsymmetricLoss
"""


def test_with_torch_alone_the_functions_work_and_a_class_says_what_to_install():
    done = python_with_torch(WITH_TORCH_ALONE)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: asl_mmdet.losses.AdaptiveAsymmetricLoss is a module for MMDetection 3.x, and ")
    assert "mmengine, mmcv, mmdet cannot be found here" in last


PART = """
import sys
sys.modules.update(dict.fromkeys({missing}))
import asl_mmdet.losses.functional, torch
from asl_mmdet.losses import asymmetric_loss
asymmetric_loss(torch.zeros(2, 3), torch.tensor([0, 3]), gamma_pos=0, gamma_neg=1, clip=0)
from asl_mmdet.losses import AsymmetricLoss
"""


@pytest.mark.parametrize("present", [("mmengine",), ("mmcv",), ("mmdet",), ("mmengine", "mmcv"), ("mmcv", "mmdet")])
def test_beside_a_part_of_the_stack_the_functions_work_and_nothing_is_registered_with_a_word(present):
    missing = [name for name in ("mmengine", "mmcv", "mmdet") if name not in present]
    done = python_with_torch(PART.format(missing=missing))
    assert done.returncode == 1
    found = f"MMDetection 3.x, and {', '.join(missing)} cannot be found here. Install it beside what you have: `pip"
    warning, *_, error = [line for line in done.stderr.splitlines() if "cannot be found here" in line]
    assert "UserWarning: asl_mmdet registers nothing here" in warning and found in warning
    assert "ImportError: asl_mmdet.losses.AsymmetricLoss is a module for" in error and found in error
    assert "[full]" not in done.stderr


def test_multilabel_without_mmpretrain_does_not_offer_the_whole_stack(monkeypatch):
    monkeypatch.setitem(sys.modules, "mmpretrain", None)
    monkeypatch.delitem(sys.modules, "asl_mmdet.multilabel", raising=False)
    with pytest.raises(ImportError, match=r"mmpretrain cannot be found here\. Install it beside .*: `pip") as error:
        importlib.import_module("asl_mmdet.multilabel")
    assert "[full]" not in str(error.value)


def test_open_images_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    """That the other data sets do not need it is seen in test_without_unix.py."""
    multilabel = pytest.importorskip("asl_mmdet.multilabel")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "asl_mmdet.multilabel.open_images_csv", raising=False)
    pyarrow = "'pyarrow<21'" if np.__version__ < "2" else "pyarrow"
    with pytest.raises(ImportError, match=f"OpenImages reads its files by pyarrow .*`pip install {pyarrow}`"):
        multilabel.OpenImages(str(tmp_path / "labels.csv"), str(tmp_path / "classes.csv"))
