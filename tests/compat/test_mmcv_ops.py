import json
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest
import torch
from mmcv_ops_cases import CASES, GOLDEN
from processes import python_with_torch

from asl_mmdet.compat import mmcv_ops


@pytest.mark.parametrize("name", CASES)
def test_ops_and_gradients_equal_those_of_compiled_mmcv(name):
    golden = json.loads(GOLDEN.read_text())[name]
    results = CASES[name]()
    assert len(results) == len(golden)
    for result, expected in zip(results, golden, strict=True):
        torch.testing.assert_close(
            result.detach().flatten(), torch.tensor(expected, dtype=result.dtype), rtol=1e-4, atol=1e-4
        )


@pytest.mark.skipif(not mmcv_ops.install_fallback(), reason="mmcv has its own compiled ops here")
def test_op_without_fallback_raises_when_called_and_names_itself_and_the_way_out():
    from mmcv.ops import roi_align, soft_nms

    with pytest.raises(NotImplementedError, match=r"'softnms'.*MMCV_WITH_OPS=1 pip install .*mmcv"):
        soft_nms(torch.zeros(1, 4), torch.zeros(1))
    with pytest.raises(NotImplementedError, match="pool_mode='max'"):
        roi_align(torch.zeros(1, 1, 4, 4), torch.zeros(1, 5), 2, 1.0, 0, "max", True)


REGISTER = "from mmdet.utils import register_all_modules; register_all_modules()"
NMS = "import torch; from mmcv.ops import nms; print(len(nms(torch.ones(3, 4), torch.ones(3), 0.5)[1]))"


@pytest.mark.parametrize(
    "first",
    [
        "import mmcv, mmdet.registry, mmdet.utils; import asl_mmdet",
        # The user who found that mmdet does not import, and goes on in the same interpreter:
        "try:\n  import mmdet.models\nexcept ImportError: pass\nimport asl_mmdet",
    ],
)
def test_import_order_does_not_matter(first):
    code = f"{first}\n{REGISTER}\n{NMS}"
    done = python_with_torch(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "3"


def test_compiled_ops_are_left_alone(monkeypatch):
    compiled = ModuleType("mmcv._ext")
    compiled.__spec__ = ModuleSpec("mmcv._ext", None)
    monkeypatch.setitem(sys.modules, "mmcv._ext", compiled)
    assert not mmcv_ops.install_fallback()
    assert sys.modules["mmcv._ext"] is compiled
