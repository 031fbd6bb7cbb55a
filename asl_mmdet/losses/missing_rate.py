"""The loss that knows what share of the objects has no label."""

from typing import Any

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn

from asl_mmdet.losses._eager import sum_of_chunks
from asl_mmdet.losses._validation import align_weight, check_number
from asl_mmdet.losses.stepping import SteppingLoss

AUTO = "auto"


@MODELS.register_module()
class MissingRateLoss(SteppingLoss):
    r"""ASL of a detector that ignores as much background as objects are missing. Sigmoid, and class indices, only.

    Where a share r of the objects has no label, an unlabelled object should look like a labelled one: for every
    :math:`1 - r` positives there are r places of background with a high probability. So ``ignore_above``, t, moves
    after every iteration with b positive anchors (or points) and n of background that have a class above it:

    .. math:: t \leftarrow t + \lambda \frac{n - e}{n + e + 1}, \quad e = \frac{r}{1 - r} b

    It rises while more is ignored than is expected to be missing, so it follows the scores as they grow in training,
    and it needs no value that fits all data. (https://arxiv.org/abs/2206.03740 rejects a share of the large losses
    too: of every batch, and a larger one every epoch.)

    After every iteration :class:`asl_mmdet.hooks.AdaptiveAsymmetryHook`, which MMEngine's ``Runner`` gets by itself,
    has the loss take its step. Scores must start near 0, as those of MMDetection's dense heads do (at 0.01): where all
    background starts above the threshold, none is learned. So classifiers, whose scores start at 0.5, are refused; on
    FOD-A one had 7 % mAP instead of 71. The threshold is a buffer: checkpoints have it, and ``--resume`` continues
    with it.

    With ``missing_rate='auto'`` the share is estimated a few times in the training, on the validation images, by
    :class:`asl_mmdet.hooks.MissingShareHook`, which the ``Runner`` gets by itself too. Until an estimate can be
    trusted, and where nothing is missing, r is 0 and t is 1: the loss is :class:`AsymmetricLoss`, and ignores nothing.
    The share is a buffer as well.

    Args:
        missing_rate: r, the share of all objects that has no label, in (0, 1), or 'auto'.
        step_size: :math:`\lambda`.
        ignore_above: Where the threshold starts, with 'auto' as soon as there is a share.
        ignore_above_min: Its lower bound.
        **kwargs: As :class:`AsymmetricLoss`.

    Raises:
        ValueError: If an argument is out of range, if the labels have the logits' shape, or in the first step, if much
            more background is ignored than is expected to be missing.

    Example:
        >>> loss_cls = MissingRateLoss(use_sigmoid=True, missing_rate=0.5, ignore_above=0.5, step_size=0.1)
        >>> logits, labels = torch.tensor([[2.0], [1.0], [3.0]]), torch.tensor([0, 1, 1])  # 1 is background here
        >>> loss = loss_cls(logits, labels, avg_factor=1)
        >>> loss_cls.step()  # two ignored, one expected: 0.5 + 0.1 (2 - 1) / 4; the hook calls this
        >>> loss_cls.ignore_above
        tensor(0.5250)
    """

    ignore_above: Tensor  # type: ignore[assignment]
    missing_rate: Tensor | float

    def __init__(
        self,
        use_sigmoid: bool | None = None,
        missing_rate: float | str = 0.5,
        step_size: float = 0.01,
        ignore_above: float = 0.3,
        ignore_above_min: float = 0.15,
        **kwargs: Any,
    ) -> None:
        super().__init__(use_sigmoid, ignore_above=ignore_above, **kwargs)
        name = type(self).__name__
        self.is_auto = missing_rate == AUTO
        if isinstance(missing_rate, str) and not self.is_auto:
            raise ValueError(f"{name} got missing_rate={missing_rate!r}: use a number in (0, 1), or 'auto'")
        if self.is_auto:
            self.register_buffer("missing_rate", torch.tensor(0.0))
        else:
            self.missing_rate = check_number("missing_rate", missing_rate, 0, 1, owner=name)
            if not missing_rate:
                raise ValueError(f"{name} got missing_rate=0: with all labels there, use AsymmetricLoss")
        self.step_size = check_number("step_size", step_size, 0, 1, owner=name)
        self.ignore_above_min = check_number("ignore_above_min", ignore_above_min, self.clip, 1, owner=name)
        if not ignore_above_min <= ignore_above:
            raise ValueError(
                f"{name} got ignore_above={ignore_above}: it starts below ignore_above_min={ignore_above_min}"
            )
        del self.ignore_above
        self._start = float(ignore_above)
        self.register_buffer("ignore_above", torch.tensor(1.0 if self.is_auto else self._start))
        self.register_buffer("_sums", torch.zeros(2), persistent=False)
        self.moved = ("ignore_above",)
        self._has_moved = False

    @torch.no_grad()
    def sums(self, pred: Tensor, target: Tensor, weight: Tensor | None, is_complete: Tensor | None = None) -> Tensor:
        """How many anchors of background are ignored, how many are positive, but for complete rows: (2,)."""
        if target.shape == pred.shape:
            raise ValueError(
                "MissingRateLoss got labels of the logits' shape, as a multi-label classifier has: it is for "
                "detectors, whose scores start near 0. Use the preset multi_label_missing_labels"
            )
        weight = None if weight is None else align_weight(weight, pred)
        if is_complete is not None:
            weight = ~is_complete.unsqueeze(1) * (1.0 if weight is None else weight)
        return sum_of_chunks(self._counts, pred.detach(), target, weight).to(self._sums)

    def _counts(self, pred: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        is_background = target == pred.shape[1]
        threshold = self.ignore_above if self.activated else self.ignore_above.logit()
        # As numbers, whose sums over a chunk are exact: on a CPU that is several times as fast as masks.
        above = torch.empty_like(pred, dtype=torch.float32).copy_(pred).gt_(threshold)
        background, positive = is_background.float(), ~is_background
        if weight is not None:
            above, positive = above * (weight > 0), positive & (weight > 0).any(1)
        return torch.stack([background @ above.amax(1), positive.sum()])

    def move(self, sums: Tensor) -> None:
        """Raise the threshold where more is ignored than is expected to be missing, else lower it."""
        ignored, expected = sums[0], sums[1] * self.missing_rate / (1 - self.missing_rate)
        if not (self._has_moved or sums.is_meta) and ignored > 10 * (expected + 100):
            raise ValueError(
                f"MissingRateLoss ignores {ignored:.0f} anchors of background in its first iteration, which has "
                f"{sums[1]:.0f} positive ones: all scores start above ignore_above={self.ignore_above:.2g}, and no "
                "background would be learned. Have the head start near 0.01 (bias_init_with_prob), or use "
                "AsymmetricLoss"
            )
        self._has_moved = True
        moved = self.ignore_above + self.step_size * (ignored - expected) / (ignored + expected + 1)
        self.ignore_above.copy_(moved.clamp(self.ignore_above_min, 1))

    @torch.no_grad()
    def tell(self, share: float) -> None:
        """With ``missing_rate='auto'``: the share from now on, in [0, 1). With 0 nothing is ignored.

        Example:
            >>> loss_cls = MissingRateLoss(use_sigmoid=True, missing_rate='auto')
            >>> loss_cls.tell(0.4)
            >>> loss_cls.missing_rate, loss_cls.ignore_above
            (tensor(0.4000), tensor(0.3000))
        """
        if not share:
            self.ignore_above.fill_(1)
        elif not self.missing_rate:
            self.ignore_above.fill_(self._start)
        self.missing_rate.fill_(share)  # type: ignore[union-attr]

    def extra_repr(self) -> str:
        """Show the parameters in the printed model."""
        own = dict(missing_rate=AUTO if self.is_auto else self.missing_rate, step_size=self.step_size)
        own |= dict(ignore_above_min=self.ignore_above_min)
        return ", ".join([super().extra_repr(), *(f"{name}={value!r}" for name, value in own.items())])


def auto_losses(model: nn.Module) -> dict[str, MissingRateLoss]:
    """The losses of a model whose share is to be estimated, by their paths."""
    losses = {path: one for path, one in model.named_modules() if isinstance(one, MissingRateLoss)}
    return {path: one for path, one in losses.items() if one.is_auto}
