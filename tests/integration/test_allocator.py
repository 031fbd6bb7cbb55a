"""What the memory allocator does in a training on a CPU."""

import os
import platform

import pytest
from mmengine.device import get_device
from processes import python_with_torch

FAULTS = """
import os, resource, sys
sys.modules.update(mmcv=None, mmdet=None)  # not needed for it, and slow to import
os.environ.update({env})
from asl_mmdet.compat.allocator import keep_memory
kept = keep_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    large = b"x" * 2**26
    del large
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc" or get_device() != "cpu", reason="glibc, on a CPU")
@pytest.mark.skipif(
    any(name.startswith(("MALLOC_", "GLIBC_")) for name in os.environ), reason="glibc is told otherwise"
)
def test_large_temporaries_are_not_given_back():
    def faults(**env):
        done = python_with_torch(FAULTS.format(env=env))
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    kept, few = faults()
    left, many = faults(MALLOC_TRIM_THRESHOLD_="131072")  # glibc's own: the user has the last word
    assert (kept, left) == ("True", "False")
    assert int(few) < int(many) / 3
