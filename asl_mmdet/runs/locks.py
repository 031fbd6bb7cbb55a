"""One process at a time: files that say who holds a folder, and signals that end a program in order."""

import importlib
import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import IO, Any

LOCK = "lock.json"
_BEHIND = 2**30  # Windows' locks keep others from reading what is locked, so they are behind all that is written


@contextmanager
def locked(folder: Path) -> Iterator[IO[str]]:
    """Hold ``folder`` for this process, and for those that inherit the file that it gives.

    The system frees the lock when the last of them has ended, however it ended. The file is removed at the end, unless
    one that inherited it goes on.

    Raises:
        BlockingIOError: If another program, or a run that it left behind, holds the folder; says which.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = _locked_file(folder)
    try:
        with file:
            file.truncate(0)
            since = f"{datetime.now():%Y-%m-%d %H:%M:%S}"
            json.dump(dict(pid=os.getpid(), host=socket.gethostname(), since=since), file)
            file.flush()
            yield file
    finally:
        _remove(folder / LOCK)


def _locked_file(folder: Path) -> IO[str]:
    while True:
        file = (folder / LOCK).open("a+", encoding="utf-8")
        if not _lock(file.fileno()):
            with file:
                file.seek(0)
                raise BlockingIOError(f"{folder} is in use: {_holder(file.read())}")
        if _is_there(file, folder / LOCK):
            return file
        file.close()  # its holder removed it between our opening and our locking


def _is_there(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _remove(path: Path) -> None:
    """Remove the file that this process held, unless another one holds it."""
    with suppress(OSError):
        if _module("fcntl") is None:  # Windows removes no open file
            path.unlink()
            return
        with path.open("r+", encoding="utf-8") as file:
            if _lock(file.fileno()) and _is_there(file, path):
                path.unlink()


def _lock(number: int) -> bool:
    """Lock an open file until it is closed; False if another process has it. Without a way to do so, there is none."""
    if fcntl := _module("fcntl"):
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    elif msvcrt := _module("msvcrt"):  # Windows
        os.lseek(number, _BEHIND, os.SEEK_SET)
        try:
            msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
    return True


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _holder(content: str) -> str:
    try:
        who = json.loads(content)
        return (
            f"by process {who['pid']} on {who['host']} since {who['since']}, or by a run that it left behind. Wait for "
            "it, or end it"
        )
    except (ValueError, KeyError, TypeError):
        return "another process has just started"


@contextmanager
def signals_end_the_program() -> Iterator[None]:
    """Have SIGTERM and SIGHUP raise SystemExit, as Ctrl-C raises KeyboardInterrupt; a SIGHUP that is ignored stays so.

    For the main thread; elsewhere nothing is changed. Windows has no SIGHUP.
    """

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
