"""Plot losses and gradients against the probability.

    python -m docs_build.plot_losses --out docs/losses_paper.png

As Figures 2 and 3 of the ASL paper: cross-entropy, focal loss, cross-entropy with probability shifting, asymmetric
focusing and ASL. ``--asl 0,4,0.05 --asl 1,2,0`` plots yours instead: gamma+, gamma-, margin and optionally alpha.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from asl_mmdet.losses import AsymmetricLoss, asymmetric_loss


class Curve(NamedTuple):
    """A loss by its parameters."""

    gamma_pos: float
    gamma_neg: float
    clip: float
    alpha: float | None = None

    @classmethod
    def parse(cls, text: str) -> "Curve":
        """From ``0,4,0.05`` or ``0,1,0,0.25``."""
        try:
            curve = cls(*(float(part) for part in text.split(",")))
            AsymmetricLoss(use_sigmoid=True, **curve._asdict())  # its errors name what is out of range
        except (TypeError, ValueError) as error:
            raise argparse.ArgumentTypeError(f"{text!r} is not gamma+,gamma-,margin[,alpha]: {error}") from error
        return curve

    def __str__(self) -> str:
        alpha = "" if self.alpha is None else rf", $\alpha$={self.alpha:g}"
        return rf"$\gamma_+$={self.gamma_pos:g}, $\gamma_-$={self.gamma_neg:g}, m={self.clip:g}{alpha}"


PAPER = {
    "cross-entropy": Curve(0, 0, 0),
    "focal": Curve(2, 2, 0),
    "CE + shifting": Curve(0, 0, 0.2),
    "asymmetric focusing": Curve(0, 4, 0),
    "ASL": Curve(0, 4, 0.05),
    "ASL, large margin": Curve(0, 2, 0.2),
}


def loss_and_gradient(p: Tensor, label: float, curve: Curve) -> tuple[Tensor, Tensor]:
    """The loss of a label at the probabilities p, and the size of its derivative for the logit."""
    logits = p.logit().requires_grad_()
    loss = asymmetric_loss(logits, torch.full_like(p, label), reduction="none", **curve._asdict())
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    return loss.detach(), gradient.abs()


def plot(curves: dict[str, Curve], out: Path) -> None:
    """Loss and normalised gradient of a negative, and gradient of a positive."""
    p = torch.linspace(1e-4, 1 - 1e-4, 2000, dtype=torch.float64)
    figure = Figure(figsize=(15, 4.2), layout="constrained")
    losses, negatives, positives = figure.subplots(1, 3)
    for name, curve in curves.items():
        loss, gradient = loss_and_gradient(p, 0.0, curve)
        losses.plot(p, loss, label=name)
        negatives.plot(p, gradient / gradient.max(), label=name)
        positives.plot(p, loss_and_gradient(p, 1.0, curve)[1], label=name)
    losses.set(title="loss of a negative", ylim=(0, 2))
    negatives.set(title="gradient of a negative, highest = 1", ylim=(0, 1.05))
    positives.set(title="gradient of a positive", ylim=(0, None))
    for axes in (losses, negatives, positives):
        axes.set(xlabel="probability p", xlim=(0, 1))
        axes.grid(alpha=0.3)
    losses.legend()
    figure.savefig(out, dpi=120)


def main(argv: Sequence[str] | None = None) -> None:
    """Plot, and print where the gradient of a negative is largest: easier and harder ones count less."""
    command = argparse.ArgumentParser(description="Plot losses and gradients against the probability.")
    command.add_argument(
        "--asl", type=Curve.parse, action="append", metavar="G+,G-,M[,ALPHA]", help="a loss; may be given again"
    )
    command.add_argument("--out", type=Path, required=True, metavar="FILE.png", help="file to write")
    args = command.parse_args(argv)
    curves = {str(curve): curve for curve in args.asl} if args.asl else PAPER
    plot(curves, args.out)
    p = torch.linspace(1e-4, 1 - 1e-4, 2000, dtype=torch.float64)
    for name, curve in curves.items():
        gradient = loss_and_gradient(p, 0.0, curve)[1]
        print(f"{name}: gradient of a negative is largest at p = {p[gradient.argmax()]:.2f}")
    print(args.out)


if __name__ == "__main__":
    main()
