"""The loss as MMDetection's heads use it."""

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn

from asl_mmdet.losses._validation import IMPLS, REDUCTIONS, check_choice, check_focusing, check_number
from asl_mmdet.losses.class_weight import SIDES, check_class_weight, weights_of
from asl_mmdet.losses.functional import asymmetric_loss, asymmetric_softmax_loss


@MODELS.register_module()
class AsymmetricLoss(nn.Module):
    r"""Asymmetric Loss (https://arxiv.org/abs/2009.14119), a drop-in replacement for ``FocalLoss``.

    The equations and limits are those of :func:`asl_mmdet.losses.asymmetric_loss`, and so is the value if the arguments
    are the same. The defaults are for detection:
    focal loss's ``alpha``, no focusing of the positives and some of the negatives. Multi-label classification takes
    the paper's ``gamma_pos=0, gamma_neg=4, clip=0.05, alpha=None, detach_focusing=True``.

    With ``use_sigmoid=False`` it is :func:`asl_mmdet.losses.asymmetric_softmax_loss`, for one label a sample: box heads
    of two stages (C + 1 channels, background last) and fine-grained classification.

    Args:
        use_sigmoid: Must be given. It has no default because MMDetection's heads read it from the config, not from the
            loss: left out, they build C + 1 channels and score with softmax.
        gamma_pos: Focusing parameter of the positives, >= 0.
        gamma_neg: Focusing parameter of the negatives, >= 0.
        clip: The probability margin m, in [0, 1). A negative with p <= m has no loss and no gradient. A detector starts
            at p = 0.01, so with a margin no background is learned until some rises above it. Sigmoid only.
        alpha: Weight of the positives; negatives get 1 - alpha. None leaves both at 1. The default is focal loss's; the
            function's is None. Sigmoid only.
        ignore_above: For missing labels: background with p above it, in (``clip``, 1], is taken for an object that has
            no label, and has no loss and no gradient; 1 ignores none. With labels (N, C) any negative. Sigmoid only.
        class_weight: Factors >= 0 for the classes: a list with one for each; a dict of class names and factors, where
            other classes have 1; or 'inverse_frequency', 'effective_number' or ``dict(type='effective_number',
            beta=0.999, normalize=...)``, computed from the training annotations by
            :func:`asl_mmdet.losses.class_weight.frequency_weights`. Names and frequencies are those of the training
            set, which :class:`asl_mmdet.hooks.ClassWeightHook` looks at when training starts; MMEngine's runner gets
            that hook by itself. Checkpoints do not hold the weights. ``normalize`` is 'labels' for positives and else
            'classes' unless given.
        class_weight_on: What they multiply: 'positive', 'negative' or 'both'. The softmax form weighs a sample by its
            class, and takes 'positive' only.
        reduction: 'none', 'mean' or 'sum'.
        loss_weight: Factor for the loss, >= 0.
        activated: The predictions are probabilities already (as in TOOD), not logits. Sigmoid only.
        detach_focusing: Take the focusing weights as constants in the backward pass, as the authors train.
        label_smoothing: The share of the label that is spread over all classes, in [0, 1). Softmax only.
        impl: 'auto', 'eager' or 'compile': see :func:`asl_mmdet.losses.asymmetric_loss`. Sigmoid only.

    Raises:
        ValueError: If an argument is missing, outside its range, or not for this form.
        TypeError: If there is no such argument.

    Example:
        >>> loss_cls = AsymmetricLoss(use_sigmoid=True)
        >>> loss_cls(torch.zeros(2, 3), torch.tensor([0, 3]), avg_factor=1).isfinite().item()
        True
    """

    def __init__(
        self,
        use_sigmoid: bool | None = None,
        gamma_pos: float = 0.0,
        gamma_neg: float = 1.0,
        clip: float = 0.0,
        alpha: float | None = 0.25,
        ignore_above: float = 1.0,
        class_weight: Any = None,
        class_weight_on: str = "positive",
        reduction: str = "mean",
        loss_weight: float = 1.0,
        activated: bool = False,
        detach_focusing: bool = False,
        label_smoothing: float = 0.0,
        impl: str = "auto",
        **unknown: Any,
    ) -> None:
        super().__init__()
        if unknown:
            raise TypeError(
                f"{type(self).__name__} got {', '.join(f'{k}={v!r}' for k, v in unknown.items())}, which it does not "
                "know: focal loss's gamma is gamma_pos and gamma_neg here, and what is left of another loss's block "
                "in a base config goes by _delete_=True"
            )
        if not isinstance(use_sigmoid, bool):
            raise ValueError(
                f"AsymmetricLoss got use_sigmoid={use_sigmoid!r}: write use_sigmoid=True in its config (False is for "
                "one label a sample). MMDetection's heads read it there, and without it they build one class channel "
                "too many and score with softmax."
            )
        owner = "AsymmetricLoss"
        self.use_sigmoid = use_sigmoid
        check_focusing(owner, gamma_pos, gamma_neg, clip, alpha, ignore_above)
        self.gamma_pos, self.gamma_neg, self.clip = gamma_pos, gamma_neg, clip
        self.alpha, self.ignore_above = alpha, ignore_above
        self.class_weight = check_class_weight(class_weight, owner)
        self.class_weight_on = check_choice("class_weight_on", class_weight_on, SIDES, owner)
        # No buffer: checkpoints are the same with and without it, and a copy made for an average of the weights before
        # training starts has as many buffers as the model.
        self._class_weights = torch.tensor(self.class_weight) if type(self.class_weight) is tuple else None
        self.reduction = check_choice("reduction", reduction, REDUCTIONS, owner)
        self.loss_weight = check_number("loss_weight", loss_weight, 0, math.inf, owner)
        self.activated = check_choice("activated", activated, (True, False), owner)
        self.detach_focusing = check_choice("detach_focusing", detach_focusing, (True, False), owner)
        self.label_smoothing = check_number("label_smoothing", label_smoothing, 0, 1, owner)
        self.impl = check_choice("impl", impl, IMPLS, owner)
        if use_sigmoid and label_smoothing:
            raise ValueError(
                f"AsymmetricLoss got label_smoothing={label_smoothing} with use_sigmoid=True: it is for the softmax "
                "form; give soft targets instead"
            )
        for name, value, neutral in (
            ("activated", activated, False),
            ("clip", clip, 0),
            ("alpha", alpha, None),
            ("ignore_above", ignore_above, 1),
            ("class_weight_on", class_weight_on, "positive"),
        ):
            if not use_sigmoid and value != neutral:
                raise ValueError(
                    f"AsymmetricLoss got {name}={value!r} with use_sigmoid=False: the softmax form has no {name}; "
                    f"write {name}={neutral!r}"
                )

    def set_classes(self, classes: Sequence[str], count: Callable[[], Sequence[int]]) -> Tensor | None:
        """Find the factors that ``class_weight`` means, as :class:`asl_mmdet.hooks.ClassWeightHook` does.

        Args:
            classes: The names of the classes, in the order of the labels.
            count: Gives the number of training labels of every class; called where ``class_weight`` needs it.

        Returns:
            The factors, (C,); None without a ``class_weight``.

        Raises:
            ValueError: If a name is no class, or the number of factors is not that of the classes.

        Example:
            >>> loss_cls = AsymmetricLoss(use_sigmoid=True, class_weight='inverse_frequency')
            >>> loss_cls.set_classes(['cat', 'dog'], lambda: [100, 10])
            tensor([0.5500, 5.5000])
        """
        if self.class_weight is not None:
            side, owner = self.class_weight_on, type(self).__name__
            self._class_weights = weights_of(self.class_weight, classes, count, side, owner)
        return self._class_weights

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> nn.Module:
        super()._apply(fn, *args, **kwargs)  # type: ignore[no-untyped-call]  # of PyTorch
        if self._class_weights is not None:
            self._class_weights = fn(self._class_weights)
        return self

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
        is_complete: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss.

        Args:
            pred: Logits (N, C), or probabilities if ``activated``.
            target: Class indices (N,) with background = C (C - 1 for softmax), or labels in [0, 1] of ``pred``'s shape.
            weight: (N,), (N, C) or (N*C,).
            avg_factor: What 'mean' divides the sum by.
            reduction_override: Another reduction for this call.
            is_complete: (N,) bool, the rows in which no label is missing: ``ignore_above`` ignores nothing there.

        Returns:
            The loss times ``loss_weight``: a scalar, or for 'none' of ``pred``'s shape ((N,) for softmax).

        Raises:
            ValueError: As :func:`asl_mmdet.losses.asymmetric_loss`.
            RuntimeError: If ``class_weight`` needs the classes of the training set and was not given them.
        """
        if self.class_weight is not None and self._class_weights is None:
            raise RuntimeError(
                f"{type(self).__name__} does not know the classes that class_weight={self.class_weight!r} is for. When "
                "MMEngine's Runner trains it learns them by itself; other runners need "
                "custom_hooks=[dict(type='ClassWeightHook')]; outside of a runner, call set_classes, or give a list"
            )
        common: dict[str, Any] = dict(
            gamma_pos=self.gamma_pos,
            gamma_neg=self.gamma_neg,
            detach_focusing=self.detach_focusing,
            reduction=reduction_override or self.reduction,
            avg_factor=avg_factor,
            class_weight=self._class_weights,
        )
        if self.use_sigmoid:
            logits = _logit(pred) if self.activated else pred
            ignore_above: Any = self.ignore_above
            if is_complete is not None:
                ignore_above = torch.where(is_complete.unsqueeze(1), 1.0, ignore_above)
            common.update(clip=self.clip, alpha=self.alpha, ignore_above=ignore_above, impl=self.impl)
            common.update(class_weight_on=self.class_weight_on)
            loss = asymmetric_loss(logits, target, weight, **common)
        else:
            loss = asymmetric_softmax_loss(pred, target, weight, label_smoothing=self.label_smoothing, **common)
        return self.loss_weight * loss

    def extra_repr(self) -> str:
        """Show the parameters in the printed model."""
        return ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if name in _PARAMETERS)


_PARAMETERS = tuple(name for name in inspect.signature(AsymmetricLoss).parameters if name != "unknown")


def _logit(p: Tensor) -> Tensor:
    """Logits of probabilities, finite at 0 and 1 (the bound at 0 is that of PyTorch's binary cross-entropy)."""
    p = p.float() if p.dtype in (torch.float16, torch.bfloat16) else p
    eps = torch.finfo(p.dtype).eps
    return p.clamp(min=1e-12).log() - torch.log1p(-p.clamp(max=1 - eps))
