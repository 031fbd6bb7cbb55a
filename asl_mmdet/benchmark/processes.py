"""The processes that a benchmark starts: none outlives it, and one folder has one benchmark at a time."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import IO

LOCK = "lock.json"
SECONDS_TO_END = 40.0  # torchrun gives its workers 30


class Processes:
    """Runs commands, several at a time if called from threads, and stops them all together.

    Every command has a process group of its own, so that its data workers and ranks end with it.

    Args:
        lock: An open file that the commands inherit, see :func:`locked`.
    """

    def __init__(self, lock: IO[str]) -> None:
        self.lock = lock
        self.is_stopped = False
        self._running: set[subprocess.Popen[bytes]] = set()
        self._guard = threading.Lock()

    def run(self, command: list[str], log: Path) -> int:
        """The exit code of a command, whose output is appended to ``log``; -SIGTERM without a start after a stop."""
        with log.open("a") as file:
            with self._guard:
                if self.is_stopped:
                    return -signal.SIGTERM
                process = subprocess.Popen(
                    command,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=[self.lock.fileno()],
                )
                self._running.add(process)
            code = process.wait()
            with self._guard:
                self._running.discard(process)
        return code

    def stop(self) -> None:
        """End what is running, and start nothing more."""
        with self._guard:
            self.is_stopped = True
            running = list(self._running)
        for process in running:
            _signal_group(process, signal.SIGTERM)
        for process in running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(SECONDS_TO_END)
            _signal_group(process, signal.SIGKILL)  # also what is left of a group whose first process has ended


def _signal_group(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


@contextmanager
def signals_end_the_program() -> Iterator[None]:
    """Have SIGTERM and SIGHUP raise SystemExit, as Ctrl-C raises KeyboardInterrupt; a SIGHUP that is ignored stays so.

    For the main thread; elsewhere nothing is changed.
    """

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def locked(folder: Path) -> Iterator[IO[str]]:
    """Hold ``folder`` for this process, and for those that inherit the file that it gives.

    The system frees the lock when the last of them has ended, however it ended.

    Raises:
        BlockingIOError: If another benchmark, or a run that it left behind, holds the folder; says which.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise BlockingIOError(f"{folder} is in use: {_holder(file.read())}") from None
        file.truncate(0)
        json.dump(dict(pid=os.getpid(), host=socket.gethostname(), since=f"{datetime.now():%F %T}"), file)
        file.flush()
        yield file


def _holder(content: str) -> str:
    try:
        who = json.loads(content)
        return (
            f"by process {who['pid']} on {who['host']} since {who['since']}, or by a run that it left behind. Wait for "
            "it, or end it"
        )
    except (ValueError, KeyError, TypeError):
        return "another process has just started"
