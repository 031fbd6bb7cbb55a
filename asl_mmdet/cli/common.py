"""What the commands share: options, the config and the runner, and errors that come before anything is built."""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

import torch
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from torch import nn

from asl_mmdet.checkpoints import find_resumable, load_checkpoint, only_weights
from asl_mmdet.config_tree import find_blocks, find_datasets

VOC_PARTS = ("JPEGImages", "Annotations", "ImageSets/Main")  # what mmpretrain's VOC reads below its data_root


def fail(message: str) -> NoReturn:
    """End the program with a message instead of a stack trace; of several processes, the first speaks."""
    raise SystemExit(f"error: {message}" if os.environ.get("RANK", "0") == "0" else 1)


def tell(message: str) -> None:
    """Print a line; of several processes, the first speaks."""
    if os.environ.get("RANK", "0") == "0":
        print(message, file=sys.stderr, flush=True)


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that MMDetection's train and test scripts have in common."""
    parser.add_argument("--work-dir", help="where logs and checkpoints go; by default work_dirs/<name of the config>")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        metavar="KEY=VALUE",
        help="change keys of the config: a.b=1 c=x,y d='[(1,2),(3,4)]' (no white space in a value)",
    )
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none", help="job launcher")
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and lay the common options over it."""
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    if not Path(args.config).is_file():
        fail(f"there is no config {args.config}. This project's are in configs/, for example configs/atss_r50_asl.py")
    try:
        cfg = Config.fromfile(args.config)
        cfg.merge_from_dict(args.cfg_options or {})
    except Exception as error:  # a config is a program: anything can come out of it
        fail(f"the config {args.config} cannot be read: {_with_causes(error)}")
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
        cfg.setdefault("model_wrapper_cfg", dict(type="MMDistributedDataParallel", device_ids=None))
    return RUNNERS.build(cfg) if "runner_type" in cfg else Runner.from_cfg(cfg)


def end_processes() -> None:
    """Leave the process group, for after the work: a process that ends inside of one can be aborted at its exit."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def check_data(cfg: Config, *splits: str) -> None:
    """End with a message if a file or folder that the ``splits`` ('train', 'val', 'test') read is missing."""
    wanted: dict[str, tuple[str, str]] = {}  # path: the data root, and the path below it
    options: dict[str, str] = {}
    for split in splits:
        for key, dataset in find_datasets(cfg.get(f"{split}_dataloader"), f"{split}_dataloader"):
            root = dataset.get("data_root") or ""
            prefixes = dataset.get("data_prefix") or {}
            files = dataset.get("ann_file")
            for part in [
                *(files if isinstance(files, list) else [files]),
                dataset.get("class_file"),
                *(prefixes.values() if isinstance(prefixes, dict) else [prefixes]),
                *(VOC_PARTS if dataset.get("type") == "VOC" else []),
            ]:
                if isinstance(part, str) and part and not dataset.get("backend_args"):
                    wanted[os.path.join(root, part)] = (root, part)
            if root:
                options[f"{key}.data_root"] = "/path/to/data/"
        for key, evaluator in find_blocks(cfg, f"{split}_evaluator"):
            path = evaluator.get("ann_file")
            if path and not evaluator.get("backend_args"):
                root = next((r for r, _ in wanted.values() if r and path.startswith(r)), "")
                wanted[path] = (root, path.removeprefix(root))
                options[f"{key}.ann_file"] = "/path/to/data/" + wanted[path][1]
    missing = [path for path in wanted if "://" not in path and not os.path.exists(path)]
    if not missing:
        return
    root = wanted[missing[0]][0]
    lines = [f"the data set of {cfg.filename} is not complete; there is no", *(f"    {path}" for path in missing)]
    if root:
        lines += [
            f"It must look like this:\n    {root}",
            *(f"      {part}" for r, part in wanted.values() if r == root),
        ]
    lines += [
        f"If the data lies elsewhere, link it there (ln -s /path/to/data {root.rstrip('/') or '...'}) or name it:",
        "    --cfg-options " + " ".join(f"{key}={value}" for key, value in options.items()),
    ]
    if root.startswith("data/shapes"):
        size = " --num-train 4000 --num-val 1000" if "_tags" in root else ""
        missing_rate = " --missing-rate 0.4" if "_missing" in root else ""
        lines += [f"This data set is made on the spot: python tools/make_shapes.py {root}{size}{missing_rate}"]
    else:
        lines += ["To see a training run without any data of your own: make demo"]
    fail("\n".join(lines))


def prepare_start(cfg: Config, resume: str | None) -> None:
    """Have the runner start from what can be read, or end with a message.

    Args:
        cfg: The config; ``load_from`` and ``resume`` are set.
        resume: A checkpoint to go on from, or 'auto' for the newest whole one of the work directory.
    """
    if resume == "auto":
        found, problems = find_resumable(cfg.work_dir)
        if problems and not found:
            listed = "\n".join(f"    {problem}" for problem in problems)
            fail(
                f"none of the checkpoints in {cfg.work_dir} can be resumed from:\n{listed}\nNothing was changed. To "
                "start over, move them away or name another folder by --work-dir"
            )
        for problem in problems:
            tell(f"warning: {problem}")
        tell(f"resuming from {found}" if found else f"no checkpoint in {cfg.work_dir} yet: starting from the beginning")
        cfg.resume = found is not None
        if found:  # and read already
            cfg.load_from = found
            return
    elif resume:
        cfg.resume, cfg.load_from = True, resume
    if cfg.get("load_from"):
        check_checkpoint(cfg.load_from)


def check_work_dir(work_dir: str) -> None:
    """End with a message if ``work_dir`` cannot be made or written."""
    try:
        Path(work_dir).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=work_dir):
            pass
    except OSError as error:
        fail(f"the work directory {work_dir} cannot be written ({error.strerror}): name another by --work-dir")


def check_space(work_dir: str, model: nn.Module) -> None:
    """End with a message if ``work_dir`` has no room for two checkpoints."""
    free = shutil.disk_usage(work_dir).free
    weights = sum(v.numel() * v.element_size() for v in model.state_dict().values())
    needed = 2 * 3 * weights  # with the two moments of Adam; the old one is there until the new one is written
    if free < needed:
        fail(
            f"the work directory {work_dir} has {free / 1e6:,.0f} MB left, and two checkpoints of this model may take "
            f"{needed / 1e6:,.0f} MB: make room, or name another by --work-dir"
        )


def check_checkpoint(path: str, model: nn.Module | None = None) -> None:
    """End with a message if ``path`` is no checkpoint, or not one of ``model``.

    MMEngine only warns about keys that do not fit and goes on with random weights, which shows as an AP of 0.
    """
    if "://" not in path and not Path(path).is_file():
        nearby = sorted(str(p) for p in Path(path).parent.glob("*.pth"))
        fail(f"there is no checkpoint {path}" + (f"; in that folder are {', '.join(nearby)}" if nearby else ""))
    if "://" in path:
        return
    try:
        checkpoint = load_checkpoint(path)
    except ValueError as error:
        fail(str(error))
    if model is None:
        return
    loaded = checkpoint.get("state_dict", checkpoint)
    misfits = [
        f"{name} {tuple(value.shape)}: " + (f"{tuple(loaded[name].shape)} there" if name in loaded else "not there")
        for name, value in model.state_dict().items()
        if name not in loaded or loaded[name].shape != value.shape
    ]
    if misfits:
        shown = "\n".join(f"    {line}" for line in misfits[:5] + ["..."] * (len(misfits) > 5))
        fail(f"{path} is not a checkpoint of this config; of the model's tensors {len(misfits)} differ:\n{shown}")
