"""What a run needs before anything is built: files, a checkpoint to start from, a work directory and room in it."""

import codecs
import locale
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config, ConfigDict
from torch import Tensor, nn

from asl_mmdet.checks.finding import Finding, Rule, check
from asl_mmdet.compat.checkpoints import (
    find_resumable,
    has_state_of_run,
    load_checkpoint,
    load_weights,
    not_numbers,
    weights_for,
    weights_of,
)
from asl_mmdet.config.coco_folder import how_to_name, is_coco_folder
from asl_mmdet.config.task import loss_nodes
from asl_mmdet.config.tree import find_blocks, find_datasets, find_typed_blocks, shown_type, type_name
from asl_mmdet.errors import UserError

VOC_PARTS = ("JPEGImages", "Annotations", "ImageSets/Main")  # what mmpretrain's VOC reads below its data_root
NO_START = "Training and evaluation cannot start."


class DataFiles:
    """The files and folders that the data sets and evaluators of some splits read.

    Args:
        cfg: The config.
        splits: Of 'train', 'val' and 'test'.
    """

    def __init__(self, cfg: Config, splits: Iterable[str]) -> None:
        self.parts: dict[str, tuple[str, str]] = {}  # path: the data root, and the path below it
        self.options: dict[str, str] = {}  # to name another place
        for split in splits:
            for key, dataset in find_datasets(cfg.get(f"{split}_dataloader"), f"{split}_dataloader"):
                self._add_dataset(key, dataset)
            for key, evaluator in find_blocks(cfg, f"{split}_evaluator"):
                self._add_evaluator(key, evaluator)

    def _add_dataset(self, key: str, dataset: ConfigDict) -> None:
        root = dataset.get("data_root") or ""
        if root:
            self.options[f"{key}.data_root"] = "/path/to/data/"
        for part in _parts_of(dataset):
            if isinstance(part, str) and part and not dataset.get("backend_args"):
                self.parts[os.path.join(root, part)] = (root, part)

    def _add_evaluator(self, key: str, evaluator: ConfigDict) -> None:
        path = evaluator.get("ann_file")
        if path and not evaluator.get("backend_args"):
            root = next((r for r, _ in self.parts.values() if r and path.startswith(r)), "")
            self.parts[path] = (root, path.removeprefix(root))
            self.options[f"{key}.ann_file"] = "/path/to/data/" + self.parts[path][1]

    @cached_property
    def missing(self) -> list[str]:
        """The paths that do not exist."""
        return [path for path in self.parts if "://" not in path and not os.path.exists(path)]

    def unreadable(self) -> list[str]:
        """The annotation files that pycocotools, which reads by the locale, reads wrongly or not at all."""
        if codecs.lookup(locale.getpreferredencoding(False)).name == "utf-8":
            return []
        files = [path for path in self.parts if path.endswith(".json") and os.path.isfile(path)]
        return [path for path in files if not Path(path).read_bytes().isascii()]

    def how_to_get(self) -> str:
        """What the data must look like, and how to name another place or make it."""
        root = self.parts[self.missing[0]][0]
        lines = [f"    {path}" for path in self.missing if not root or self.parts[path][0] != root]
        lines = ["There is no", *lines] if lines else []
        if root:
            lines += [f"The data must look like this:\n    {root}"]
            lines += [
                f"      {part}{'  (missing)' if path in self.missing else ''}"
                for path, (r, part) in self.parts.items()
                if r == root
            ]
        if is_coco_folder(root):
            has_files = any(r == root and os.path.isfile(path) for path, (r, _) in self.parts.items())
            return "\n" + "\n".join([*lines, *how_to_name(root, has_files)])
        place = root.rstrip("/") or "..."
        lines += [
            f"If it is elsewhere, link it (ln -s /path/to/data {place}) or name it:",
            "    --cfg-options " + " ".join(f"{key}={value}" for key, value in self.options.items()),
        ]
        lines += ["To see a training run without any data of your own: make demo"]
        return "\n" + "\n".join(lines)


def _parts_of(dataset: ConfigDict) -> Iterator[Any]:
    prefixes = dataset.get("data_prefix") or {}
    files = dataset.get("ann_file")
    yield from files if isinstance(files, list) else [files]
    yield dataset.get("class_file")
    yield from prefixes.values() if isinstance(prefixes, dict) else [prefixes]
    yield from VOC_PARTS if type_name(dataset.get("type")) == "VOC" else []


def _unknown_labels(cfg: Config) -> Iterator[str]:
    if cfg.train_dataloader.dataset.get("unannotated") == "ignore":
        for key, loss in loss_nodes(cfg).items():
            if type_name(loss.type) != "PartialLabelLoss":
                yield f"train_dataloader.dataset.unannotated='ignore' with {key}.type={shown_type(loss.type)}"


def _unknown_boxes(cfg: Config) -> Iterator[str]:
    hooks = find_typed_blocks(cfg.get("custom_hooks"), "custom_hooks")
    if not any(type_name(block.type) == "KnownClassesHook" for _, block in hooks):
        for key, dataset in find_datasets(cfg.get("train_dataloader"), "train_dataloader"):
            if dataset.get("unknown_class") is not None:
                yield f"{key}.unknown_class={dataset.unknown_class!r}"


@dataclass
class Start:
    """The checkpoint that a run starts from.

    Args:
        checkpoint: Its path; None to start from the beginning.
        resumes: Resume the run that wrote it, rather than take only its weights.
        findings: What is wrong with it, and with newer ones that were passed over.
    """

    checkpoint: str | None = None
    resumes: bool = False
    findings: list[Finding] = field(default_factory=list)


class Resumable(NamedTuple):
    """What a work directory has to resume from."""

    work_dir: str
    found: str | None
    problems: list[str]  # of the checkpoints newer than that


class CheckpointFile:
    """A checkpoint, and the model that it is for.

    Args:
        path: A local file, or an address, which is not looked at.
        model: The model, if it is built; it gets the weights.
        resumes: Whether the run that wrote it is resumed.
    """

    def __init__(self, path: str, model: nn.Module | None = None, resumes: bool = False) -> None:
        self.path, self.is_local = path, "://" not in path
        self.exists = not self.is_local or Path(path).is_file()
        self.problem = ""
        self.misfits: list[str] = []
        self.lacks_state = False
        self.not_numbers: list[str] = []
        if self.is_local and self.exists:
            try:
                checkpoint = load_checkpoint(path, keep=True)  # it is read once: MMEngine gets the same
                self.lacks_state = resumes and not has_state_of_run(checkpoint)
                self.not_numbers = not_numbers(weights_of(checkpoint))
                if model is not None:
                    self.misfits = load_weights(model, weights_for(model, path))
            except UserError as error:
                self.problem = str(error)

    def nearby(self) -> str:
        """The checkpoints of its folder."""
        found = sorted(str(path) for path in Path(self.path).parent.glob("*.pth"))
        return f"In that folder are {', '.join(found)}." if found else "Check the path."


def _unwritable(work_dir: str) -> Iterator[str]:
    try:
        Path(work_dir).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=work_dir):
            pass
    except OSError as error:
        yield f"{work_dir}: {error.strerror}"


class Room(NamedTuple):
    """The space of a work directory and the model whose checkpoints go there."""

    work_dir: str
    model: nn.Module

    def shortage(self) -> Iterator[str]:
        """What is missing for two checkpoints: the old one is there until the new one is written."""
        free = shutil.disk_usage(self.work_dir).free
        weights = sum(v.nbytes for v in self.model.state_dict().values() if isinstance(v, Tensor))
        needed = 2 * 3 * weights  # with the two moments of Adam
        if free < needed:
            yield (
                f"{self.work_dir} has {free / 1e6:,.0f} MB left, and two checkpoints of this model may take "
                f"{needed / 1e6:,.0f} MB"
            )


DATA_RULES: list[Rule[DataFiles]] = [
    Rule("P101", "error", "data not found", NO_START, lambda files: files.how_to_get(), lambda files: files.missing),
]
ENCODING_RULES: list[Rule[DataFiles]] = [
    Rule(
        "P105",
        "error",
        "annotation file that the locale cannot read",
        "Training fails, or the names of the classes become others.",
        "Set the environment variable PYTHONUTF8=1.",
        lambda files: files.unreadable(),
    ),
]
LABEL_RULES: list[Rule[Config]] = [
    Rule(
        "P102",
        "error",
        "unknown labels for a loss that does not know them",
        "They are marked by -1, which the loss takes for labels.",
        lambda cfg: f"Write {next(iter(loss_nodes(cfg)))}=dict(type='PartialLabelLoss', loss=...).",
        _unknown_labels,
    ),
    Rule(
        "P106",
        "error",
        "boxes of an unknown class without the hook that knows them",
        "They would be background.",
        "Write custom_hooks=[dict(type='KnownClassesHook')].",
        _unknown_boxes,
    ),
]
RESUME_RULES: list[Rule[Resumable]] = [
    Rule(
        "P201",
        "error",
        "no checkpoint of the work directory can be resumed from",
        "Nothing was changed.",
        "To start over, move them away or name another folder by --work-dir.",
        lambda r: (
            [f"{r.work_dir}:\n" + "\n".join(f"    {p}" for p in r.problems)] if r.problems and not r.found else ()
        ),
    ),
    Rule(
        "P202",
        "warning",
        "checkpoint cannot be resumed from",
        "An older one is used.",
        "",
        lambda r: r.problems if r.found else (),
    ),
]
CHECKPOINT_RULES: list[Rule[CheckpointFile]] = [
    Rule(
        "P203",
        "error",
        "no such checkpoint",
        NO_START,
        lambda file: file.nearby(),
        lambda file: () if file.exists else (file.path,),
    ),
    Rule(
        "P204",
        "error",
        "checkpoint cannot be read",
        NO_START,
        "",
        lambda file: (file.problem,) if file.problem else (),
    ),
    Rule(
        "P205",
        "error",
        "tensor that the checkpoint does not have, or has in another shape",
        "It would keep its random values.",
        lambda file: f"{file.path} is not a checkpoint of this config.",
        lambda file: file.misfits,
    ),
    Rule(
        "P209",
        "error",
        "weights that are NaN",
        "A model with them detects nothing, and its loss is NaN.",
        "The training that wrote them diverged: use an earlier checkpoint, and a smaller learning rate.",
        lambda file: file.not_numbers,
    ),
    Rule(
        "P206",
        "error",
        "checkpoint without the state of a training",
        "It cannot be resumed from: it holds only weights.",
        lambda file: f"Start from its weights: --cfg-options load_from={file.path}",
        lambda file: (file.path,) if file.lacks_state else (),
    ),
]
WORK_DIR_RULES: list[Rule[str]] = [
    Rule(
        "P301",
        "error",
        "work directory cannot be written",
        NO_START,
        "Name another by --work-dir.",
        _unwritable,
    ),
]
RERUN_RULES: list[Rule[str]] = [
    Rule(
        "P303",
        "warning",
        "work directory that has a run already",
        "Its checkpoints are replaced where the new ones have the same names.",
        "To keep both, name another folder by --work-dir; --resume continues the run.",
        lambda folder: [folder] if os.path.isfile(os.path.join(folder, "last_checkpoint")) else [],
    ),
]
ROOM_RULES: list[Rule[Room]] = [
    Rule(
        "P302",
        "error",
        "not enough disk space",
        "The run would stop when it saves.",
        "Make room, or name another folder by --work-dir.",
        Room.shortage,
    ),
]


def check_data(cfg: Config, splits: Iterable[str]) -> list[Finding]:
    """Whether all files and folders exist that the ``splits`` ('train', 'val', 'test') read."""
    return check([*DATA_RULES, *ENCODING_RULES], DataFiles(cfg, splits))


def check_encoding(cfg: Config, splits: Iterable[str]) -> list[Finding]:
    """Whether pycocotools can read the annotation files of the ``splits`` in this locale."""
    return check(ENCODING_RULES, DataFiles(cfg, splits))


def check_labels(cfg: Config) -> list[Finding]:
    """Whether the loss knows the unknown labels of the training set, and boxes of an unknown class have their hook."""
    return check(LABEL_RULES, cfg)


def check_checkpoint(path: str, model: nn.Module | None = None) -> list[Finding]:
    """Whether ``path`` is a checkpoint, and one of ``model``.

    MMEngine only warns about keys that do not fit, and starts from random weights, which shows as an AP of 0. The model
    gets the weights.
    """
    return check(CHECKPOINT_RULES, CheckpointFile(path, model))


def check_work_dir(work_dir: str) -> list[Finding]:
    """Whether ``work_dir`` can be written; it is created."""
    return check(WORK_DIR_RULES, work_dir)


def check_rerun(cfg: Config) -> list[Finding]:
    """Whether a training from the start would write over another."""
    return [] if cfg.get("resume") else check(RERUN_RULES, cfg.work_dir)


def check_space(work_dir: str, model: nn.Module) -> list[Finding]:
    """Whether ``work_dir`` has room for two checkpoints."""
    return check(ROOM_RULES, Room(work_dir, model))


def find_start(cfg: Config, resume: str | None) -> Start:
    """What a run starts from.

    Args:
        cfg: The config, with its own ``load_from`` and ``resume``.
        resume: A checkpoint to resume from, or 'auto' for the newest valid one of the work directory.
    """
    if resume == "auto":
        resumable = Resumable(cfg.work_dir, *find_resumable(cfg.work_dir))
        findings = check(RESUME_RULES, resumable)
        if resumable.found:
            return Start(resumable.found, True, findings)  # it was read already
        start = Start(cfg.get("load_from"), False, findings)
    elif resume:
        start = Start(resume, True)
    else:
        start = Start(cfg.get("load_from"), bool(cfg.get("resume")))
    if start.checkpoint:
        start.findings += check(CHECKPOINT_RULES, CheckpointFile(start.checkpoint, resumes=start.resumes))
    return start
