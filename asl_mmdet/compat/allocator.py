"""The memory allocator of a training or a prediction on a CPU."""

import ctypes
import os
import platform

from mmengine.device import get_device

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # malloc.h: M_TRIM_THRESHOLD, M_MMAP_MAX
_VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES")


def keep_memory() -> bool:
    """Have glibc keep the memory that is freed, for the rest of this process; returns whether it does so now.

    By itself glibc gives every large temporary of a training step back to the system and gets it anew, at the price of
    a page fault for 4 KB (``docs/results/speed.md`` says what that costs). Nothing is done where there is an
    accelerator, where the C library is another, and where one of glibc's environment variables says how to
    allocate: see mallopt(3).
    """
    if get_device() != "cpu" or platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in _VARIABLES):
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(_TRIM_THRESHOLD, -1) and libc.mallopt(_MMAP_MAX, 0))
