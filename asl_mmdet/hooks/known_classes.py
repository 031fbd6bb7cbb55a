"""No loss for the classes that an image was not labelled for."""

import functools
import inspect
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from asl_mmdet.coco.known_categories import COMPLETE, META_KEY
from asl_mmdet.config.tree import find_typed_blocks, shown_type, type_name
from asl_mmdet.hooks._common import unwrapped_model
from asl_mmdet.hooks.masked_scores import MaskedScores, mark, unmark
from asl_mmdet.hooks.one_more_class import one_more_class, with_best_score, without_last_class
from asl_mmdet.losses import AsymmetricLoss

HAS_UNKNOWN_CLASS = "has_unknown_class"  # likewise: some of its boxes have the label C, which stands for any class

_NO_CLASS = "it learns objects against background without a class, so objects of unknown classes are its background"
_OWN_LOSS = "it computes its classification loss by code of its own"
REFUSED = {  # heads by name, those derived from them too
    "AutoAssignHead": _OWN_LOSS,
    "FreeAnchorRetinaHead": _OWN_LOSS,
    "CenterNetHead": _OWN_LOSS,
    "CenterNetUpdateHead": _NO_CLASS,
    "CornerHead": _OWN_LOSS,
    "EmbeddingRPNHead": _NO_CLASS,
    "GuidedAnchorHead": _NO_CLASS,
    "LADHead": "its teacher assigns labels by losses that know all classes",
    "RPNHead": _NO_CLASS,
    "StageCascadeRPNHead": _NO_CLASS,
    "CascadeRPNHead": _NO_CLASS,
    "YOLACTHead": "its loss is a softmax",
    "YOLOV3Head": _NO_CLASS,
    "YOLOXHead": _NO_CLASS,
    "ATSSVLFusionHead": "its scores are for words, not classes",
}
_INSTEAD = (
    "Use a one-stage head with a sigmoid a class, such as RetinaHead, ATSSHead, FCOSHead, GFLHead, TOODHead or "
    "RTMDetHead"
)
_MIXING = ("Mosaic", "MixUp", "CachedMosaic", "CachedMixUp", "CopyPaste")
_FILL = -1e4  # a logit with p = 0, also in half precision
_UNKNOWN, _COMPLETE = 1, 2  # bits of the marks of scores: of a class that is not known there, of a complete image


@HOOKS.register_module()
class KnownClassesHook(Hook):
    """Leave an image's unknown classes out of the classification loss, where an anchor is background.

    They have no loss and no gradient there. Everything else is as it was. An anchor on an object keeps all its classes:
    what it shows is labelled, so the others are true negatives, whether the image was labelled for them or not.

    The classes that an image was labelled for come with its data sample, in ``metainfo['known_classes']``, as
    :class:`~asl_mmdet.known_classes.KnownClassesCoco` puts them there. It takes every one-stage head of MMDetection
    whose classification loss is a sigmoid a class, with any such loss.

    It does two more things where a data sample asks for them:

    - ``metainfo['complete']``: all objects of the image are known to have a box, so ``ignore_above`` of
      ``AsymmetricLoss`` and ``MissingRateLoss`` ignores nothing there.
    - ``metainfo['has_unknown_class']``: boxes whose label is the number of classes are of a class that nobody knows.
      What they own is background of no class and an object of no class; its box is learned.

    In ``loss_by_feat`` the head's scores carry the mask of the unknown classes along, however they are permuted,
    reshaped, joined or picked (:class:`~asl_mmdet.hooks.masked_scores.MaskedScores`); the loss finds it there,
    beside the labels. Nothing in it waits for the accelerator.

    Raises:
        ValueError: When training starts, if the head or its loss is another one, images are mixed or the model is
            compiled; in training, if an image has no ``known_classes``.
        RuntimeError: In training, if a head that is not MMDetection's does not hand its scores to ``loss_cls``.
    """

    priority = "ABOVE_NORMAL"

    def before_train(self, runner: Runner) -> None:
        """Install hooks on the head and its loss."""
        _refuse_mixing(runner)
        self.head: Any = _dense_head(unwrapped_model(runner))
        self._losses = [module for name, module in self.head.named_children() if "loss_cls" in name]
        self._signature = inspect.signature(self.head.loss_by_feat)
        self._loss_by_feat = self.head.loss_by_feat
        self._calls: int | None = None  # of the loss, in the call of loss_by_feat that is on its way
        self.head.loss_by_feat = functools.update_wrapper(functools.partial(self._with_marks), self._loss_by_feat)
        self._handles = [
            loss.register_forward_pre_hook(self._leave_out, prepend=True, with_kwargs=True) for loss in self._losses
        ] + [loss.register_forward_hook(self._as_wide_as_before) for loss in self._losses]

    def after_train(self, runner: Runner) -> None:
        """Remove the hooks."""
        del self.head.loss_by_feat  # the method of the class shows again
        for handle in self._handles:
            handle.remove()

    def _with_marks(self, *args: Any, **kwargs: Any) -> Any:
        bound = self._signature.bind(*args, **kwargs)
        metas, scores = bound.arguments["batch_img_metas"], bound.arguments["cls_scores"]
        num_classes = self.head.cls_out_channels
        marks = unknown_classes(metas, num_classes) * _UNKNOWN
        is_complete = torch.tensor([bool(meta.get(COMPLETE)) for meta in metas])
        marks += is_complete.unsqueeze(1) * _COMPLETE
        self._any_complete = bool(is_complete.any())
        self._one_more = any(meta.get(HAS_UNKNOWN_CLASS) for meta in metas)
        if self._one_more:
            scores = [with_best_score(level, num_classes) for level in scores]
            marks = torch.cat([marks, marks[:, :1]], 1)
        marks = marks.to(scores[0].device, torch.uint8, non_blocking=True)
        bound.arguments["cls_scores"] = [mark(level, _as_scores(marks, level)) for level in scores]
        self._calls = 0
        try:
            with one_more_class(self.head) if self._one_more else nullcontext():
                losses = self._loss_by_feat(*bound.args, **bound.kwargs)
            if not self._calls:
                raise RuntimeError(
                    f"KnownClassesHook: {type(self.head).__name__}.loss_by_feat does not call loss_cls, and so nothing "
                    f"can be left out. {_INSTEAD}"
                )
        finally:
            self._calls = None
        return losses

    def _leave_out(self, loss: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._calls is None:
            return None
        self._calls += 1
        bound = inspect.signature(loss.forward).bind(*args, **kwargs)
        pred_name, target_name = list(bound.arguments)[:2]
        pred: Any = bound.arguments[pred_name]
        target, weight = bound.arguments[target_name], bound.arguments.get("weight")
        if not isinstance(pred, MaskedScores):
            raise RuntimeError(
                f"KnownClassesHook: {type(self.head).__name__}.loss_by_feat computes with its scores before it calls "
                f"loss_cls, so that it cannot be told which are of unknown classes. {_INSTEAD}"
            )
        pred, marks = unmark(pred), pred.marks
        left_out = marks & _UNKNOWN > 0
        if self._one_more:
            last = pred.shape[1] - 1
            pred, left_out = pred[:, :last], left_out[:, :last]
            is_ranking = bound.arguments.get("reduction_override") == "none"  # to choose or to weigh anchors
            best = pred.argmax(1) if is_ranking else None
            target, weight, rows = without_last_class(target, weight, last, best)
            left_out = left_out | rows.unsqueeze(1)
        left_out = left_out & _is_background(target, pred)
        if isinstance(loss, AsymmetricLoss):  # by weight, so that what counts negatives does not count these
            weight = _weight_of(weight, pred) * ~left_out
            if self._any_complete:
                bound.arguments["is_complete"] = marks[:, 0] & _COMPLETE > 0
        else:
            pred = pred.masked_fill(left_out, 0.0 if getattr(loss, "activated", False) else _FILL)
        bound.arguments[pred_name], bound.arguments[target_name] = pred, target
        if weight is not None:
            bound.arguments["weight"] = weight
        return bound.args, bound.kwargs

    def _as_wide_as_before(self, loss: Any, args: Any, out: Tensor) -> Tensor:
        """A loss for every element has a column for the class that only the targets know."""
        return nn.functional.pad(out, (0, 1)) if self._calls and self._one_more and out.dim() == 2 else out


def unknown_classes(metas: Sequence[dict[str, Any]], num_classes: int) -> Tensor:
    """Which classes are unknown in which image: bool (N, C), on the CPU.

    Raises:
        ValueError: If an image does not say, or has other classes than the head.
    """
    unknown = torch.ones(len(metas), num_classes, dtype=torch.bool)
    for row, meta in zip(unknown, metas, strict=True):
        if META_KEY not in meta:
            raise ValueError(
                f"KnownClassesHook: the image {meta.get('img_path', '')} has no {META_KEY} in its metainfo. Write "
                "type='KnownClassesCoco' for its data set (docs/how_to/merge_datasets.md), or put the key into the "
                "results of your own and into meta_keys of PackDetInputs"
            )
        known = list(meta[META_KEY])
        if known and not 0 <= min(known) <= max(known) < num_classes:
            raise ValueError(
                f"KnownClassesHook: the image {meta.get('img_path', '')} has {META_KEY} up to {max(known)}, and the "
                f"head has num_classes={num_classes}: they must be indices of the head's classes"
            )
        row[known] = False
    return unknown


def _as_scores(marks: Tensor, scores: Tensor) -> Tensor:
    """Marks (N, C) as scores (N, A * C, H, W) are laid out, in memory too."""
    anchors = scores.shape[1] // marks.shape[1]
    return torch.empty_like(scores, dtype=marks.dtype).copy_(marks.repeat(1, anchors)[:, :, None, None])


def _is_background(target: Any, pred: Tensor) -> Tensor:
    """The rows (N, 1) without a positive, of labels (N,), (labels, scores) or targets (N, C)."""
    labels = target[0] if isinstance(target, (tuple, list)) else target
    if labels.shape == pred.shape:
        return (labels <= 0).all(1, keepdim=True)
    return ((labels < 0) | (labels >= pred.shape[1])).unsqueeze(1)


def _weight_of(weight: Tensor | None, pred: Tensor) -> Tensor:
    if weight is None:
        return torch.ones_like(pred, dtype=torch.float32)
    return weight.reshape(pred.shape if weight.numel() == pred.numel() else (len(pred), 1))


def _dense_head(model: nn.Module) -> Any:
    """The head, if it is one whose loss this can be done for."""
    head = getattr(model, "bbox_head", None)
    if head is None or hasattr(model, "rpn_head"):
        raise ValueError(f"KnownClassesHook does not work with {type(model).__name__}: it has two stages. {_INSTEAD}")
    if problem := _problem_of(head):
        raise ValueError(f"KnownClassesHook does not work with {type(head).__name__}: {problem}. {_INSTEAD}")
    return head


def _problem_of(head: Any) -> str:
    from mmdet.models.dense_heads.base_dense_head import BaseDenseHead  # seconds; the head has done it already

    if not isinstance(head, BaseDenseHead):
        return "it matches queries with objects"
    for kind in type(head).__mro__:
        if kind.__name__ in REFUSED:
            return REFUSED[kind.__name__]
    losses = {name: module for name, module in head.named_children() if "loss_cls" in name}
    if not losses:
        return "it has no loss_cls"
    for name, loss in losses.items():
        if type(loss).__name__.startswith("GHM"):
            return f"{name} is {type(loss).__name__}, which counts the elements of a batch"
        if not getattr(loss, "use_sigmoid", False):
            return f"{name} is {type(loss).__name__} with a softmax (use_sigmoid is not True)"
    if missing := {"cls_scores", "batch_img_metas"} - inspect.signature(head.loss_by_feat).parameters.keys():
        return f"its loss_by_feat has no argument {' and '.join(sorted(missing))}"
    return ""


def _refuse_mixing(runner: Runner) -> None:
    for key, block in find_typed_blocks(runner.cfg.get("train_dataloader"), "train_dataloader"):
        if type_name(block["type"]) in _MIXING:
            raise ValueError(
                f"KnownClassesHook: {key}.type={shown_type(block['type'])} puts several images into one, and each has "
                "its own known classes: leave it out"
            )
    if runner.cfg.get("compile"):
        raise ValueError("KnownClassesHook does not work in a compiled model: leave compile out of the config")
