"""Loss terms as free functions of tensors. Logits are unbounded discriminator outputs, (N,)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def d_logistic(real: Tensor, fake: Tensor) -> Tensor:
    """Discriminator's cross entropy: -log f(x) - log(1 - f(G(z))), f the sigmoid of the logits.

    Goodfellow et al. 2014; DCGAN, and paper A eq. (1).
    """
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def g_logistic(fake: Tensor) -> Tensor:
    """Generator's non-saturating loss: -log f(G(z))."""
    return F.softplus(-fake).mean()


def g_saturating(fake: Tensor) -> Tensor:
    """Generator's loss in the minimax game: log(1 - f(G(z))), paper A eq. (4) to the letter."""
    return -F.softplus(fake).mean()


def critic_gap(real: Tensor, fake: Tensor) -> Tensor:
    """Wasserstein critic's loss: mean f(G(z)) - mean f(x). Arjovsky et al. 2017; eq. (2)."""
    return fake.mean() - real.mean()


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """Mean of (|grad f| - 1)^2 on random segments between real and fake images.

    Gulrajani et al. 2017, eq. (3), without its weight.
    """
    t = torch.rand(len(real), 1, 1, 1, device=real.device)
    between = (t * real + (1 - t) * fake).requires_grad_(True)
    (grad,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (grad.flatten(1).norm(dim=1) - 1).square().mean()


def squared_error(student: Tensor, teacher: Tensor, reduction: str = "mean") -> Tensor:
    """Distance of paper A eq. (3), averaged over the batch.

    ``reduction`` is over the pixels of an image: "mean" (ours) or "sum" (the norm as printed). They
    differ by the factor C*H*W, which matters only where another term stands beside, eq. (4).
    """
    per_image = (student - teacher).square().flatten(1)
    if reduction == "mean":
        return per_image.mean()
    if reduction == "sum":
        return per_image.sum(1).mean()
    raise ValueError(f"reduction is {reduction!r}; expected 'mean' or 'sum'")
