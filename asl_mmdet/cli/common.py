"""What the commands share: the config and the runner, and errors that come before anything is built."""

import argparse
import gc
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.registry import MODEL_WRAPPERS, RUNNERS
from mmengine.runner import Runner

from asl_mmdet.checks import Finding, preflight
from asl_mmdet.checks.finding import without
from asl_mmdet.compat import patches
from asl_mmdet.compat.stack import DISTRIBUTIONS, not_found
from asl_mmdet.config.tree import find_type, incomplete_parts, require
from asl_mmdet.errors import UserError
from asl_mmdet_cli.messages import fail, is_first_process, need_config, tell


def need(*packages: str) -> None:
    """End with a message if a package is not installed."""
    missing = [name for name in packages if find_spec(name) is None]
    openmmlab = [name for name in missing if name in DISTRIBUTIONS]
    if openmmlab:
        fail(not_found(openmmlab))
    if missing:
        fail(f"{', '.join(missing)} cannot be found here: `pip install {' '.join(missing)}` first")


def load_config(args: argparse.Namespace, *keys: str) -> Config:
    """Read the config and lay the common options over it; end with a message if it lacks one of the keys."""
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    need_config(args.config)
    cfg = read_config(args.config, keys, read_options(args.cfg_options or []))
    cfg.launcher = args.launcher
    cfg.work_dir = str(args.work_dir or cfg.get("work_dir") or Path("work_dirs") / Path(args.config).stem)
    return cfg


def read_config(path: str, keys: Sequence[str], options: dict[str, Any]) -> Config:
    """Read a config, lay options over it, and look whether it has the keys; end with a message if that fails."""
    try:
        cfg = Config.fromfile(path)
        cfg.merge_from_dict(options)
    except Exception as error:  # a config is a program: anything can come out of it
        fail(f"the config {path} cannot be read: {_with_causes(error)}")
    require(cfg, *keys)
    return cfg


def read_options(options: Sequence[str]) -> dict[str, Any]:
    """The values of ``--cfg-options``, as MMEngine reads them."""
    read: dict[str, Any] = {}
    for option in options:
        one = argparse.Namespace()
        try:
            DictAction([], "options", nargs="+")(argparse.ArgumentParser(), one, [option])
        except (ValueError, RecursionError, AssertionError) as error:
            fail(
                f"--cfg-options {option!r} cannot be read: write a number, a text, or a list or tuple of them ({error})"
            )
        read |= one.options
    return read


def _with_causes(error: BaseException) -> str:
    """An error and what led to it, the first cause first: MMEngine's own message of a failed import hides it."""
    chain = [error]
    while cause := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(cause)
    return "\n  and then ".join(f"{type(one).__name__}: {one}" for one in reversed(chain))


def need_whole_parts(cfg: Config) -> None:
    """End with a message if MMEngine's runner cannot be built because the config has half of a part."""
    if parts := incomplete_parts(cfg):
        fail(f"the config has {', and '.join(parts)}: write what is missing, or take the others out")


def build_runner(cfg: Config) -> Runner:
    """MMEngine's runner, or the one that the config names."""
    need_whole_parts(cfg)
    patches.SAFE_LOADER.apply()
    patches.NAMED_IMAGES.apply()
    if cfg.launcher == "pytorch" and get_device() == "cpu":  # MMEngine's launcher would give every process a GPU
        torch.distributed.init_process_group("gloo")
        cfg.model_wrapper_cfg = _wrapper_on_cpus(cfg)
    runner = RUNNERS.build(cfg) if "runner_type" in cfg else Runner.from_cfg(cfg)
    runner.logger.addFilter(_is_of_use)
    return runner


def _is_of_use(record: logging.LogRecord) -> bool:
    """MMEngine says of every weight of a frozen backbone, by a line of its own, that the optimizer leaves it out."""
    return "is skipped since its requires_grad=False" not in record.getMessage()


def _wrapper_on_cpus(cfg: Config) -> dict[str, Any]:
    """What MMEngine wraps the model in, with its own defaults but for the GPU that each process would get."""
    unused = cfg.get("find_unused_parameters", False)
    given = cfg.get("model_wrapper_cfg") or dict(broadcast_buffers=False, find_unused_parameters=unused)
    kind = find_type(MODEL_WRAPPERS, given.get("type", "MMDistributedDataParallel"))
    takes_device = isinstance(kind, type) and issubclass(kind, torch.nn.parallel.DistributedDataParallel)
    return {"type": "MMDistributedDataParallel", **({"device_ids": None} if takes_device else {}), **given}


@contextmanager
def user_errors_end_the_program() -> Iterator[None]:
    """End with the message of what a user can mend, such as an image that cannot be read, on whichever process it is.

    Out of a loader's process it comes with that process's stack trace.
    """
    try:
        yield
    except UserError as error:
        message = str(error).strip()
        if "in DataLoader worker process" in message:
            message = message.splitlines()[-1].partition("UserError: ")[2]
        raise SystemExit(f"error: {message}") from error


def end_processes() -> None:
    """Leave the process group, for after the work; the caller has dropped its runner.

    Gloo's threads are joined when the last reference to the group goes, and a wrapped model has one. Where that is as
    late as the interpreter's end, the process is aborted now and then (pytorch/pytorch#190489).
    """
    if torch.distributed.is_initialized():
        gc.collect()  # runner, hooks and model refer to each other
        torch.distributed.destroy_process_group()


def stop_on(findings: Iterable[Finding], ignored: Iterable[str] = ()) -> None:
    """Print warnings, and end the program with the errors if there are any."""
    left = without(findings, ignored)
    for finding in left:
        if not finding.is_error:
            tell(str(finding))
    errors = [str(finding) for finding in left if finding.is_error]
    if errors:
        raise SystemExit("\n".join(errors) if is_first_process() else 1)


def print_findings(where: str, findings: Sequence[Finding]) -> None:
    """Print how many there are, and a line for each."""
    print(f"{where}: {len(findings) or 'no'} finding{'s' * (len(findings) != 1)}")
    for finding in findings:
        print(f"  {finding}")


def check_data(cfg: Config, *splits: str) -> None:
    """End with a message if a file or folder that the ``splits`` ('train', 'val', 'test') read is missing."""
    stop_on(preflight.check_data(cfg, splits))


def say_findings(found: dict[str, list[Finding]], ignored: Iterable[str], consequence: str) -> None:
    """Print a line for each finding, by key; end with the consequence if one is an error."""
    left = [(key, one) for key, findings in found.items() for one in without(findings, ignored)]
    for key, finding in left:
        tell(f"{key}: {finding}")
    if any(finding.is_error for _, finding in left):
        fail(f"{consequence}. --ignore CODE leaves a rule out, --skip-checks all of them")


def prepare_start(cfg: Config, resume: str | None, ignored: Iterable[str] = ()) -> None:
    """Have the runner start from what can be read, or end with a message.

    Args:
        cfg: The config; ``load_from`` and ``resume`` are set.
        resume: A checkpoint to resume from, or 'auto' for the newest valid one of the work directory.
        ignored: Codes of rules.
    """
    start = preflight.find_start(cfg, resume)
    stop_on(start.findings, ignored)
    if resume == "auto":
        found = f"resuming from {start.checkpoint}"
        tell(found if start.resumes else f"no checkpoint in {cfg.work_dir} yet: starting from the beginning")
    cfg.load_from, cfg.resume = start.checkpoint, start.resumes
