"""What a training run imports."""

import pytest
from processes import python_with_torch


@pytest.mark.parametrize(
    "module, unneeded",
    [
        ("asl_mmdet.cli.train", ["jinja2", "mmpretrain", "pandas", "pyarrow", "sklearn"]),
        ("asl_mmdet", ["mmdet.datasets"]),
    ],
)
def test_nothing_is_imported_for_what_is_not_asked(module, unneeded):
    code = f"import sys, {module}; print([name for name in {unneeded} if name in sys.modules])"
    done = python_with_torch(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
