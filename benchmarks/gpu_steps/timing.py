"""Time and memory of a call on a device."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch


def median_ms(call: Callable[[], Any], device: str, rounds: int, warm_up: int = 3) -> float:
    """The median time of a call in ms: on a GPU between two events on its stream, on a CPU by the clock."""
    for _ in range(warm_up):
        call()
    if device == "cpu":
        seconds = []
        for _ in range(rounds):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
        return 1e3 * statistics.median(seconds)
    pairs = []
    for _ in range(rounds):
        start_event, end_event = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start_event.record()
        call()
        end_event.record()
        pairs.append((start_event, end_event))
    torch.cuda.synchronize()
    return statistics.median(start_event.elapsed_time(end_event) for start_event, end_event in pairs)


def peak_bytes(call: Callable[[], Any], device: str) -> int | None:
    """The peak of what a call allocates on a GPU beyond what was there; None on a CPU."""
    if device == "cpu":
        return None
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before
