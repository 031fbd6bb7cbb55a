"""Adaptive asymmetry in a closed loop, with both signs of its equation: python benchmarks/closed_loop.py [OUT.png].

A network of two layers learns noisy multi-label data, on which it cannot be right about everything, and gamma- follows
the probability gap. As the loss does it, the gap reaches its target from below and from above; with the sign that Eq.
11 of the ASL paper is printed with, gamma- runs to a bound.
"""

import sys
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from asl_mmdet.losses import AdaptiveAsymmetricLoss


def closed_loop(
    target_gap: float, gamma_neg: float, sign: int = 1, steps: int = 1500, **options: Any
) -> tuple[Tensor, Tensor]:
    """The gap and gamma- after every step, (steps,) or (steps, 6) if every class has its own.

    Args:
        target_gap: The gap to reach.
        gamma_neg: Where gamma- starts.
        sign: -1 for the equation as printed.
        steps: Training steps, of 256 of the 2,048 samples.
        **options: As :class:`AdaptiveAsymmetricLoss`.
    """
    torch.manual_seed(0)
    x = torch.randn(2048, 16)
    y = ((x @ torch.randn(16, 6) + 2 * torch.randn(2048, 6)) > 4).float()  # a fifth is positive
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 6))
    loss = AdaptiveAsymmetricLoss(use_sigmoid=True, alpha=None, target_gap=target_gap, gamma_neg=gamma_neg, **options)
    loss.step_size *= sign
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    gaps, gammas = [], []
    for step in range(steps):
        batch = torch.arange(step * 256, (step + 1) * 256) % 2048
        optimizer.zero_grad()
        loss(model(x[batch]), y[batch]).backward()
        optimizer.step()
        loss.step()
        gaps.append(loss.gap.clone())
        gammas.append(torch.as_tensor(loss.gamma_neg).clone())
    return torch.stack(gaps), torch.stack(gammas)


def main() -> None:
    """Plot both signs, from two starts."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    grid = figure.subplots(2, 2, sharex=True, sharey="row")
    titles = ("the sign that converges", "the sign as printed in Eq. 11")
    for column, (sign, title) in enumerate(zip((1, -1), titles, strict=True)):
        for start in (0.0, 1.0, 6.0):
            for axes, values in zip(grid[:, column], closed_loop(0.0, start, sign), strict=True):
                axes.plot(values, label=rf"$\gamma_-$ starts at {start:g}")
                axes.grid(alpha=0.3)
        grid[0, column].set(title=title)
        grid[0, column].axhline(0, color="black", linestyle="--", linewidth=0.8)
        grid[1, column].set_xlabel("step")
    grid[0, 0].set_ylabel("gap (target 0)")
    grid[1, 0].set_ylabel(r"$\gamma_-$")
    grid[1, 0].legend()
    figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "docs/adaptive_sign.png", dpi=100)


if __name__ == "__main__":
    main()
