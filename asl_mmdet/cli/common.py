"""What the commands share: options, the config and the runner, and errors that come before anything is built."""

import argparse
import gc
import os
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import torch
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.registry import MODEL_WRAPPERS, RUNNERS
from mmengine.runner import Runner

from asl_mmdet.checkpoints import only_weights
from asl_mmdet.checks import Finding, preflight
from asl_mmdet.checks.finding import without
from asl_mmdet.checks.rules import RULES
from asl_mmdet.config_tree import find_type, require
from asl_mmdet.errors import UserError
from asl_mmdet.stack import DISTRIBUTIONS, not_found

_RANK_OF = {"slurm": "SLURM_PROCID", "mpi": "OMPI_COMM_WORLD_RANK"}  # by launcher


def is_first_process() -> bool:
    """Whether this is the one of several processes that prints and writes."""
    return os.environ.get("RANK", "0") == "0"


def fail(message: str) -> NoReturn:
    """End the program with a message instead of a stack trace; of several processes, only the first prints it."""
    raise SystemExit(f"error: {message}" if is_first_process() else 1)


def tell(message: str) -> None:
    """Print a line; of several processes, only the first does."""
    if is_first_process():
        print(message, file=sys.stderr, flush=True)


def need(*packages: str) -> None:
    """End with a message if a package is not installed."""
    missing = [name for name in packages if find_spec(name) is None]
    openmmlab = [name for name in missing if name in DISTRIBUTIONS]
    if openmmlab:
        fail(not_found(openmmlab))
    if missing:
        fail(f"{', '.join(missing)} cannot be found here: `pip install {' '.join(missing)}` first")


def need_config(path: str | Path) -> None:
    """End with a message if there is no such config."""
    if not Path(path).is_file():
        fail(f"there is no config {path}. This project's are in configs/, for example configs/atss_r50_asl.py")


def need_new_file(command: argparse.ArgumentParser, out: Path, suffix: str, force: bool) -> None:
    """End with a usage message if OUT has another suffix, or exists and is not to be overwritten."""
    if out.suffix != suffix:
        command.error(f"OUT {out}: the file must end in {suffix}")
    if out.exists() and not force:
        command.error(f"OUT {out} exists; --force overwrites it")


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that MMDetection's train and test scripts have in common."""
    parser.add_argument("--work-dir", help="where logs and checkpoints go; by default work_dirs/<name of the config>")
    add_cfg_options_argument(parser)
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none", help="job launcher")
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)


def add_cfg_options_argument(parser: argparse.ArgumentParser) -> None:
    """The option that changes keys of the config."""
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        metavar="KEY=VALUE",
        help="change keys of the config: a.b=1 c=x,y d='[(1,2),(3,4)]' (no white space in a value)",
    )


def load_config(args: argparse.Namespace, *keys: str) -> Config:
    """Read the config and lay the common options over it; end with a message if it lacks one of the keys."""
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    if (rank := os.environ.get(_RANK_OF.get(args.launcher, ""))) is not None:
        os.environ.setdefault(
            "RANK", rank
        )  # MMEngine sets it when it forms the process group, and messages come before
    need_config(args.config)
    try:
        cfg = Config.fromfile(args.config)
        cfg.merge_from_dict(args.cfg_options or {})
    except Exception as error:  # a config is a program: anything can come out of it
        fail(f"the config {args.config} cannot be read: {_with_causes(error)}")
    try:
        require(cfg, *keys)
    except UserError as error:
        fail(str(error))
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get("work_dir") or str(Path("work_dirs") / Path(args.config).stem)
    return cfg


def _with_causes(error: BaseException) -> str:
    """An error and what led to it, the first cause first: MMEngine's own message of a failed import hides it."""
    chain = [error]
    while cause := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(cause)
    return "\n  and then ".join(f"{type(one).__name__}: {one}" for one in reversed(chain))


def build_runner(cfg: Config) -> Runner:
    """MMEngine's runner, or the one that the config names."""
    only_weights()
    if cfg.launcher == "pytorch" and get_device() == "cpu":  # MMEngine's launcher would give every process a GPU
        torch.distributed.init_process_group("gloo")
        cfg.model_wrapper_cfg = _wrapper_on_cpus(cfg)
    return RUNNERS.build(cfg) if "runner_type" in cfg else Runner.from_cfg(cfg)


def _wrapper_on_cpus(cfg: Config) -> dict[str, Any]:
    """What MMEngine wraps the model in, with its own defaults but for the GPU that each process would get."""
    unused = cfg.get("find_unused_parameters", False)
    given = cfg.get("model_wrapper_cfg") or dict(broadcast_buffers=False, find_unused_parameters=unused)
    kind = find_type(MODEL_WRAPPERS, given.get("type", "MMDistributedDataParallel"))
    takes_device = isinstance(kind, type) and issubclass(kind, torch.nn.parallel.DistributedDataParallel)
    return {"type": "MMDistributedDataParallel", **({"device_ids": None} if takes_device else {}), **given}


def end_processes() -> None:
    """Leave the process group, for after the work; the caller has dropped its runner.

    Gloo's threads are joined when the last reference to the group goes, and a wrapped model has one. Where that is as
    late as the interpreter's end, the process is aborted now and then (pytorch/pytorch#190489).
    """
    if torch.distributed.is_initialized():
        gc.collect()  # runner, hooks and model refer to each other
        torch.distributed.destroy_process_group()


def add_ignore_argument(parser: argparse.ArgumentParser) -> None:
    """The option that drops findings."""
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        choices=sorted(RULES),
        metavar="CODE",
        help="leave out what the rule with this code finds, such as D411; may be repeated",
    )


def stop_on(findings: Iterable[Finding], ignored: Iterable[str] = ()) -> None:
    """Print warnings, and end the program with the errors if there are any."""
    left = without(findings, ignored)
    for finding in left:
        if not finding.is_error:
            tell(str(finding))
    errors = [str(finding) for finding in left if finding.is_error]
    if errors:
        raise SystemExit("\n".join(errors) if is_first_process() else 1)


def check_data(cfg: Config, *splits: str) -> None:
    """End with a message if a file or folder that the ``splits`` ('train', 'val', 'test') read is missing."""
    stop_on(preflight.check_data(cfg, splits))


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
