"""Whether weights are of the model, and of the classes, that they are used for."""

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config
from torch import nn

from asl_mmdet.checks.finding import FAILS, Finding, Rule, check
from asl_mmdet.compat.checkpoints import dataset_meta_of, load_checkpoint, number_fitting, weights_for
from asl_mmdet.compat.packaged_weights import PREFIX, find_file, packaged_checkpoints
from asl_mmdet.config.tree import find_datasets
from asl_mmdet.errors import UserError

SHOWN = 5
Weights = tuple[str, nn.Module]  # the file that a training starts from, and its model
Classes = tuple[str, list[str], list[str]]  # a checkpoint, its classes, and those of the config


def _of_another_model(start: Weights) -> Iterator[str]:
    """The file, if it has nothing for the model; of two heads with other classes the rest fits."""
    from mmdet.models import SemiBaseDetector  # there by now, and slow to import before

    path, model = start
    try:
        weights = weights_for(model, path)
    except UserError as error:
        yield str(error)
        return
    takes_detectors = isinstance(model, SemiBaseDetector)  # and gives them to its student and its teacher
    parts: list[Any] = [model, *([model.student] if takes_detectors else [])]
    if not any(number_fitting(part, weights) for part in parts):
        there, here = next(iter(weights), "nothing"), next(iter(model.state_dict()), "nothing")
        yield f"{path} has {there}, ..., the model {here}, ..."


def _differing(classes: Classes) -> Iterator[str]:
    path, there, here = classes
    if there and here and there != here:
        yield f"{path} has {_shown(there)}, the config {_shown(here)}"


def _shown(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + ", ..." * (len(names) > SHOWN)


CLASSES_RULES: list[Rule[Classes]] = [
    Rule(
        "P208",
        "warning",
        "checkpoint of other classes than the config's, or of the same in another order",
        "Results count the objects of one class for another, unless only names were changed.",
        "Use the metainfo.classes that it was trained with.",
        _differing,
    ),
]
WEIGHTS_RULES: list[Rule[Weights]] = [
    Rule(
        "P207",
        "error",
        "load_from of which no tensor fits the model",
        "Training would start as without it.",
        "Name a checkpoint of this model, or take it out. Weights of only a backbone go into model.backbone.init_cfg.",
        _of_another_model,
    ),
]


def _not_packaged(cfg: Config) -> Iterator[str]:
    for key, _, checkpoint in packaged_checkpoints(cfg.model):
        try:
            find_file(checkpoint.removeprefix(PREFIX))
        except (OSError, UserError) as error:
            yield f"{key}: {error}"


PACKAGED_RULES: list[Rule[Config]] = [
    Rule("P210", "error", "pretrained weights that are not there", FAILS, "", _not_packaged),
]


def check_packaged_weights(cfg: Config) -> list[Finding]:
    """Whether the ``packaged://`` weights that a training starts from are installed."""
    return check(PACKAGED_RULES, cfg)


def check_classes(path: str, cfg: Config, split: str) -> list[Finding]:
    """Whether a checkpoint, if it says so, is of the classes that a config names for a split: 'val' or 'test'."""
    if "://" in path:
        return []
    meta = dataset_meta_of(load_checkpoint(path, keep=True))
    there = meta.get("classes", meta.get("CLASSES"))
    found = [data.get("metainfo") or {} for _, data in find_datasets(cfg.get(f"{split}_dataloader"), "")]
    here = found[0].get("classes") if found else None
    there, here = (list(map(str, one)) if isinstance(one, (list, tuple)) else [] for one in (there, here))
    return check(CLASSES_RULES, (path, there, here))


def check_weights(path: str, model: nn.Module) -> list[Finding]:
    """Whether a model takes anything of the weights in a local file; MMEngine only warns."""
    return check(WEIGHTS_RULES, (path, model)) if "://" not in path else []
