"""What a config trains, a detector or a multi-label classifier, and what follows from it."""

from dataclasses import dataclass
from typing import Any

from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS, DefaultScope

from asl_mmdet.config.tree import find_typed_blocks, get_key, type_name, type_scope
from asl_mmdet.errors import UserError


@dataclass(frozen=True)
class Task:
    """A kind of model.

    Args:
        name: 'detection' or 'multi-label'.
        loss_key: What the heads call their classification loss.
        metrics: What the log has of an evaluation, and its label; a run is judged by the first.
        main_metric: The short name of that first one.
        percent: What makes percent of a logged metric.
    """

    name: str
    loss_key: str
    metrics: dict[str, str]
    main_metric: str
    percent: float

    @property
    def logged_metric(self) -> str:
        """The name in the log of what a run is judged by."""
        return next(iter(self.metrics))


_COCO = {"coco/bbox_mAP": "box AP", "coco/bbox_mAP_50": "AP50", "coco/bbox_mAP_75": "AP75"}
DETECTION = Task("detection", "loss_cls", _COCO, "AP", 100)
MULTI_LABEL = Task("multi-label", "loss", {"multi-label/mAP": "mAP"}, "mAP", 1)


def task_of(cfg: Config) -> Task:
    """The task of a config: mmpretrain's models are classifiers, all others detectors."""
    model = cfg.get("model") or {}
    model_type = model.get("model_type") or model.get("type", "")  # the first where it has thresholds
    is_classifier = cfg.get("default_scope") == "mmpretrain" or type_scope(model_type) == "mmpretrain"
    return MULTI_LABEL if is_classifier else DETECTION


def loss_nodes(cfg: Config) -> dict[str, ConfigDict]:
    """The blocks of all classification losses, by their keys: ``model.bbox_head.loss_cls``, ``model.head.loss``, ...

    Two-stage detectors have several, and so have those with auxiliary heads.
    """
    task = task_of(cfg)
    if task is MULTI_LABEL:
        head = (cfg.get("model") or {}).get("head") or {}
        return {"model.head.loss": head["loss"]} if "loss" in head else {}
    blocks = find_typed_blocks(cfg.get("model"), "model")
    return {key: block for key, block in blocks if key.endswith(f".{task.loss_key}")}


def loss_node(cfg: Config) -> tuple[str, ConfigDict]:
    """The key and the block of the classification loss.

    Raises:
        UserError: If the model has none, or more than one.
    """
    nodes = loss_nodes(cfg)
    if len(nodes) != 1:
        model_type = type_name((cfg.get("model") or {}).get("type"))
        raise UserError(
            f"{model_type} has {len(nodes)} classification losses ({', '.join(nodes) or 'none'}), and one is expected: "
            "a one-stage detector's or a multi-label classifier's"
        )
    return next(iter(nodes.items()))


def set_loss(cfg: Config, loss: dict[str, Any]) -> None:
    """Replace the classification loss.

    Raises:
        UserError: As :func:`loss_node`.
    """
    key, _ = loss_node(cfg)
    parent, _, last = key.rpartition(".")
    get_key(cfg, parent)[last] = ConfigDict(loss)


def build_dataset(cfg: Config, node: dict[str, Any]) -> Any:
    """A data set of the config, without a runner."""
    register_all_modules(init_default_scope=False)
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope", "mmdet")):
        return DATASETS.build(node)
