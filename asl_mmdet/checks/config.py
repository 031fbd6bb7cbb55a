"""What is wrong with a config that the libraries accept in silence, or refuse with a message that does not help."""

import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from mmengine.config import Config, ConfigDict

from asl_mmdet.checks.dropped_keys import defaults_of, dropped_keys, loss_class
from asl_mmdet.checks.finding import FAILS, Finding, Findings, Rule
from asl_mmdet.checks.heads import class_counts
from asl_mmdet.checks.monitors import unknown_monitors
from asl_mmdet.checks.run_parts import PART_RULES
from asl_mmdet.coco.annotation_file import AnnotationFile, CocoSet, is_number, kind_of
from asl_mmdet.compat.packaged_weights import packaged_checkpoints
from asl_mmdet.config.task import MULTI_LABEL, task_of
from asl_mmdet.config.tree import (
    annotation_path,
    find_blocks,
    find_datasets,
    find_typed_blocks,
    get_key,
    keys_of_version_2,
    shown_type,
    type_name,
    type_scope,
)
from asl_mmdet.losses import AsymmetricLoss
from asl_mmdet.losses.class_weight import Scheme, check_class_weight, weights_of

SPLITS = ("train", "val", "test")
_WHOLE, _NUMBER = (int,), (int, float)
_CLASSES = (_WHOLE, 1, "the number of classes, without background")
_NUMBERS: dict[str, tuple[tuple[type, ...], float, str]] = {  # key: types, least value, how to say it
    "train_cfg.max_epochs": (_WHOLE, 1, "a whole number from 1"),
    "train_cfg.max_iters": (_WHOLE, 1, "a whole number from 1"),
    "train_cfg.val_interval": (_WHOLE, 1, "a whole number from 1"),
    "train_dataloader.batch_size": (_WHOLE, 1, "a whole number from 1"),
    "val_dataloader.batch_size": (_WHOLE, 1, "a whole number from 1"),
    "train_dataloader.num_workers": (_WHOLE, 0, "a whole number from 0"),
    "val_dataloader.num_workers": (_WHOLE, 0, "a whole number from 0"),
    "optim_wrapper.optimizer.lr": (_NUMBER, 0, "a number above 0"),
    "optim_wrapper.optimizer.weight_decay": (_NUMBER, 0, "a number from 0"),
    "optim_wrapper.clip_grad.max_norm": (_NUMBER, 0, "a number above 0"),
    "optim_wrapper.accumulative_counts": (_WHOLE, 1, "a whole number from 1"),
    "default_hooks.checkpoint.interval": (_WHOLE, 1, "a whole number from 1"),
    "default_hooks.logger.interval": (_WHOLE, 1, "a whole number from 1"),
    "randomness.seed": (_WHOLE, 0, "a whole number from 0"),
    "model.bbox_head.loss_cls.loss_weight": (_NUMBER, 0, "a number from 0"),
}


def _out_of_range(cfg: Config) -> Iterator[str]:
    values = {key: (get_key(cfg, key), *limits) for key, limits in _NUMBERS.items()}
    values |= {key: (value, *_CLASSES) for key, value in class_counts(cfg).items()}
    for key, (value, types, least, allowed) in values.items():
        if value is None:
            continue
        is_one = isinstance(value, types) and not isinstance(value, bool)
        if not is_one or not value >= least or ("above" in allowed and value == least):
            yield f"{key}={value!r}; use {allowed}"


def _persistent_workers(cfg: Config) -> Iterator[str]:
    for split in SPLITS:
        loader = cfg.get(f"{split}_dataloader") or {}
        if loader.get("persistent_workers") and loader.get("num_workers") == 0:
            yield f"{split}_dataloader.persistent_workers=True"


def _dropped_in_evaluation(cfg: Config) -> Iterator[str]:
    for key in ("val_dataloader", "test_dataloader"):
        loader = cfg.get(key) or {}
        if loader.get("drop_last") or (loader.get("batch_sampler") or {}).get("drop_last"):
            yield f"{key}.drop_last=True"


def _other_annotations(cfg: Config) -> Iterator[str]:
    for split in SPLITS:
        datasets = [data for _, data in find_datasets(cfg.get(f"{split}_dataloader"), f"{split}_dataloader")]
        files = [os.path.normpath(annotation_path(dataset)) for dataset in datasets]
        read = {_place(file) for file in files}
        for _, evaluator in find_blocks(cfg, f"{split}_evaluator"):
            path = evaluator.get("ann_file")
            if path and read and _place(path) not in read:
                yield f"{split}_evaluator.ann_file={path!r}; write {min(files)!r}"
            elif path and len(read) > 1:
                where = f"{split}_evaluator.ann_file={path!r}, one of {len(read)} files of {split}_dataloader"
                yield f"{where}; write type='MultiDatasetsEvaluator' with a metric for each, or evaluate one by one"


def _place(path: str) -> str:
    """Where a file is, however it is written: from here or from the root, by a link or not."""
    return path if "://" in path else os.path.realpath(path)


def _short_schedules(cfg: Config) -> Iterator[str]:
    for key, scheduler in find_blocks(cfg, "param_scheduler"):
        unit = "max_epochs" if scheduler.get("by_epoch", True) else "max_iters"
        steps, length = scheduler.get("total_steps"), get_key(cfg, f"train_cfg.{unit}")
        if isinstance(steps, int) and isinstance(length, int) and length > steps:
            yield f"{key}.total_steps={steps} with train_cfg.{unit}={length}; write {key}.total_steps={length}"


def _other_names(cfg: Config) -> Iterator[str]:
    for key, block, checkpoint in packaged_checkpoints(cfg.get("model")):
        kind = block["type"]
        if (
            type_name(kind) not in ("MobileNetV2", "FastMobileNetV2")
            or (type_scope(kind) or cfg.get("default_scope")) == "mmpretrain"
        ):
            yield f"{key}.type={shown_type(kind)} with {checkpoint}"


class LossBlock(NamedTuple):
    """A block of this project's loss, or of another one by its name."""

    cfg: Config
    key: str
    block: ConfigDict

    @property
    def kind(self) -> str:
        """The type without its scope."""
        return type_name(self.block["type"])

    @property
    def shown_type(self) -> str:
        """The type as the config has it."""
        return f"{self.key}.type={shown_type(self.block['type'])}"

    @property
    def is_imported(self) -> bool:
        """Whether the config imports this project."""
        imports = (self.cfg.get("custom_imports") or {}).get("imports") or []
        imports = [imports] if isinstance(imports, str) else imports
        return any(str(name).split(".")[0] == "asl_mmdet" for name in imports)

    @property
    def margin(self) -> float:
        """The margin of a detector's loss; 0 for others, and where it is no number."""
        margin = self.block.get("clip", defaults_of(loss_class(self.block["type"])).get("clip", 0.0))
        return margin if "bbox_head" in self.cfg.model and is_number(margin) else 0.0

    @property
    def threshold(self) -> Any:
        """The score from which detections count."""
        return get_key(self.cfg, "model.test_cfg.score_thr")


def _loss_blocks(cfg: Config) -> Iterator[LossBlock]:
    for key, block in find_typed_blocks(cfg.get("model"), "model"):
        loss = LossBlock(cfg, key, block)
        if loss_class(block["type"]) or _is_mmpretrains(loss):
            yield loss


def _is_mmpretrains(loss: LossBlock) -> bool:
    scope = type_scope(loss.block["type"]) or loss.cfg.get("default_scope")
    return scope == "mmpretrain" and loss.kind == AsymmetricLoss.__name__


def _reaches_threshold(loss: LossBlock) -> bool:
    return loss.margin > 0 and is_number(loss.threshold) and loss.margin >= loss.threshold


def _wrong_class_weight(loss: LossBlock) -> Iterator[str]:
    """Weights by name or number that do not fit the classes of the training set; other errors are the loss's own."""
    try:
        weight = check_class_weight(loss.block.get("class_weight"), loss.kind)
    except (ValueError, TypeError):
        return
    classes = _trained_classes(loss.cfg)
    if weight is None or isinstance(weight, Scheme) or not classes:
        return
    try:
        weights_of(weight, classes, list, "both", loss.kind)
    except ValueError as error:
        yield f"{loss.key}: {error}"


def _trained_classes(cfg: Config) -> list[str]:
    """The names of the classes of the training set; none where they are not known before it is built."""
    found = list(find_datasets(cfg.get("train_dataloader"), "train_dataloader"))
    if not found:
        return []
    dataset = found[0][1]
    given = (dataset.get("metainfo") or {}).get("classes")
    if isinstance(given, (list, tuple)):
        return [str(name) for name in given]
    if given is not None or kind_of(dataset) not in ("CocoDataset", "CocoMultiLabel"):
        return []
    file = AnnotationFile(annotation_path(dataset))
    if file.error is not None or file.missing_lists():
        return []
    coco = CocoSet(dataset, file, {})
    return coco.classes or list(coco.names.values())


def _dropped(loss: LossBlock) -> Iterator[str]:
    found = dropped_keys(loss.cfg, loss.key)
    if found:
        values = ", ".join(
            f"{name}={value!r} of {os.path.relpath(path)} is {default!r}"
            for name, (value, default, path) in found.items()
        )
        written = ", ".join(f"{name}={value!r}" for name, (value, _, _) in found.items())
        yield f"{loss.key}: {values}; write {written}"


def _estimates_nowhere(loss: LossBlock) -> Iterator[str]:
    if loss.kind != "MissingRateLoss" or loss.block.get("missing_rate") != "auto":
        return
    lacking = [key for key in ("val_dataloader", "val_cfg", "val_evaluator") if loss.cfg.get(key) is None]
    if lacking:
        yield f"{loss.key}.missing_rate='auto' without {', '.join(lacking)}"


def _type_if(is_wrong: Callable[[LossBlock], bool]) -> Callable[[LossBlock], list[str]]:
    return lambda loss: [loss.shown_type] if is_wrong(loss) else []


def _other_number_of_things(cfg: Config) -> Iterator[str]:
    """Of panoptic data sets, whose files are left to MMDetection."""
    for key, dataset in find_datasets(cfg.get("train_dataloader"), "train_dataloader"):
        things = (dataset.get("metainfo") or {}).get("thing_classes")
        if not things or "Panoptic" not in kind_of(dataset):
            continue
        for place, found in class_counts(cfg).items():
            if found != len(things):
                name = place.rpartition(".")[2]
                yield f"{place}={found}, {len(things)} in {key}.metainfo.thing_classes; write {name}={len(things)}"


CONFIG_RULES: list[Rule[Config]] = [
    Rule("C101", "error", "value out of range", "Training fails or learns nothing useful.", "", _out_of_range),
    Rule(
        "C102",
        "error",
        "persistent workers with num_workers=0",
        "PyTorch refuses it.",
        "Write persistent_workers=False.",
        _persistent_workers,
    ),
    Rule(
        "C103",
        "error",
        "evaluator and data set read different annotation files",
        "The predictions are compared with other images.",
        "",
        _other_annotations,
    ),
    Rule(
        "C104",
        "error",
        "schedule shorter than the training",
        "Training stops with an error where the schedule ends.",
        "",
        _short_schedules,
    ),
    Rule(
        "C105",
        "error",
        "weights with the names of another model",
        "None of them would be loaded.",
        "Write type='mmdet.MobileNetV2', or take the init_cfg out.",
        _other_names,
    ),
    Rule(
        "C106",
        "error",
        "metric that is watched and not evaluated",
        "Training fails after its first evaluation, or never takes it into account.",
        "",
        unknown_monitors,
    ),
    Rule(
        "C107",
        "warning",
        "evaluation that leaves the last images out",
        "Its results are those of the other images, without a word.",
        "Write drop_last=False.",
        _dropped_in_evaluation,
    ),
    Rule(
        "C108",
        "warning",
        "key of MMDetection 2",
        "It is not read.",
        "Write what MMDetection 3 has for it, or take it out.",
        keys_of_version_2,
    ),
    Rule(
        "C109",
        "error",
        "number of classes differs from that of a panoptic data set's things",
        "Labels and scores do not fit.",
        "",
        _other_number_of_things,
    ),
]
NAME_RULES: list[Rule[LossBlock]] = [
    Rule(
        "C201",
        "warning",
        "mmpretrain's loss of the same name",
        "It has other defaults and arguments.",
        "Write type='mmdet.AsymmetricLoss'.",
        _type_if(_is_mmpretrains),
    ),
]
LOSS_RULES: list[Rule[LossBlock]] = [
    Rule(
        "C202",
        "warning",
        "this project's loss without custom_imports",
        "MMDetection's own tools do not find it.",
        "Write custom_imports=dict(imports=['asl_mmdet'], allow_failed_imports=False).",
        _type_if(lambda loss: not loss.is_imported),
    ),
    Rule(
        "C204",
        "warning",
        "loss without weight",
        "No class is learned.",
        "Use a weight above 0.",
        lambda loss: [f"{loss.key}.loss_weight=0"] if loss.block.get("loss_weight") == 0 else [],
    ),
    Rule(
        "C205",
        "warning",
        "margin at or above score_thr",
        "Background settles at p = clip and is detected.",
        "Use a smaller clip (0 is best) or a larger score_thr.",
        lambda loss: (
            [f"{loss.key}.clip={loss.margin} with model.test_cfg.score_thr={loss.threshold}"]
            if _reaches_threshold(loss)
            else []
        ),
    ),
    Rule(
        "C206",
        "warning",
        "margin at or above a detector's first scores of 0.01",
        "No background is learned until some of it scores higher.",
        "The preset is clip=0.",
        lambda loss: [f"{loss.key}.clip={loss.margin}"] if loss.margin >= 0.01 and not _reaches_threshold(loss) else [],
    ),
    Rule(
        "C207",
        "error",
        "class_weight that does not fit the classes of the training set",
        FAILS,
        "",
        _wrong_class_weight,
    ),
    Rule(
        "C210",
        "warning",
        "loss block that deletes what its base config sets",
        "The loss's defaults are used.",
        "Write the values into the block, unless the defaults are what you want.",
        _dropped,
    ),
    Rule(
        "C211",
        "error",
        "MissingRateLoss in a classifier",
        "Its threshold is for scores that start near 0, as a detector's do: training fails.",
        "Use the preset multi_label_missing_labels.",
        _type_if(lambda loss: loss.kind == "MissingRateLoss" and task_of(loss.cfg) is MULTI_LABEL),
    ),
    Rule(
        "C212",
        "error",
        "share of missing boxes to be estimated without validation images",
        FAILS,
        "Write what is not there, or give missing_rate a number.",
        _estimates_nowhere,
    ),
]


def check_config(cfg: Config) -> list[Finding]:
    """Check what the libraries accept in silence, or refuse with a message that does not help.

    What a loss, a head or a hook refuses by itself when it is built is not repeated here.
    """
    findings = Findings()
    findings.apply(CONFIG_RULES, cfg)
    findings.apply(PART_RULES, cfg)
    for loss in _loss_blocks(cfg):
        if not findings.apply(NAME_RULES, loss):
            findings.apply(LOSS_RULES, loss)
    return findings.result()
