"""A detector with its weights, classes and thresholds, without a runner or a data set."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from mmdet.registry import DATASETS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import MODELS, DefaultScope

from asl_mmdet.checks.heads import class_counts
from asl_mmdet.compat.checkpoints import dataset_meta_of, load_checkpoint, load_weights, weights_for
from asl_mmdet.config.coco_folder import if_unset
from asl_mmdet.config.task import DETECTION, task_of
from asl_mmdet.config.tree import find_datasets, find_type, type_name
from asl_mmdet.errors import UserError
from asl_mmdet.thresholds import ThresholdFile
from asl_mmdet.thresholds.model import wrap_model

Detector = Any  # a module with ``cfg`` and ``dataset_meta``; by PyTorch's types every attribute is a tensor or a module


def load_detector(
    cfg: Config, checkpoint: str, *, device: str | None = None, thresholds: str | None = None
) -> Detector:
    """The detector of a config with the weights of a checkpoint, ready to predict.

    It has ``cfg`` and ``dataset_meta`` as one of ``mmdet.apis.init_detector`` has, so MMDetection's functions take it.
    The checkpoint is read without running code that is in it, and every weight must be there.

    Args:
        cfg: The config; it is not changed.
        checkpoint: A local file.
        device: Where the model goes; by default to the accelerator if there is one.
        thresholds: A ``thresholds.json`` by which the predictions are calibrated and cut.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        UserError: If the weights are those of another model, or as :func:`build_detector`.
    """
    state = load_checkpoint(checkpoint, keep=True)
    model = build_detector(cfg, classes_of(cfg, state), thresholds)
    if unfit := load_weights(model, weights_for(model, checkpoint)):
        number = len(model.state_dict())
        raise UserError(
            f"{checkpoint} is not a checkpoint of this config: {len(unfit)} of {number} weights do not fit, the first "
            f"is {unfit[0]}"
        )
    return model.to(device or get_device())


def build_detector(cfg: Config, classes: Sequence[str], thresholds: str | None = None) -> Detector:
    """The detector of a config with initial weights, in evaluation mode, on the CPU; nothing is downloaded.

    Args:
        cfg: The config; it is not changed.
        classes: The names of the labels.
        thresholds: A ``thresholds.json`` by which the predictions are calibrated and cut.

    Raises:
        UserError: If the config is a classifier's, if the model has another number of classes, or if the thresholds
            are for other classes or the config has some already.
    """
    if task_of(cfg) is not DETECTION:
        raise UserError("CONFIG is a multi-label classifier's: predict by mmpretrain's ImageClassificationInferencer")
    cfg = deepcopy(cfg)
    if thresholds:
        add_thresholds(cfg, thresholds, classes, "the model")
    _check_number(cfg, classes)
    _download_nothing(cfg.model.get("backbone", {}))
    register_all_modules(init_default_scope=False)
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope") or "mmdet"):
        model: Detector = MODELS.build(cfg.model)
    model.cfg = cfg
    model.dataset_meta = dict(classes=tuple(classes))
    return model.eval()


def add_thresholds(cfg: Config, path: str, classes: Sequence[str], owner: str) -> None:
    """Have the model of a config cut its predictions by a thresholds file.

    Raises:
        UserError: If the file is for another task or for other classes than those of ``owner``, or if the config has
            thresholds already.
    """
    try:
        if type_name(cfg.model.type) == "WithThresholds":
            raise UserError(f"the config has model.thresholds={cfg.model.thresholds!r} already; leave one out")
        content = ThresholdFile.read(path)
        if content.task != task_of(cfg).name:
            raise UserError(f"task={content.task!r}: the config is for {task_of(cfg).name}")
        content.check_classes(classes, owner)
    except UserError as error:
        raise UserError(f"--thresholds {path}: {error}") from error
    wrap_model(cfg.model, path)


def _check_number(cfg: Config, classes: Sequence[str]) -> None:
    counts = class_counts(cfg)
    if any(key.endswith("num_things_classes") for key in counts):
        return  # panoptic: the classes are of things and of stuff
    if wrong := [f"{key}={number}" for key, number in counts.items() if number != len(classes)]:
        raise UserError(
            f"{wrong[0]}, and the checkpoint is of {len(classes)} classes, {', '.join(classes[:5])}, ...: use the "
            f"config that it was trained with{if_unset(cfg)}"
        )


def classes_of(cfg: Config, checkpoint: dict[str, Any]) -> tuple[str, ...]:
    """The names of the labels: those that MMEngine wrote into the checkpoint, or the test set's.

    Raises:
        UserError: If neither names them.
    """
    meta = dataset_meta_of(checkpoint)
    for key in ("classes", "CLASSES"):
        if key in meta:
            return tuple(meta[key])
    for _, dataset in find_datasets(cfg.get("test_dataloader") or {}, "test_dataloader"):
        given = dataset.get("metainfo") or {}
        classes = given.get("classes") or getattr(find_type(DATASETS, dataset.type), "METAINFO", {}).get("classes")
        if classes and not isinstance(classes, str):
            return tuple(classes)
    raise UserError("neither the checkpoint nor test_dataloader.dataset.metainfo.classes has the names of the classes")


def _download_nothing(backbone: dict[str, Any]) -> None:
    """The checkpoint has all weights."""
    if "init_cfg" in backbone:
        backbone["init_cfg"] = None
    if backbone.get("pretrained") is True:  # timm's backbones
        backbone["pretrained"] = False
