"""Asymmetric Loss as pure functions: tensors in, tensor out (https://arxiv.org/abs/2009.14119)."""

import functools
import inspect
import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

REDUCTIONS = ("none", "mean", "sum")
IMPLS = ("auto", "eager", "compile")

# torch.compiler has it from PyTorch 2.3 on; torch.compile knows both by name.
_is_compiling = getattr(torch.compiler, "is_compiling", torch._utils.is_compiling)

# On a CPU the elementwise work is done in pieces of so many elements, which stay in its cache: several times faster
# than whole tensors, and with temporaries of a few MB.
_PIECE = 2**17
_SMALL = 2**14  # labels of the logits' shape so few that finding the positives costs more than it saves


def asymmetric_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    gamma_pos: float,
    gamma_neg: float | Tensor,
    clip: float | Tensor,
    alpha: float | None = None,
    ignore_above: float = 1.0,
    detach_focusing: bool = False,
    reduction: str = "mean",
    avg_factor: float | Tensor | None = None,
    impl: str = "auto",
) -> Tensor:
    r"""Asymmetric Loss on logits, Eq. 4-7 of https://arxiv.org/abs/2009.14119.

    With :math:`p = \sigma(z)` and the shifted probability :math:`p_m = \max(p - m, 0)`, a label :math:`y` gives

    .. math:: -y (1 - p)^{\gamma_+} \log p - (1 - y) p_m^{\gamma_-} \log(1 - p_m)

    The gradient is the closed form of Eq. 8, taken in the forward pass; asking for a second derivative raises. Half
    precision is computed in float32, and the loss is float32 then. A soft label (0 < y < 1) mixes the two losses.

    Limits: all of gamma and m zero is binary cross-entropy; :math:`\gamma_+ = \gamma_- = \gamma` and m = 0 with
    ``alpha`` is focal loss. A negative with p <= m has zero loss and zero gradient.

    ``ignore_above`` is the margin's counterpart for data with missing labels: a negative with p above it is taken for a
    positive that nobody labelled, and ignored, where the paper's Eq. 7 only weakens its gradient beyond p*. With class
    indices that goes for the rows that are background: a row that has a class is labelled, and its other classes stay
    negatives. (https://arxiv.org/abs/2206.03740 rejects large losses; here by a threshold, with this restriction.)

    The paper trains multi-label classification with gamma 0 / 4 and m = 0.05, summed over classes, without alpha.

    Args:
        pred: Logits, (N, C); any shape if ``target`` has the same.
        target: Class indices (N,) of an integer type, where C is background, or labels in [0, 1] of ``pred``'s shape.
        weight: Factors for the loss: (N,), or as many as ``pred`` has. It may require grad.
        gamma_pos: Focusing parameter of the positives, >= 0.
        gamma_neg: Focusing parameter of the negatives, >= 0; or a tensor of one or, for logits (N, C), of C values,
            which may change from call to call without a new compilation.
        clip: The probability margin m, in [0, 1); or a tensor, likewise.
        alpha: Weigh positives by alpha and negatives by 1 - alpha, as focal loss does; None leaves both at 1.
        ignore_above: In (0, 1]; a negative with p above it has no loss and no gradient, unless its row has a class.
            1 ignores none.
        detach_focusing: Take the focusing weights as constants in the backward pass, as the authors train.
        reduction: 'none', 'mean' (over all elements, or by ``avg_factor``) or 'sum'.
        avg_factor: What 'mean' divides the sum by, usually the number of positives of all images.
        impl: 'eager', 'compile' (``torch.compile``, with dynamic shapes), or 'auto': compiled on an accelerator where
            that is possible, else eager.

    Returns:
        The loss; of ``pred``'s shape for 'none', else a scalar. The mean of no elements is 0.

    Raises:
        ValueError: If a shape does not fit, ``avg_factor`` comes with 'sum', the reduction is unknown, or (on the CPU,
            where looking is free) a class index is outside 0..C. On an accelerator a bad index is a device-side
            assertion.
        RuntimeError: In a backward pass with ``create_graph=True``.

    Example:
        >>> logits = torch.tensor([[5.0, -5.0, 0.0], [5.0, -5.0, 0.0]])
        >>> labels = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
        >>> loss = asymmetric_loss(logits, labels, gamma_pos=1, gamma_neg=4, clip=0.05, reduction='sum')
        >>> print(f'{loss:.4f}')
        7.6169
    """
    _check_reduction(reduction, avg_factor)
    if impl not in IMPLS:
        raise ValueError(f"impl={impl!r} is unknown: use one of {IMPLS}")
    if target.shape != pred.shape:
        _check_class_indices(pred, target, pred.shape[-1])
    z, labels = _as_matrix(pred), (_as_matrix(target) if target.shape == pred.shape else target)
    if weight is not None:
        weight = _align_weight(weight, pred).to(z.dtype)
    pos_weight, neg_weight = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
    gamma_neg, clip = (_parameter(name, v, z, impl) for name, v in (("gamma_neg", gamma_neg), ("clip", clip)))
    highest = math.log(ignore_above / (1 - ignore_above)) if ignore_above < 1 else math.inf
    asymmetry = _Asymmetry(gamma_pos, gamma_neg, clip, pos_weight, neg_weight, detach_focusing, highest)
    if weight is not None and weight.requires_grad:
        loss = _AsymmetricLoss.apply(z, labels, None, asymmetry, False, impl) * weight
        loss = loss if reduction == "none" else loss.sum()
    else:
        loss = _AsymmetricLoss.apply(z, labels, weight, asymmetry, reduction != "none", impl)
    return loss.view(pred.shape) if reduction == "none" else _average(loss, reduction, avg_factor, pred.numel())


def asymmetric_softmax_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    gamma_pos: float,
    gamma_neg: float,
    label_smoothing: float = 0.0,
    detach_focusing: bool = False,
    reduction: str = "mean",
    avg_factor: float | Tensor | None = None,
) -> Tensor:
    r"""ASL for one label a sample, on logits of a softmax: the variant that the authors publish beside the paper.

    With :math:`p = \mathrm{softmax}(z)`, the true class t and the smoothed labels :math:`q_t = 1 - \epsilon +
    \epsilon / C`, :math:`q_j = \epsilon / C`, a sample costs

    .. math:: -q_t (1 - p_t)^{\gamma_+} \log p_t - \sum_{j \ne t} q_j p_j^{\gamma_-} \log p_j

    Without smoothing the second sum is zero, so ``gamma_neg`` does nothing then: a softmax has no negatives of its
    own, the true class's log-probability carries them all.

    Args:
        pred: Logits (N, C); in a two-stage box head C counts the background, which comes last.
        target: Class indices (N,) in 0..C-1.
        weight: Factors (N,) for the samples.
        gamma_pos: Focusing parameter of the true class, >= 0.
        gamma_neg: Focusing parameter of the other classes, >= 0.
        label_smoothing: :math:`\epsilon`, in [0, 1).
        detach_focusing: Take the focusing weights as constants in the backward pass.
        reduction: 'none' gives (N,), 'mean' is over samples (or by ``avg_factor``), 'sum'.
        avg_factor: What 'mean' divides the sum by.

    Returns:
        The loss, float32 for half precision.

    Raises:
        ValueError: As :func:`asymmetric_loss`.
    """
    _check_reduction(reduction, avg_factor)
    _check_class_indices(pred, target, pred.shape[-1] - 1)
    log_p = F.log_softmax(_as_matrix(pred), dim=1)
    true_class = target.long().unsqueeze(1)
    log_p_t = log_p.gather(1, true_class).squeeze(1)
    smallest = torch.finfo(log_p.dtype).tiny  # keeps the slope of base ** gamma finite for gamma < 1
    miss = (-torch.expm1(log_p_t)).clamp(min=smallest)
    smoothed = label_smoothing / pred.shape[1]
    loss = -(1 - label_smoothing + smoothed) * _constant_if(detach_focusing, miss.pow(gamma_pos)) * log_p_t
    if label_smoothing:
        terms = _constant_if(detach_focusing, log_p.exp().clamp(min=smallest).pow(gamma_neg)) * log_p
        loss = loss - smoothed * (terms.sum(1) - terms.gather(1, true_class).squeeze(1))
    if weight is not None:
        if weight.numel() != loss.numel():
            raise ValueError(f"weight of shape {tuple(weight.shape)} does not fit {loss.numel()} samples")
        loss = loss * weight.reshape(loss.shape)
    return loss if reduction == "none" else _average(loss.sum(), reduction, avg_factor, loss.numel())


def _constant_if(detach: bool, x: Tensor) -> Tensor:
    return x.detach() if detach else x


def _check_reduction(reduction: str, avg_factor: float | Tensor | None) -> None:
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction={reduction!r} is unknown: use one of {REDUCTIONS}")
    if avg_factor is not None and reduction == "sum":
        raise ValueError("avg_factor is what reduction='mean' divides by; with reduction='sum' leave it out")


def _check_class_indices(pred: Tensor, target: Tensor, highest: int) -> None:
    if pred.dim() != 2 or target.shape != pred.shape[:1]:
        raise ValueError(
            f"target of shape {tuple(target.shape)} does not fit pred of shape {tuple(pred.shape)}: give class indices "
            "(N,) for logits (N, C), or labels of the logits' shape"
        )
    if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        raise ValueError(f"target (N,) holds class indices and must be of an integer type, not {target.dtype}")
    if _is_cpu(target) and target.numel() and not _is_compiling():
        low, high = (int(v) for v in target.aminmax())
        if low < 0 or high > highest:
            raise ValueError(
                f"target holds the class index {low if low < 0 else high}; for logits of shape {tuple(pred.shape)} it "
                f"must be in 0..{highest}, the last one being background in a detector (mark ignored ones by weight 0)"
            )


def _as_matrix(x: Tensor) -> Tensor:
    """(N, C) in float32 or float64; labels of an integer type stay what they are."""
    x = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    return x.flatten(1) if x.dim() > 1 else x.reshape(-1, 1)


def _align_weight(weight: Tensor, pred: Tensor) -> Tensor:
    """(N, 1) or (N, C)."""
    if weight.shape == pred.shape[:1]:
        return _as_matrix(weight)
    if weight.numel() == pred.numel():
        return _as_matrix(weight.reshape(pred.shape))
    raise ValueError(f"weight of shape {tuple(weight.shape)} does not fit pred of shape {tuple(pred.shape)}")


def _parameter(name: str, value: float | Tensor, z: Tensor, impl: str) -> float | Tensor:
    """A number, or a tensor that fits a row of logits; on the CPU a single one is as good as a number, and faster."""
    if not isinstance(value, Tensor):
        return value
    if value.numel() == 1:
        is_free = _is_cpu(value) and impl != "compile" and not _is_compiling()
        return value.item() if is_free else value.detach().reshape(()).to(z)
    if value.shape != z.shape[1:]:
        raise ValueError(f"{name} of shape {tuple(value.shape)} does not fit {z.shape[1]} classes: give 1 or C values")
    return value.detach().to(z)


def _average(total: Tensor, reduction: str, avg_factor: float | Tensor | None, number: int) -> Tensor:
    if avg_factor is not None:
        return total / (avg_factor + torch.finfo(torch.float32).eps)  # as MMDetection's losses: 0 positives is legal
    return total / max(number, 1) if reduction == "mean" else total


class _Asymmetry(NamedTuple):
    gamma_pos: float
    gamma_neg: float | Tensor  # a tensor has no or one dimension
    clip: float | Tensor
    pos_weight: float
    neg_weight: float
    detach: bool
    highest: float  # the logit above which a negative is ignored

    def neg_scale(self, z: Tensor, weight: Tensor | float, has_object: Tensor | None) -> Tensor | float:
        """The factor of the negatives with logits z; where no object is, those above ``highest`` are ignored."""
        scale = self.neg_weight * weight
        if self.highest == math.inf:
            return scale
        is_kept = z <= self.highest
        return scale * (is_kept if has_object is None else is_kept | has_object).to(z.dtype)

    def of_columns(self, columns: Tensor) -> "_Asymmetry":
        """For elements of these columns instead of whole rows."""
        values = (self.gamma_neg, self.clip)
        gamma_neg, clip = (v[columns] if isinstance(v, Tensor) and v.dim() else v for v in values)
        return self._replace(gamma_neg=gamma_neg, clip=clip)


def _is_cpu(x: Tensor) -> bool:
    """Where looking at values costs nothing; elsewhere it would make the accelerator wait."""
    return x.device.type == "cpu"


_Side = tuple[Tensor, Tensor | None]  # loss, and its derivative for the logit where wanted

# The elementwise math. ----------------------------------------------------------------------------------------------


def _power(x: Tensor, gamma: float | Tensor) -> Tensor:
    """``x ** gamma``, by products where possible: compiled, an integer exponent costs more than all the rest."""
    if isinstance(gamma, Tensor):
        return x.pow(gamma)
    if gamma == 1:
        return x
    if gamma in (2, 4):
        return x.square() if gamma == 2 else x.square().square()
    return x.pow(gamma)


def _one_side(
    z: Tensor,
    gamma: float | Tensor,
    margin: float | Tensor,
    detach: bool,
    scale: Tensor | float,
    want_grad: bool,
    out: Tensor | None = None,
) -> _Side:
    """Loss and d loss / dz of a negative with logit z, both times ``scale``; the gradient goes to ``out`` if given.

    A positive with logit z is a negative with logit -z.

    Logarithms are those of a number q near 1 with what its rounding took away added back to first order. That is as
    exact as log1p, softplus or logsigmoid, whose CPU kernels take ten times as long as that of log.
    """
    has_gamma, has_margin = (isinstance(v, Tensor) or v != 0 for v in (gamma, margin))  # a tensor is not looked at
    fused = _is_compiling() and not has_margin
    if fused:  # in one kernel a pass costs nothing, and one exponential serves all
        e = z.abs().neg().exp()
        u = 1 + e
        p, q = torch.where(z < 0, e, 1.0) / u, torch.where(z < 0, 1.0, e) / u
    else:
        p, q = z.sigmoid(), z.neg().sigmoid()
    if has_margin:
        shifted = (p - margin).clamp(min=0)
        if isinstance(margin, Tensor) or margin <= 1e-3:  # near 1, p_m cannot tell 1 - p_m, which is q for margin 0
            q = q.clamp(min=torch.finfo(z.dtype).tiny)
            rest = q + p.clamp(max=margin)
        else:
            rest = (1 - shifted).clamp(min=margin)  # which it is, but for rounding
        lost = shifted - (1 - rest)
        cross_entropy = torch.addcmul(rest.log().neg(), lost, rest)  # -log(1 - p_m), bounded by -log(margin)
        if isinstance(margin, Tensor):
            cross_entropy = torch.where(margin > 0, cross_entropy, cross_entropy.maximum(z))
    elif fused:
        shifted = p
        cross_entropy = z.clamp(min=0) + u.log() + (e - (u - 1)) / u
    else:
        shifted = p
        lost = (q - 1).add(p)
        log_q = q.clamp(min=torch.finfo(z.dtype).tiny).log()
        cross_entropy = torch.addcmul(log_q.neg(), lost, q).maximum(z)  # -log(1 - p), which is z where q underflows
    focus = _power(shifted, gamma) * scale if has_gamma else None
    loss = cross_entropy * (scale if focus is None else focus)
    if not want_grad:
        return loss, None
    if has_margin:
        # CE' = p q / (1 - p_m), and focus' CE / focus = gamma p q CE / p_m, whose limit at p_m = 0 is finite: no
        # negative power of p_m is ever taken, so 0 < gamma < 1 gives no 0 * inf.
        slope = 1 / rest
        if has_gamma and not detach:
            slope = slope + gamma * cross_entropy / shifted.clamp(min=torch.finfo(z.dtype).tiny)
        slope = slope * p * q * (shifted > 0)
    elif detach or not has_gamma:
        slope = p
    elif isinstance(gamma, Tensor):
        slope = torch.addcmul(p, q, gamma * cross_entropy)
    else:
        slope = torch.addcmul(p, q, cross_entropy, value=gamma)
    return loss, torch.mul(slope, scale if focus is None else focus, out=out)


def _both_sides(
    z: Tensor,
    y: Tensor | float,
    weight: Tensor | float,
    a: _Asymmetry,
    want_grad: bool,
    has_object: Tensor | None = None,
) -> _Side:
    """A label y, soft or not, is y of a positive and 1 - y of a negative."""
    neg_scale = a.neg_scale(z, (1 - y) * weight, has_object)
    pos_loss, pos_grad = _one_side(-z, a.gamma_pos, 0.0, a.detach, a.pos_weight * y * weight, want_grad)
    neg_loss, neg_grad = _one_side(z, a.gamma_neg, a.clip, a.detach, neg_scale, want_grad)
    return pos_loss + neg_loss, None if pos_grad is None or neg_grad is None else neg_grad - pos_grad


def _negatives(
    z: Tensor, weight: Tensor | float, a: _Asymmetry, out: Tensor | None, has_object: Tensor | None
) -> Tensor:
    """The loss of elements that are all negative; their gradient goes to ``out``."""
    scale = a.neg_scale(z, weight, has_object)
    if not isinstance(a.clip, Tensor) and a.clip and _is_cpu(z):
        # Few negatives of a trained model are above the margin: only those are worked on (with some slack, since
        # _one_side settles what exactly is above).
        rows, columns = (z > math.log(a.clip / (1 - a.clip)) - 1e-3).nonzero(as_tuple=True)
        if len(rows) < z.numel() // 4:
            loss = torch.zeros_like(z)
            if isinstance(scale, Tensor):
                scale = scale.expand_as(z)[rows, columns]
            gamma = a.of_columns(columns).gamma_neg
            some_loss, some_grad = _one_side(z[rows, columns], gamma, a.clip, a.detach, scale, out is not None)
            loss[rows, columns] = some_loss
            if out is not None and some_grad is not None:
                out.zero_()[rows, columns] = some_grad
            return loss
    return _one_side(z, a.gamma_neg, a.clip, a.detach, scale, out is not None, out)[0]


def _has_object(z: Tensor, labels: Tensor) -> Tensor | None:
    """(N, 1): whether a row has a class; None for labels of the logits' shape, which stand each for itself."""
    return None if labels.dim() == 2 else labels.unsqueeze(1) != z.shape[1]


def _eager(z: Tensor, labels: Tensor, weight: Tensor | None, a: _Asymmetry, want_grad: bool, reduce: bool) -> _Side:
    """The (sum of the) weighted loss and the gradient of the sum, kernel by kernel."""
    step = max(1, _PIECE // max(z.shape[1], 1)) if _is_cpu(z) else max(1, z.shape[0])
    loss = z.new_zeros(()) if reduce else torch.empty_like(z)
    grad = torch.empty_like(z) if want_grad else None
    positives = _Positives.find(z, labels, weight, a, want_grad)
    for start in range(0, z.shape[0], step):
        piece = slice(start, start + step)
        piece_weight = 1.0 if weight is None else weight[piece]
        piece_grad = None if grad is None else grad[piece]
        if positives is None:
            piece_loss, mixed = _both_sides(z[piece], labels[piece].to(z.dtype), piece_weight, a, want_grad)
            if piece_grad is not None and mixed is not None:
                piece_grad.copy_(mixed)
        else:
            piece_loss = _negatives(z[piece], piece_weight, a, piece_grad, _has_object(z[piece], labels[piece]))
            positives.put(piece_loss, piece_grad, piece)
        if reduce:
            loss += piece_loss.sum()
        else:
            loss[piece] = piece_loss
    return loss, grad


class _Positives(NamedTuple):
    """The elements that are not plain negatives, in the order of their rows, with what belongs there."""

    rows: Tensor
    columns: Tensor
    loss: Tensor
    grad: Tensor | None
    is_background: Tensor | None

    @classmethod
    def find(
        cls, z: Tensor, labels: Tensor, weight: Tensor | None, a: _Asymmetry, want_grad: bool
    ) -> "_Positives | None":
        """None where labels of the logits' shape are to be mixed element by element.

        On an accelerator nothing is selected by value: every row of class indices has an entry, and background rows
        put back what is there; labels of the logits' shape are mixed.
        """
        is_background = None
        y: Tensor | float = 1.0
        if labels.dim() == 2:
            if not _is_cpu(labels) or labels.numel() < _SMALL or labels.count_nonzero() > labels.numel() // 4:
                return None
            rows, columns = labels.nonzero(as_tuple=True)
            y = labels[rows, columns].to(z.dtype)
        elif _is_cpu(labels):
            rows = (labels < z.shape[1]).nonzero().squeeze(1)
            columns = labels[rows].long()
        else:
            rows = torch.arange(len(labels), device=labels.device)
            is_background = labels == z.shape[1]
            columns = labels.long().masked_fill(is_background, 0)
        own_weight = 1.0 if weight is None else weight.expand_as(z)[rows, columns]
        own = a.of_columns(columns)
        return cls(rows, columns, *_both_sides(z[rows, columns], y, own_weight, own, want_grad), is_background)

    def put(self, piece_loss: Tensor | None, piece_grad: Tensor | None, piece: slice) -> None:
        """Overwrite what belongs to the rows of ``piece``."""
        entries = slice(None)
        if self.is_background is None:
            bounds = torch.tensor([piece.start, piece.stop])
            entries = slice(*torch.searchsorted(self.rows, bounds).tolist())
        at = self.rows[entries] - piece.start, self.columns[entries]
        for there, value in ((piece_loss, self.loss), (piece_grad, self.grad)):
            if there is not None and value is not None:
                if self.is_background is None:
                    there[at] = value[entries]
                else:
                    there[at] = torch.where(self.is_background, there[at], value)


def _whole(
    z: Tensor,
    labels: Tensor,
    weight: Tensor | None,
    a: _Asymmetry,
    want_grad: bool,
    reduce: bool,
    has_object: Tensor | None = None,
) -> _Side:
    """The elementwise part for a compiler to fuse: all of it, or with class indices that of the negatives alone."""
    scale = 1.0 if weight is None else weight
    if labels.dim() == 2:
        loss, grad = _both_sides(z, labels.to(z.dtype), scale, a, want_grad, has_object)
    else:
        is_negative = labels.unsqueeze(1) != torch.arange(z.shape[1], device=z.device)  # exists in registers only
        neg_scale = a.neg_scale(z, scale * is_negative.to(z.dtype), _has_object(z, labels))
        loss, grad = _one_side(z, a.gamma_neg, a.clip, a.detach, neg_scale, want_grad)
    return loss.sum() if reduce else loss, grad


def _fused(
    function: Callable[..., _Side],
    z: Tensor,
    labels: Tensor,
    weight: Tensor | None,
    a: _Asymmetry,
    want_grad: bool,
    reduce: bool,
) -> _Side:
    """What :func:`_whole` was compiled to, and the few positives of class indices beside it."""
    loss, grad = function(z, labels, weight, *(v for v in (a.gamma_neg, a.clip) if isinstance(v, Tensor)))
    if labels.dim() == 1:
        positives = _Positives.find(z, labels, weight, a, want_grad)
        assert positives is not None
        positives.put(None if reduce else loss, grad, slice(0, len(z)))
        if reduce:
            only = positives.loss
            loss = loss + (only if positives.is_background is None else only * ~positives.is_background).sum()
    return loss, grad


# All losses share one code object, and PyTorch compiles one code object a few times only, unless told otherwise.
_ISOLATED: dict[str, Any] = {"isolate_recompiles": True}
if "isolate_recompiles" not in inspect.signature(torch.compile).parameters:
    _ISOLATED = {}


@functools.cache
def _compiled(a: _Asymmetry, want_grad: bool, reduce: bool, tensors: tuple[str, ...]) -> Callable[..., _Side]:
    """``tensors`` names the parameters of ``a`` that come with every call."""

    def function(z: Tensor, labels: Tensor, weight: Tensor | None, *values: Tensor) -> _Side:
        given: dict[str, Any] = dict(zip(tensors, values, strict=True))
        return _whole(z, labels, weight, a._replace(**given), want_grad, reduce)

    return torch.compile(function, dynamic=True, **_ISOLATED)


_compiler_failed = False


def _run(
    z: Tensor, labels: Tensor, weight: Tensor | None, a: _Asymmetry, want_grad: bool, reduce: bool, impl: str
) -> _Side:
    global _compiler_failed
    if _is_compiling():  # the caller's own torch.compile, which cannot select by value
        y = labels if labels.dim() == 2 else labels.unsqueeze(1) == torch.arange(z.shape[1], device=z.device)
        return _whole(z, y, weight, a, want_grad, reduce, _has_object(z, labels))
    if impl == "compile" or (impl == "auto" and not _is_cpu(z) and not _compiler_failed):
        try:
            tensors = tuple(name for name in ("gamma_neg", "clip") if isinstance(getattr(a, name), Tensor))
            without: dict[str, Any] = dict.fromkeys(tensors, 0.0)
            function = _compiled(a._replace(**without), want_grad, reduce, tensors)
            return _fused(function, z, labels, weight, a, want_grad, reduce)
        except Exception as error:  # whatever a compiler can fail with; a wrong input fails again below
            if impl == "compile":
                raise
            _compiler_failed = True
            warnings.warn(f"asymmetric_loss is not compiled here and runs eagerly: {error}", stacklevel=2)
    return _eager(z, labels, weight, a, want_grad, reduce)


# Whether the running backward pass has retain_graph=True. PyTorch's own compiler asks it before it reuses a buffer;
# where a version of PyTorch lacks it, the gradient is copied.
_graph_is_kept = getattr(torch._C._autograd, "_get_current_graph_task_keep_graph", lambda: True)


class _AsymmetricLoss(torch.autograd.Function):
    """The (summed) loss, with its gradient as the only saved tensor."""

    @staticmethod
    def forward(
        ctx: Any, z: Tensor, labels: Tensor, weight: Tensor | None, a: _Asymmetry, reduce: bool, impl: str
    ) -> Tensor:
        loss, grad = _run(z, labels, weight, a, ctx.needs_input_grad[0], reduce, impl)
        if grad is not None:
            ctx.save_for_backward(grad)
        return loss

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # create_graph=True: the result would look like a constant, without a word
            raise RuntimeError(
                "asymmetric_loss has a closed-form first derivative and no second: drop create_graph=True"
            )
        (grad,) = ctx.saved_tensors
        if _is_compiling() or _graph_is_kept():
            return grad_output * grad, None, None, None, None, None
        return grad.mul_(grad_output), None, None, None, None, None  # nobody comes back for it
