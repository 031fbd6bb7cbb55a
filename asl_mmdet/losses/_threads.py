"""Work on a CPU in chunks that stay in the cache, each with one thread for its operators.

PyTorch splits every operator on more than a few thousand elements over all threads, with a barrier at its end where
the threads spin. A loss of many small operators has hundreds of barriers, and where another program holds a core, each
can cost a slice of the scheduler. Here whole chunks are shared by a few threads, with one join at the end.

The number of threads that ``torch.set_num_threads`` sets belongs to the calling thread, but a thread that starts later
takes over the last one set anywhere. So the caller's is never touched: the work is done by threads of our own.
"""

import functools
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

from asl_mmdet.losses._device import is_compiling, is_cpu

P = ParamSpec("P")
T = TypeVar("T")

_MOST = 16  # threads of the pool: with so many, memory is what limits the loss
_SMALL = 2**15  # elements below which PyTorch has one thread itself, but for exp and log; handing over costs more


def threads_for(x: Tensor) -> int:
    """How many threads may share work on ``x``: those of the caller for a plain tensor on a CPU that is not small."""
    if is_compiling() or not is_cpu(x) or x.numel() < _SMALL or type(x) not in (Tensor, torch.nn.Parameter):
        return 1
    return min(torch.get_num_threads(), _MOST)


def on_one_thread(threads: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call ``function`` where every operator has one thread, without gradients; inline if the caller has one thread.

    Example:
        >>> on_one_thread(2, torch.get_num_threads), on_one_thread(2, torch.is_grad_enabled)
        (1, False)
    """
    if threads == 1:
        with torch.no_grad():
            return function(*args, **kwargs)
    return _pool().submit(function, *args, **kwargs).result()


def map_chunks(threads: int, function: Callable[[int], T], count: int) -> list[T]:
    """``[function(0), ..., function(count - 1)]``; for use in :func:`on_one_thread`.

    The chunks are shared by the calling thread and up to ``threads - 1`` others, each taking the next when it is done
    with one. A thread that does not get a core costs the caller no more than one chunk.

    Example:
        >>> on_one_thread(2, map_chunks, 2, lambda chunk: chunk**2, 4)
        [0, 1, 4, 9]
    """
    results: list[T | None] = [None] * count
    todo = deque(range(count))

    def take() -> None:
        while True:
            try:
                chunk = todo.popleft()
            except IndexError:
                return
            results[chunk] = function(chunk)

    pool = _pool() if threads > 1 and count > 1 else None
    helpers = [pool.submit(take) for _ in range(min(threads, count) - 1)] if pool else []
    try:
        take()
    finally:
        todo.clear()
        started = [helper for helper in helpers if not helper.cancel()]
        wait(started)
    for helper in started:
        helper.result()  # raises what it raised
    return results  # type: ignore[return-value]  # all are filled


def _set_up_thread() -> None:
    torch.get_num_threads()  # PyTorch gives a thread its number at the first question, over what was set before
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)


_pools: dict[int, ThreadPoolExecutor] = {}
_starting = threading.Lock()


def _pool() -> ThreadPoolExecutor:
    """The threads of this process; a forked one has none of its parent's."""
    process = os.getpid()
    with _starting:
        if process not in _pools:
            number = min(os.cpu_count() or 1, _MOST)
            pool = ThreadPoolExecutor(number, "asl_mmdet", initializer=_set_up_thread)
            inherited = _in_new_thread(torch.get_num_threads)
            all_started = threading.Barrier(number)
            wait([pool.submit(all_started.wait) for _ in range(number)])
            _in_new_thread(functools.partial(torch.set_num_threads, inherited))  # for threads that others start later
            _pools[process] = pool
    return _pools[process]


def _in_new_thread(function: Callable[[], T]) -> T:
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(function).result()
