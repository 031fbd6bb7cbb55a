"""The probabilities of positives and negatives along training."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from asl_mmdet.hooks._common import log_scalars, unwrapped_model
from asl_mmdet.losses.probability import probability_gap, probability_sums


@HOOKS.register_module()
class ProbabilityGapHook(Hook):
    """Log the probability gap of a run (Section 2.6 of https://arxiv.org/abs/2009.14119), whatever its loss is.

    After every training iteration the message hub gets ``pt_pos`` (mean p of the positives), ``pt_neg`` (mean 1 - p of
    the negatives) and ``prob_gap`` (their difference): of all calls of the classification loss in that iteration, such
    as those of the levels of a feature pyramid, and of all processes. They appear where losses do: in the log, its JSON
    file and the visualizer's backends, each averaged over the log processor's window. An iteration without positives
    adds nothing.

    The loss is only looked at: a forward pre-hook reads its arguments.

    Args:
        names: Attributes that hold classification losses: ``loss_cls`` in MMDetection, ``loss_module`` in mmpretrain.
        min_score: Count only negatives with a probability of at least this.

    Raises:
        ValueError: When training starts, if the model has no such sigmoid loss, or more than one.
    """

    def __init__(self, names: Sequence[str] = ("loss_cls", "loss_module"), min_score: float = 0.0) -> None:
        self.names = tuple(names)
        self.min_score = min_score
        self.sums: Tensor | None = None

    def before_train(self, runner: Runner) -> None:
        """Find the loss and start to look at it."""
        modules = unwrapped_model(runner).named_modules()
        named = {path: module for path, module in modules if path.rpartition(".")[2] in self.names}
        losses = {path: module for path, module in named.items() if _is_sigmoid(module)}
        if len(losses) != 1:
            found = ", ".join(f"{path} ({type(module).__name__})" for path, module in named.items()) or "none"
            raise ValueError(
                f"ProbabilityGapHook needs one classification loss with a sigmoid named {' or '.join(self.names)}, and "
                f"the model has {found}: give names=[...] that belong to one"
            )
        (loss,) = losses.values()
        self._handle = loss.register_forward_pre_hook(self._look, with_kwargs=True)
        _smooth(runner, ("pt_pos", "pt_neg", "prob_gap"))

    def after_train(self, runner: Runner) -> None:
        """Leave the loss alone again."""
        self._handle.remove()

    def _look(self, loss: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not loss.training or not torch.is_grad_enabled():
            return
        given = dict(zip(("pred", "target", "weight"), args, strict=False)) | kwargs
        pred, target = given.get("pred", given.get("cls_score")), given.get("target", given.get("label"))
        if isinstance(target, (tuple, list)):  # labels, and what quality focal loss has with them
            target = target[0]
        if not isinstance(pred, Tensor) or not isinstance(target, Tensor):
            raise TypeError(f"ProbabilityGapHook does not know what {type(loss).__name__} is called with")
        activated = bool(getattr(loss, "activated", False))
        sums = probability_sums(pred, target, given.get("weight"), activated=activated, min_score=self.min_score)
        self.sums = sums if self.sums is None else self.sums + sums

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Hand the averages of this iteration to the message hub."""
        if self.sums is None:  # in every process alike: the loss was not called
            return
        all_reduce(self.sums)
        pt_pos, pt_neg = torch.stack(probability_gap(self.sums)).tolist()
        self.sums = None
        log_scalars(runner, dict(pt_pos=pt_pos, pt_neg=pt_neg, prob_gap=pt_pos - pt_neg))


def _is_sigmoid(loss: nn.Module) -> bool:
    inner = getattr(loss, "loss", loss)  # of a loss for partial labels
    return bool(getattr(inner, "use_sigmoid", type(inner).__name__ == "FocalLoss"))  # mmpretrain's has no such flag


def _smooth(runner: Runner, names: Sequence[str]) -> None:
    """Log means over the window instead of single iterations, as for losses."""
    known = {cfg["data_src"] for cfg in runner.log_processor.custom_cfg}
    window = runner.log_processor.window_size
    runner.log_processor.custom_cfg += [
        dict(data_src=name, method_name="mean", window_size=window) for name in names if name not in known
    ]
