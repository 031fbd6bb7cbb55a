"""No loss for the anchors and points that an ignored box would own."""

import inspect
import os
import re
from collections.abc import Callable
from functools import partial, update_wrapper
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from torch import Tensor

from asl_mmdet.config.tree import annotation_path, find_datasets, find_typed_blocks
from asl_mmdet.hooks._common import unwrapped_model

_INSTEAD = (
    "Use a head such as RetinaHead, ATSSHead, GFLHead or FCOSHead, or have the assigners leave out what lies in an "
    "ignored box: ignore_iof_thr=0.5"
)
_IS_IGNORED = re.compile(rb'"as_ignore"\s*:\s*true')  # in what tools/audit_labels.py writes into a file about itself


@HOOKS.register_module()
class IgnoredBoxesHook(Hook):
    """Leave out what ignored boxes (``iscrowd=1``) would own if they were boxes to learn, and nothing else.

    It is for boxes that are too doubtful to train on, such as those that ``tools/audit_labels.py
    --as-ignore`` adds. MMDetection's assigners take them for background, or with ``ignore_iof_thr`` they leave out the
    anchors that lie in them by a share of the anchor: more small anchors in a large box than it would own, and none of
    a small box. Here the head assigns the ignored boxes together with the others, by its own rule. What the ignored
    ones get has no loss, neither as background nor as an object, and does not count as a positive.

    A crowd region counts as one box.

    A config need not name the hook: MMEngine's ``Runner`` gets one where an annotation file of the training has boxes
    by ``--as-ignore``, unless an assigner has an ``ignore_iof_thr``
    (:func:`asl_mmdet.hooks.automatic.add_needed_hooks`).

    Raises:
        ValueError: When training starts, if the head computes its targets in a way that is not known here.
    """

    priority = "ABOVE_NORMAL"

    def before_train(self, runner: Runner) -> None:
        """Install hooks on the assigner of the head or, where it has none, on its loss."""
        self.remove = leave_out_ignored_boxes(getattr(unwrapped_model(runner), "bbox_head", None))

    def after_train(self, runner: Runner) -> None:
        """Remove the hooks."""
        self.remove()


def trains_on_ignored_boxes(cfg: Config) -> bool:
    """Whether a file of the training set has boxes by ``--as-ignore``, and no assigner of the config leaves them out.

    The file is searched, not parsed: a large one takes seconds to parse.
    """
    assigners = find_typed_blocks(cfg.get("model"), "model")
    if any((block.get("ignore_iof_thr") or -1) > 0 for _, block in assigners):
        return False
    datasets = find_datasets(cfg.get("train_dataloader"), "train_dataloader")
    files = [annotation_path(one) for _, one in datasets]
    return any(_IS_IGNORED.search(Path(file).read_bytes()) for file in files if os.path.isfile(file))


def leave_out_ignored_boxes(head: Any) -> Callable[[], None]:
    """Have a head leave out what ignored boxes would own; returns what undoes it.

    Raises:
        ValueError: If the head computes its targets in a way that is not known here.
    """
    from mmdet.models.dense_heads import AnchorHead, ATSSHead, FCOSHead, GFLHead  # seconds; the head has done it

    targets = getattr(type(head), "_get_targets_single", None)
    by_assigner = [kind._get_targets_single for kind in (AnchorHead, ATSSHead, GFLHead)]  # these honour -1
    if targets in by_assigner and getattr(head, "assigner", None) is not None:
        assigner = head.assigner
        assigner.assign = partial(_assign, assigner.assign)
        return lambda: vars(assigner).pop("assign", None)
    if isinstance(head, FCOSHead) and type(head).loss_by_feat is FCOSHead.loss_by_feat:
        handle = head.loss_cls.register_forward_pre_hook(_without_ignored, prepend=True, with_kwargs=True)
        wrapped = head.loss_by_feat
        head.loss_by_feat = update_wrapper(partial(_with_ignored, wrapped, head.num_classes), wrapped)

        def remove() -> None:
            handle.remove()
            vars(head).pop("loss_by_feat", None)

        return remove
    raise ValueError(f"IgnoredBoxesHook does not know how {type(head).__name__} computes its targets. {_INSTEAD}")


def _joined(boxes: InstanceData, ignored: InstanceData, offset: int = 0) -> InstanceData:
    """The boxes and behind them the ignored ones, these with labels that are ``offset`` higher."""
    from mmdet.structures.bbox import cat_boxes

    labels = torch.cat([boxes.labels, ignored.labels + offset])
    return InstanceData(bboxes=cat_boxes([boxes.bboxes, ignored.bboxes]), labels=labels)


def _assign(assign: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Assign boxes and ignored boxes; -1, which is no sample, where it is an ignored one."""
    bound = inspect.signature(assign).bind(*args, **kwargs)
    boxes, ignored = bound.arguments["gt_instances"], bound.arguments.get("gt_instances_ignore")
    if ignored is None or not len(ignored):
        return assign(*args, **kwargs)
    bound.arguments["gt_instances"] = _joined(boxes, ignored)
    result = assign(*bound.args, **bound.kwargs)
    is_ignored = result.gt_inds > len(boxes)
    result.gt_inds[is_ignored] = -1
    if result.labels is not None:
        result.labels[is_ignored] = -1
    result.num_gts = len(boxes)
    return result


def _with_ignored(loss_by_feat: Callable[..., Any], num_classes: int, *args: Any, **kwargs: Any) -> Any:
    """The losses with the ignored boxes among the others, with labels above the background's, which may move by 1."""
    bound = inspect.signature(loss_by_feat).bind(*args, **kwargs)
    ignored = bound.arguments.get("batch_gt_instances_ignore")
    if ignored is not None:
        pairs = zip(bound.arguments["batch_gt_instances"], ignored, strict=True)
        bound.arguments["batch_gt_instances"] = [_joined(boxes, some, num_classes + 2) for boxes, some in pairs]
    return loss_by_feat(*bound.args, **bound.kwargs)


def _without_ignored(loss: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The arguments of a loss of class indices, where labels above the background's become background of weight 0."""
    bound = inspect.signature(loss.forward).bind(*args, **kwargs)
    pred, labels = (bound.arguments[name] for name in list(bound.arguments)[:2])
    is_ignored: Tensor = labels > pred.shape[1]
    weight = bound.arguments.get("weight")
    bound.arguments["weight"] = torch.ones_like(pred[:, 0]) * ~is_ignored if weight is None else weight * ~is_ignored
    bound.arguments[list(bound.arguments)[1]] = labels.masked_fill(is_ignored, pred.shape[1])
    return bound.args, bound.kwargs
