"""The loss that sets its own asymmetry (Section 2.7 of https://arxiv.org/abs/2009.14119)."""

from typing import Any

import torch
from mmdet.registry import MODELS
from torch import Tensor

from asl_mmdet.losses._validation import check_choice, check_number
from asl_mmdet.losses.probability import probability_gap, probability_sums
from asl_mmdet.losses.stepping import SteppingLoss


@MODELS.register_module()
class AdaptiveAsymmetricLoss(SteppingLoss):
    r"""ASL whose gamma- (or margin, or both) moves until the probability gap is ``target_gap``. Sigmoid only.

    The gap :math:`\Delta p = p_t^+ - p_t^-` is the mean p of the positives less the mean 1 - p of the negatives of an
    iteration (Eq. 9, 10). After every iteration :class:`asl_mmdet.hooks.AdaptiveAsymmetryHook`, which MMEngine's
    ``Runner`` gets by itself, has the loss take one step

    .. math:: \gamma_- \leftarrow \gamma_- - \lambda (\Delta p - \Delta p_{target})

    Eq. 11 as printed has the other sign, with which gamma- runs to a bound: a larger gamma- raises the gap.

    ``gamma_neg`` and ``clip`` are where it starts. They are buffers: checkpoints have them, and ``--resume`` continues
    with them. All processes have the same. An iteration without positives changes nothing.

    Args:
        target_gap: The gap to reach, in (-1, 1). The paper tries 0 to 0.3 for multi-label classification.
        step_size: lambda for gamma-.
        gamma_neg_min: Lower bound of gamma-.
        gamma_neg_max: Upper bound of gamma-.
        adapt: 'gamma_neg' (the paper's), 'clip' or 'both'.
        clip_step_size: lambda for the margin (``clip``).
        clip_max: Upper bound of the margin, below 1.
        num_classes: Give every class a gamma- (or margin) and a gap of its own; None: one for all.
        momentum: The share of its past that the gap keeps in an iteration, in [0, 1): a moving average.
        min_score: Count only negatives with a probability of at least this. A detector's negatives are nearly all
            easy from the start, so their mean 1 - p is near 1 whatever gamma- is. With a ``min_score`` of the head's
            ``score_thr`` the gap depends on gamma-.
        **kwargs: As :class:`AsymmetricLoss`.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> loss_cls = AdaptiveAsymmetricLoss(use_sigmoid=True, gamma_neg=2.0, target_gap=0.1, step_size=1.0)
        >>> logits, labels = torch.tensor([[2.2], [0.0]]), torch.tensor([0, 1])  # 1 is background here
        >>> loss = loss_cls(logits, labels, avg_factor=1)
        >>> loss_cls.step()  # the gap is 0.9 - 0.5, which is 0.3 too large; the hook calls this
        >>> print(f'{loss_cls.gap:.2f} {loss_cls.gamma_neg:.2f}')
        0.40 1.70
    """

    gamma_neg: Tensor  # type: ignore[assignment]
    clip: Tensor | float  # type: ignore[assignment]
    gap: Tensor

    def __init__(
        self,
        use_sigmoid: bool | None = None,
        target_gap: float = 0.1,
        step_size: float = 0.1,
        gamma_neg_min: float = 0.0,
        gamma_neg_max: float = 8.0,
        adapt: str = "gamma_neg",
        clip_step_size: float = 0.01,
        clip_max: float = 0.5,
        num_classes: int | None = None,
        momentum: float = 0.0,
        min_score: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(use_sigmoid, **kwargs)
        name = type(self).__name__
        self.target_gap = check_number("target_gap", target_gap, -1, 1, owner=name)
        self.step_size = check_number("step_size", step_size, 0, float("inf"), owner=name)
        self.gamma_neg_min = check_number("gamma_neg_min", gamma_neg_min, 0, float("inf"), owner=name)
        self.gamma_neg_max = check_number("gamma_neg_max", gamma_neg_max, gamma_neg_min, float("inf"), owner=name)
        self.adapt = check_choice("adapt", adapt, ("gamma_neg", "clip", "both"), owner=name)
        self.clip_step_size = check_number("clip_step_size", clip_step_size, 0, float("inf"), owner=name)
        self.clip_max = check_number("clip_max", clip_max, 0, 1, owner=name)
        self.momentum = check_number("momentum", momentum, 0, 1, owner=name)
        self.min_score = check_number("min_score", min_score, 0, 1, owner=name)
        if num_classes is not None and num_classes < 1:
            raise ValueError(f"{name} got num_classes={num_classes}: use the number of classes, or None")
        if not gamma_neg_min <= self.gamma_neg <= gamma_neg_max:
            raise ValueError(
                f"{name} got gamma_neg={self.gamma_neg}: it starts outside of [gamma_neg_min, gamma_neg_max] = "
                f"[{gamma_neg_min}, {gamma_neg_max}]"
            )
        adapted = ("gamma_neg", "clip") if adapt == "both" else (adapt,)
        shape = () if num_classes is None else (num_classes,)
        for parameter in adapted:
            start = float(getattr(self, parameter))
            delattr(self, parameter)
            self.register_buffer(parameter, torch.full(shape, start))
        self.register_buffer("gap", torch.full(shape, float(target_gap)))
        self.register_buffer("_sums", torch.zeros(4, *shape), persistent=False)
        self.moved = (*adapted, "gap")

    def sums(self, pred: Tensor, target: Tensor, weight: Tensor | None, is_complete: Tensor | None = None) -> Tensor:
        """The probabilities of positives and negatives, added up, and their numbers."""
        return probability_sums(
            pred, target, weight, activated=self.activated, min_score=self.min_score, per_class=self.gap.dim() > 0
        )

    def move(self, sums: Tensor) -> None:
        """Move gamma- (or the margin) by the gap."""
        p_pos, p_neg = probability_gap(sums)
        new = p_pos - p_neg
        seen = new.isfinite()  # there were positives and negatives
        gap = torch.where(seen, self.momentum * self.gap + (1 - self.momentum) * new, self.gap)
        error = torch.where(seen, gap - self.target_gap, 0)
        self.gap.copy_(gap)
        if self.adapt != "clip":
            moved = self.gamma_neg - self.step_size * error
            self.gamma_neg.copy_(moved.clamp(self.gamma_neg_min, self.gamma_neg_max))
        if isinstance(self.clip, Tensor):
            self.clip.copy_((self.clip - self.clip_step_size * error).clamp(0, self.clip_max))

    def extra_repr(self) -> str:
        """Show the parameters in the printed model."""
        own = ("target_gap", "step_size", "gamma_neg_min", "gamma_neg_max", "adapt", "momentum", "min_score")
        return ", ".join([super().extra_repr(), *(f"{name}={getattr(self, name)!r}" for name in own)])
