"""The processes that a benchmark starts: none outlives it."""

import os
import signal
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO

SECONDS_TO_END = 40.0  # torchrun gives its workers 30


class Processes:
    """Runs commands, several at a time if called from threads, and stops them all together.

    Every command has a process group of its own, so that its data workers and ranks end with it. On Windows, which has
    none, only the command itself is ended.

    Args:
        lock: An open file that the commands inherit, see :func:`asl_mmdet.runs.locks.locked`.
    """

    def __init__(self, lock: IO[str]) -> None:
        self.lock = lock
        self.is_stopped = False
        self._running: set[subprocess.Popen[bytes]] = set()
        self._guard = threading.Lock()

    def run(self, command: list[str], log: Path) -> int:
        """The exit code of a command, whose output is appended to ``log``; -SIGTERM without a start after a stop."""
        with log.open("ab") as file:
            with self._guard:
                if self.is_stopped:
                    return -signal.SIGTERM
                process = subprocess.Popen(
                    command,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=[self.lock.fileno()] if os.name == "posix" else [],
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
            _signal_group(process, "SIGTERM")
        for process in running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(SECONDS_TO_END)
            _signal_group(process, "SIGKILL")  # also what is left of a group whose first process has ended


def _signal_group(process: "subprocess.Popen[bytes]", name: str) -> None:
    with suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, getattr(signal, name))
        else:
            process.kill()
