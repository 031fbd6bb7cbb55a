"""What the losses share that move a parameter of theirs after every iteration."""

import warnings
from typing import Any

import torch
from mmengine.dist import all_reduce
from torch import Tensor

from asl_mmdet.losses.asymmetric import AsymmetricLoss


class SteppingLoss(AsymmetricLoss):
    """``AsymmetricLoss`` that adds up what it sees in an iteration, and moves parameters by it. Sigmoid only.

    :class:`asl_mmdet.hooks.AdaptiveAsymmetryHook` calls :meth:`step` after every iteration; MMEngine's ``Runner`` gets
    that hook by itself, other loops must call it. What moves are buffers: checkpoints have them, and ``--resume``
    continues with them. All processes have the same.
    """

    warn_after_calls = 10_000
    """After so many calls without a step it warns that the hook is missing."""

    moved: tuple[str, ...] = ()
    """The names of what moves, and of what else the log shows."""

    _sums: Tensor

    def __init__(self, use_sigmoid: bool | None, **kwargs: Any) -> None:
        if use_sigmoid is False:
            raise ValueError(f"{type(self).__name__} got use_sigmoid=False: it adapts the sigmoid form only")
        super().__init__(use_sigmoid, **kwargs)
        self._calls = 0

    def sums(self, pred: Tensor, target: Tensor, weight: Tensor | None, is_complete: Tensor | None = None) -> Tensor:
        """What of a call counts for the next step; of equal shape in every call."""
        raise NotImplementedError

    def move(self, sums: Tensor) -> None:
        """Take the step, by the sums of all calls in all processes."""
        raise NotImplementedError

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
        is_complete: Tensor | None = None,
    ) -> Tensor:
        """The loss, as :class:`AsymmetricLoss`; in training it counts for the next step."""
        loss = super().forward(pred, target, weight, avg_factor, reduction_override, is_complete)
        if self.training and torch.is_grad_enabled():
            self._sums += self.sums(pred, target, weight, is_complete)
            self._calls += 1
            if self._calls == self.warn_after_calls:
                warnings.warn(
                    f"{type(self).__name__} adapts nothing: add dict(type='AdaptiveAsymmetryHook') to custom_hooks, or "
                    "call its step() after every iteration",
                    stacklevel=2,
                )
        return loss

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Load what there is: what a checkpoint of another loss does not have starts as the config says."""
        for name, value in self.state_dict().items():
            state_dict.setdefault(prefix + name, value)
        super()._load_from_state_dict(state_dict, prefix, *args)

    @torch.no_grad()
    def step(self) -> None:
        """Move by all calls, in all processes, since the last step."""
        all_reduce(self._sums)
        self.move(self._sums)
        self._sums.zero_()
        self._calls = 0
