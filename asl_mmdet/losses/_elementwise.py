"""The closed form of the loss and of its derivative, element by element.

Everything is written for a negative, as a function of its logit z: a positive with logit z is a negative with logit -z.
With p = sigmoid(z), q = 1 - p = sigmoid(-z) and the shifted probability p_m = max(p - m, 0):

    CE     = -log(1 - p_m)                               cross-entropy
    CE'    = p q / (1 - p_m)        where p > m           its derivative for z, since p' = p q
    L      = p_m^gamma CE                                 the loss
    L'     = p_m^gamma (CE' + gamma p q CE / p_m)         its derivative
    L'     = p_m^gamma CE'                                the same with a detached focusing weight

Without a margin 1 - p_m is q, so CE' = p and L' = p^gamma (p + gamma q CE).
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from asl_mmdet.losses._device import is_compiling, is_cpu

LossAndGrad = tuple[Tensor, Tensor | None]  # loss, and its derivative for the logit where wanted
PER_CLASS = ("gamma_neg", "clip", "pos_weight", "neg_weight", "ignore_logit")  # the parameters that may be tensors


class ASLParams(NamedTuple):
    """The parameters of a call.

    Example:
        >>> params = ASLParams(0, 4, torch.tensor([0.05, 0.2]), 1, 1, False, math.inf)
        >>> params.of_elements(torch.tensor([0, 1, 2]), torch.tensor([1, 1, 0])).clip
        tensor([0.2000, 0.2000, 0.0500])
    """

    gamma_pos: float
    gamma_neg: float | Tensor  # a tensor has no or one dimension
    clip: float | Tensor
    pos_weight: float | Tensor  # a tensor has one dimension, that of the classes
    neg_weight: float | Tensor
    detach: bool
    ignore_logit: float | Tensor  # the logit above which a negative is ignored; a tensor may also be (N, 1)

    def neg_scale(self, z: Tensor, weight: Tensor | float, has_object: Tensor | None) -> Tensor | float:
        """The factor of the negatives with logits z; where no object is, those above ``ignore_logit`` are ignored."""
        scale = self.neg_weight * weight
        if not isinstance(self.ignore_logit, Tensor) and self.ignore_logit == math.inf:
            return scale
        is_kept = z.clone().le_(self.ignore_logit)  # in the type of z: on a CPU that is several times as fast as a mask
        if has_object is not None:
            is_kept = torch.maximum(is_kept, has_object.to(z.dtype))
        return is_kept.mul_(scale)

    def of_rows(self, rows: slice) -> "ASLParams":
        """For these rows instead of all."""
        if isinstance(self.ignore_logit, Tensor) and self.ignore_logit.dim() == 2:
            return self._replace(ignore_logit=self.ignore_logit[rows])
        return self

    def of_elements(self, rows: Tensor, columns: Tensor) -> "ASLParams":
        """For elements of these rows and columns instead of whole rows."""
        values = {name: getattr(self, name) for name in PER_CLASS}
        tensors = {name: value for name, value in values.items() if isinstance(value, Tensor) and value.dim()}
        chosen: Any = {k: v[rows, 0] if v.dim() == 2 else v[columns] for k, v in tensors.items()}
        return self._replace(**chosen)


def _tiny(z: Tensor) -> float:
    return torch.finfo(z.dtype).tiny


def _power_(x: Tensor, gamma: float | Tensor) -> Tensor:
    """``x ** gamma`` in place, by products where possible: compiled, a power costs more than all the rest."""
    if not isinstance(gamma, Tensor):
        if gamma == 1:
            return x
        if gamma in (2, 4):
            return x.square_() if gamma == 2 else x.square_().square_()
    return x.pow_(gamma)


# Cross-entropy. -----------------------------------------------------------------------------------------------------
#
# Kernel by kernel, a pass over a chunk in the cache costs 0.1 to 0.3 ns an element, an exponential or a logarithm 0.2
# to 0.5, log1p 1.4 and logsigmoid 1.7 to 2 (one core, float32, torch 2.14 with MKL). So there is one exponential and
# one logarithm, and what is no longer needed is overwritten.

_MODERATE = 40.0  # for z >= 40 log(1 + exp(z)) is z even in float64
_HIGHEST_EXPONENT = 80.0  # exp(80) is finite in float32


def _cross_entropy(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Without a margin, return p, q and -log(q) = log(1 + exp(z)), all of them exact for small p and for small q.

    With u = 1 + e as it is rounded, log(1 + e) is log(u) + (e - (u - 1)) / u to first order.
    """
    is_moderate = is_cpu(z) and z.numel() > 0 and bool(z.amax() <= _MODERATE)
    e = z.exp() if is_moderate else z.clamp(max=_HIGHEST_EXPONENT).exp_()
    u = 1 + e
    cross_entropy, q = u.log(), u.reciprocal()
    lost = torch.sub(e, u.sub_(1), out=u)
    cross_entropy.addcmul_(lost, q)
    if not is_moderate:
        torch.maximum(cross_entropy, z, out=cross_entropy)
    return e.mul_(q), q, cross_entropy


def _cross_entropy_in_one_kernel(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same for a compiler, where a pass costs nothing and log1p more than log."""
    e = z.abs().neg().exp()
    u = 1 + e
    p, q = torch.where(z < 0, e, 1.0) / u, torch.where(z < 0, 1.0, e) / u
    return p, q, z.clamp(min=0) + u.log() + (e - (u - 1)) / u  # -log(q) = max(z, 0) + log(1 + e)


def _cross_entropy_with_margin(z: Tensor, margin: float | Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return p q, p_m, 1 - p_m and -log(1 - p_m), which is at most -log(margin)."""
    q = z.neg().sigmoid_()
    if isinstance(margin, Tensor) or margin <= 1e-3:
        return _cross_entropy_with_small_margin(z, q, margin)
    rest = (q + margin).clamp_(max=1)  # 1 - p_m; its rounding is that of the margin by as much
    return q.addcmul_(q, q, value=-1), 1 - rest, rest, rest.log().neg_()


def _cross_entropy_with_small_margin(
    z: Tensor, q: Tensor, margin: float | Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The same where p, not rounded to a part of 1, counts above the margin, or the margin may be 0.

    -log(rest) loses what rounding did to rest = 1 - p_m. That is added back: with lost = p_m - (1 - rest) it is
    -log(rest - lost) = -log(rest) + lost / rest to first order, and rest is near 1 where that counts.
    """
    p, q = z.sigmoid(), q.clamp(min=_tiny(z))
    shifted = (p - margin).clamp(min=0)  # p_m
    rest = q + p.clamp(max=margin)  # near p = 1, p_m cannot tell 1 - p_m, which is q for margin 0
    lost = shifted - (1 - rest)
    cross_entropy = torch.addcmul(rest.log().neg(), lost, rest)
    if isinstance(margin, Tensor):
        cross_entropy = torch.where(margin > 0, cross_entropy, cross_entropy.maximum(z))
    return p * q, shifted, rest, cross_entropy


# The derivative, without the factor p_m^gamma. ----------------------------------------------------------------------


def _slope(p: Tensor, q: Tensor, cross_entropy: Tensor, gamma: float | Tensor | None) -> Tensor:
    """Return p + gamma q CE; ``gamma`` is None where the focusing weight is 1 or a constant."""
    if gamma is None:
        return p  # CE'
    if isinstance(gamma, Tensor):
        return torch.addcmul(p, q, gamma * cross_entropy)
    return torch.addcmul(p, q, cross_entropy, value=gamma, out=None if is_compiling() else q)


def _slope_with_margin(
    pq: Tensor, shifted: Tensor, rest: Tensor, cross_entropy: Tensor, gamma: float | Tensor | None
) -> Tensor:
    """Return p q (1 / (1 - p_m) + gamma CE / p_m) above the margin, else 0.

    CE / p_m has a finite limit at p_m = 0, so no negative power of p_m is taken: 0 < gamma < 1 gives no 0 * inf. At and
    below the margin the focusing weight p_m^gamma makes it 0, unless gamma is 0.
    """
    slope = rest.reciprocal_()
    if isinstance(gamma, Tensor):
        slope += gamma * cross_entropy / shifted.clamp(min=_tiny(pq))
    elif gamma is not None:
        slope.addcdiv_(cross_entropy, shifted.clamp(min=_tiny(pq)), value=gamma)
    return slope.mul_(pq)


# The loss. ----------------------------------------------------------------------------------------------------------


def negative_loss(
    z: Tensor,
    gamma: float | Tensor,
    margin: float | Tensor,
    detach: bool,
    scale: Tensor | float,
    want_grad: bool,
    out: Tensor | None = None,
) -> LossAndGrad:
    """Loss and d loss / dz of a negative with logit z, both times ``scale``; the gradient goes to ``out`` if given.

    Example:
        >>> z = torch.tensor([0.0])  # p = 0.5
        >>> negative_loss(z, gamma=2, margin=0.0, detach=True, scale=1.0, want_grad=True)  # 0.25 log(2), 0.25 * 0.5
        (tensor([0.1733]), tensor([0.1250]))
    """
    has_gamma = isinstance(gamma, Tensor) or gamma != 0  # a tensor is not looked at
    has_margin = isinstance(margin, Tensor) or margin != 0
    if has_margin:
        pq, shifted, rest, cross_entropy = _cross_entropy_with_margin(z, margin)
    else:  # p_m is p
        shifted, q, cross_entropy = _cross_entropy_in_one_kernel(z) if is_compiling() else _cross_entropy(z)
    focusing = gamma if has_gamma and not detach else None
    slope = None
    if want_grad and has_margin:
        slope = _slope_with_margin(pq, shifted, rest, cross_entropy, focusing)
        if isinstance(gamma, Tensor) or gamma < _tiny(z):  # 0 ** gamma may be 1
            slope *= shifted > 0
    elif want_grad:
        slope = _slope(shifted, q, cross_entropy, focusing)
    factor = scale
    if has_gamma:
        base = shifted.clone() if slope is shifted else shifted  # without a margin, a detached slope is p itself
        factor = _power_(base, gamma)  # the focusing weight p_m^gamma
        if isinstance(scale, Tensor) or scale != 1:
            factor *= scale
    loss = cross_entropy.mul_(factor)
    return loss, None if slope is None else torch.mul(slope, factor, out=out)


def soft_label_loss(
    z: Tensor,
    y: Tensor | float,
    weight: Tensor | float,
    params: ASLParams,
    want_grad: bool,
    has_object: Tensor | None = None,
) -> LossAndGrad:
    """A label y, soft or not, is y of a positive and 1 - y of a negative."""
    neg_scale = params.neg_scale(z, (1 - y) * weight, has_object)
    pos_loss, pos_grad = negative_loss(
        -z, params.gamma_pos, 0.0, params.detach, params.pos_weight * y * weight, want_grad
    )
    neg_loss, neg_grad = negative_loss(z, params.gamma_neg, params.clip, params.detach, neg_scale, want_grad)
    return pos_loss + neg_loss, None if pos_grad is None or neg_grad is None else neg_grad - pos_grad
