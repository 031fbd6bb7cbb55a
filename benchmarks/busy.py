"""What else the machine does while a benchmark runs: processes that compute, and a training of low priority."""

import argparse
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
TRAINING = """
default_hooks.logger.interval=1 train_cfg.max_epochs=1000 train_cfg.val_interval=1001 default_hooks.checkpoint=None
train_dataloader.num_workers=0 train_dataloader.persistent_workers=False
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say in which state of the machine to measure."""
    parser.add_argument("--threads", type=int, metavar="N", help="threads of PyTorch; default: as many as cores")
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="N processes that compute beside it")
    parser.add_argument("--low-priority", action="store_true", help="a training of low priority (nice 10) beside it")


def state(args: argparse.Namespace) -> dict[str, int | str]:
    """The columns of a row that say it."""
    busy = f"{args.busy} busy" if args.busy else "idle"
    return {
        "threads": args.threads or torch.get_num_threads(),
        "machine": busy + (" and a low-priority training" if args.low_priority else ""),
    }


@contextlib.contextmanager
def beside(args: argparse.Namespace) -> Iterator[None]:
    """Keep the machine as busy as the options say; needs the shapes data."""
    with contextlib.ExitStack() as stack:
        if args.low_priority:
            stack.enter_context(_training(stack.enter_context(tempfile.TemporaryDirectory())))
        for _ in range(args.busy):
            stack.enter_context(_ended(subprocess.Popen([sys.executable, "-c", "while True: pass"])))
        yield


@contextlib.contextmanager
def _training(folder: str) -> Iterator[None]:
    """From its first iteration on."""
    config = "configs/shapes/atss_r18_focal_shapes.py"
    command = ["nice", "-n", "10", sys.executable, "tools/train.py", config, "--work-dir", folder]
    command += ["--cfg-options", *TRAINING.split()]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    log = Path(folder, "log")
    with _ended(process), log.open("w", encoding="utf-8") as file:
        assert process.stdout is not None
        for line in process.stdout:
            file.write(line)
            if "Epoch(train)" in line:
                break
        else:
            raise SystemExit(f"error: the training beside has failed:\n{log.read_text(encoding='utf-8')[-2000:]}")
        with _ended(subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)):
            yield


@contextlib.contextmanager
def _ended(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        process.kill()
        process.wait()
