"""ASL as https://arxiv.org/abs/2009.14119 writes it: one label at a time, in Python's float64, slow and plain."""

import math

import torch
from torch import Tensor


def _sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))


def _power(base: float, exponent: float) -> float:
    return 1.0 if exponent == 0 else base**exponent


def positive(z: float, gamma: float, detach: bool) -> tuple[float, float]:
    """-L+ of Eq. 4 and its derivative; with ``detach``, that of the cross-entropy times the focusing weight."""
    p, q = _sigmoid(z), _sigmoid(-z)
    log_p = math.log(p) if p > 1e-300 else z
    loss = -_power(q, gamma) * log_p
    slope = -_power(q, gamma) * q
    if not detach:
        slope += gamma * _power(q, gamma) * p * log_p
    return loss, slope


def negative(z: float, gamma: float, margin: float, detach: bool) -> tuple[float, float]:
    """-L- of Eq. 7 with the shifted probability of Eq. 5, and its derivative (Eq. 8)."""
    p, q = _sigmoid(z), _sigmoid(-z)
    p_m = max(p - margin, 0)
    if p_m == 0:
        return 0.0, 0.0
    rest = q + margin  # 1 - p_m, without its rounding
    log_1_p_m = math.log1p(-p_m) if rest > 0.5 else math.log(rest) if rest > 1e-300 else -z
    loss = -_power(p_m, gamma) * log_1_p_m
    slope = _power(p_m, gamma) * p * (q / rest if margin else 1.0)
    if not detach and gamma:
        slope -= gamma * _power(p_m, gamma - 1) * log_1_p_m * p * q
    return loss, slope


def asymmetric_loss(
    logits: Tensor,
    labels: Tensor,
    gamma_pos: float,
    gamma_neg: float,
    clip: float,
    alpha: float | None = None,
    detach_focusing: bool = False,
    ignore_above: float = 1.0,
    has_object: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The loss of every element, and its derivative for the logit; a soft label mixes the two losses.

    A negative above ``ignore_above`` costs nothing, but in the rows (N,) of ``has_object``.
    """
    pos_weight, neg_weight = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
    if has_object is None:
        has_object = torch.zeros(len(logits), dtype=torch.bool)
    losses, slopes = [], []
    has_objects = has_object[:, None].expand_as(logits)
    for z, y, kept in zip(*(t.flatten().tolist() for t in (logits, labels, has_objects)), strict=True):
        pos, neg = positive(z, gamma_pos, detach_focusing), negative(z, gamma_neg, clip, detach_focusing)
        if _sigmoid(z) > ignore_above and not kept:
            neg = 0.0, 0.0
        losses.append(pos_weight * y * pos[0] + neg_weight * (1 - y) * neg[0])
        slopes.append(pos_weight * y * pos[1] + neg_weight * (1 - y) * neg[1])
    as_tensor = [torch.tensor(v, dtype=torch.float64).view(logits.shape) for v in (losses, slopes)]
    return as_tensor[0], as_tensor[1]


def softmax_loss(logits: Tensor, target: Tensor, gamma_pos: float, gamma_neg: float, label_smoothing: float) -> Tensor:
    """The single-label variant: the true class as a positive, the others with their share of the smoothed label."""
    losses = []
    for row, label in zip(logits.tolist(), target.tolist(), strict=True):
        log_sum = max(row) + math.log(sum(math.exp(z - max(row)) for z in row))
        loss = 0.0
        for j, z in enumerate(row):
            p = math.exp(z - log_sum)
            share = label_smoothing / len(row) + (1 - label_smoothing if j == label else 0)
            loss -= share * _power(1 - p if j == label else p, gamma_pos if j == label else gamma_neg) * (z - log_sum)
        losses.append(loss)
    return torch.tensor(losses, dtype=torch.float64)
