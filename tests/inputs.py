"""Logits and labels for the tests of the losses; torch alone, as the functions under test."""

import torch
import torch.nn.functional as F

from asl_mmdet.losses.functional import asymmetric_loss


def logits(*shape, dtype=torch.float64, seed=0, scale=4.0):
    generator = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(*shape, generator=generator, dtype=torch.float64)).to(dtype)


def labels(kind, shape, seed=1):
    generator = torch.Generator().manual_seed(seed)
    if kind == "soft":
        return torch.rand(shape, generator=generator, dtype=torch.float64)
    if kind == "index":
        return torch.randint(0, shape[1] + 1, shape[:1], generator=generator)
    return (torch.rand(shape, generator=generator) < 0.3).double()


def one_hot(target, num_classes):
    return F.one_hot(target, num_classes + 1)[:, :num_classes].double()


def loss_and_grad(z, target, **kwargs):
    z = z.clone().requires_grad_()
    loss = asymmetric_loss(z, target, **kwargs)
    (grad,) = torch.autograd.grad(loss.sum(), z)
    return loss.detach(), grad
