"""ITGC: CAGC, and a bound of the mutual information of the student's and the teacher's images.

Kang et al., "Information-Theoretic GAN Compression with Variational Energy-based Model",
arXiv:2303.16050. An energy network judges pairs; samples of its distribution come from Langevin
dynamics.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ganzip import losses
from ganzip.device import full_precision
from ganzip.losses import Distance, Mask
from ganzip.methods import gan
from ganzip.train import Batch, Player, Terms

Energy = Callable[[Tensor, Tensor], Tensor]
"""From the teacher's images and the student's to energies (N,): ``nets.energy``."""


def itgc(
    student: nn.Module,
    teacher: nn.Module,
    D: nn.Module,
    energy: nn.Module,
    g_optimiser: Optimizer,
    d_optimiser: Optimizer,
    e_optimiser: Optimizer,
    mask: Mask,
    distance: Distance | None,
    *,
    l1: float = 3.0,
    perceptual: float = 3.0,
    information: float = 0.05,
    regular: float = 0.05,
    steps: int = 10,
    size: float = 50.0,
    noise: float = 0.005,
    mixing: float = 0.9,
) -> list[Player]:
    """CAGC's losses, ``information`` times the energy gap for the student, and the energy's player.

    ``steps``, ``size`` and ``noise`` are those of :func:`langevin`, ``regular`` the weight of the
    energies' squares, which keeps them finite. Adam of the energy there: 1e-4, betas 0, 0.999.
    """
    supervision = losses.masked(losses.supervision(distance, l1=l1, weight=perceptual), mask)

    def energies(wanted: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Of the student's images with the teacher's, and with samples that look like those."""
        sampled = langevin(energy, fake, steps=steps, size=size, noise=noise)
        return energy(wanted, fake), energy(sampled, fake)

    def g_terms(batch: Batch) -> Terms:
        fake, wanted = gan.side_by_side(student, teacher, batch.cond, mixing)
        positive, negative = energies(wanted, fake)
        return {
            "adversarial": losses.g_logistic(D(fake)),
            **supervision(fake, wanted),
            "information": information * (positive - negative).mean(),
        }

    def e_terms(batch: Batch) -> Terms:
        fake, wanted = gan.side_by_side(student, teacher, batch.cond, mixing)
        positive, negative = energies(wanted, fake)
        return {
            "gap": (positive - negative).mean(),
            "regular": regular * (positive.square() + negative.square()).mean(),
        }

    return [
        Player("G", g_optimiser, g_terms),
        gan.discriminator(gan.mixer(student, mixing), D, d_optimiser),
        Player("energy", e_optimiser, e_terms),
    ]


def langevin(
    energy: Energy,
    given: Tensor,
    *,
    steps: int = 10,
    size: float = 50.0,
    noise: float = 0.005,
) -> Tensor:
    """Images of low energy beside ``given``, found from there and without a graph.

    Each step is -``size`` times the energy's gradient, plus ``noise`` * N(0, 1).
    """
    given = given.detach()
    x = given
    for _ in range(steps):
        x = x.detach().requires_grad_(True)
        with full_precision():
            (grad,) = torch.autograd.grad(energy(x, given).sum(), x)
        x = x - size * grad + noise * torch.randn_like(x)
    return x.detach()
