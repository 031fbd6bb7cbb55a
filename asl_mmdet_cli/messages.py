"""What a command says, and the ends that need no import: a missing file, a file that would be overwritten."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

_RANK_OF = {"slurm": "SLURM_PROCID", "mpi": "OMPI_COMM_WORLD_RANK"}  # by launcher


def learn_rank(launcher: str | None) -> None:
    """Set RANK as torchrun does: MMEngine does so when it forms the process group, and messages come before that."""
    if (rank := os.environ.get(_RANK_OF.get(launcher or "", ""))) is not None:
        os.environ.setdefault("RANK", rank)


def is_first_process() -> bool:
    """Whether this is the one of several processes that prints and writes."""
    return os.environ.get("RANK", "0") == "0"


def fail(message: str) -> NoReturn:
    """End the program with a message instead of a stack trace; of several processes, only rank 0 prints it."""
    raise SystemExit(f"error: {message}" if is_first_process() else 1)


def tell(message: str) -> None:
    """Print a line; of several processes, only rank 0 prints it."""
    if is_first_process():
        print(message, file=sys.stderr, flush=True)


def need_config(path: str | Path) -> None:
    """End with a message if there is no such config."""
    _need_no_folder(path, "config")
    if not Path(path).is_file():
        there = [str(file) for file in Path(path).parent.glob("*.py")]
        near = get_close_matches(str(path), there, 1, 0.8)
        others = f"Is it {near[0]}?" if near else "This project's are in configs/, for example configs/atss_r50_asl.py"
        fail(f"there is no config {path}. {others}")


def need_checkpoint(path: str | Path) -> None:
    """End with a message if there is no such checkpoint, or only its path; an address is not looked at."""
    if not str(path).strip():
        fail(
            'the checkpoint is an empty text. If it came from "$(cat .../last_checkpoint)", that file is not there: '
            "has the training written a checkpoint, and to that folder?"
        )
    if Path(path).name == "last_checkpoint" and Path(path).is_file():
        fail(f'{path} holds the path of a checkpoint: write "$(cat {path})"')
    if "://" in str(path) or Path(path).is_file():
        return
    _need_no_folder(path, "checkpoint", "*.pth")
    nearby = sorted(str(file) for file in Path(path).parent.glob("*.pth"))
    fail(
        f"there is no checkpoint {path}. " + (f"In that folder are {', '.join(nearby)}" if nearby else "Check the path")
    )


def need_file(path: str | Path | None, what: str) -> None:
    """End with a message if a file is named that does not exist."""
    if path is None:
        return
    _need_no_folder(path, what)
    if not Path(path).is_file():
        fail(f"there is no {what} {path}. Check the path")


def _need_no_folder(path: str | Path, what: str, pattern: str = "") -> None:
    """End with a message if a folder is named where a file is needed."""
    if Path(path).is_dir():
        found = sorted(str(file) for file in Path(path).glob(pattern)) if pattern else []
        fail(f"{path} is a folder: name the {what} in it{': ' * bool(found)}{', '.join(found)}")


def need_folder(path: str | Path, what: str) -> None:
    """End with a message if there is no such folder."""
    if Path(path).is_file():
        fail(f"{path} is a file: name the {what}")
    if not Path(path).is_dir():
        fail(f"there is no {what} {path}. Check the path")


def need_new(out: Path | None, force: bool, sources: Iterable[str | Path] = (), option: str = "--out") -> None:
    """End with a message if a file to write is a folder or one of the ``sources``, or exists without --force."""
    if out is None:
        fail(f"{option} is missing: name the file to write")
    if out.is_dir():
        fail(f"{option} {out} is a folder: name a file")
    if out.exists() and any(Path(source).exists() and out.samefile(source) for source in sources):
        fail(f"{option} {out} is the file that is read: name another")
    if out.exists() and not force:
        fail(f"{option} {out} exists: name another file, or overwrite it with --force")


@contextmanager
def without_foreign_line() -> Iterator[None]:
    """MMDetection and mmpretrain print at their import that OneDL is not installed; only this line is left out."""
    from mmengine import logging

    print_log = logging.print_log

    def print_other(msg: Any, *args: Any, **kwargs: Any) -> None:
        if not str(msg).startswith("Could not import OneDL"):
            print_log(msg, *args, **kwargs)

    logging.print_log = print_other
    try:
        yield
    finally:
        logging.print_log = print_log
