"""Plain adversarial training: the teachers, and the regular GANs that students are compared with.

DCGAN (Radford et al. 2015) and W-DCGAN, that is DCGAN with the modifications of Arjovsky et al.
2017 ("Wasserstein GAN") or, as a switch, the gradient penalty of Gulrajani et al. 2017.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ganzip import losses
from ganzip.train import Batch, Player, Terms


def gan(G: nn.Module, D: nn.Module, g_optimiser: Optimizer, d_optimiser: Optimizer) -> list[Player]:
    """Discriminator and generator, one step each on every batch, non-saturating logistic loss."""
    return [discriminator(G, D, d_optimiser), generator(G, D, g_optimiser)]


def discriminator(G: nn.Module, D: nn.Module, optimiser: Optimizer) -> Player:
    """D learns to tell the batch's real images from G's."""

    def terms(batch: Batch) -> Terms:
        return {"adversarial": losses.d_logistic(D(real(batch)), D(G(batch.cond)))}

    return Player("D", optimiser, terms)


def generator(G: nn.Module, D: nn.Module, optimiser: Optimizer) -> Player:
    """G learns to be taken for real by D."""
    return Player("G", optimiser, lambda b: {"adversarial": losses.g_logistic(D(G(b.cond)))})


def wgan(
    G: nn.Module,
    D: nn.Module,
    g_optimiser: Optimizer,
    d_optimiser: Optimizer,
    *,
    clip: float = 0.01,
    penalty: float = 0.0,
    g_due: Callable[[int], bool] | None = None,
) -> list[Player]:
    """Critic at every step, generator at the steps of ``g_due`` (default: the reference schedule).

    The critic's weights are clipped to [-clip, clip] before each of its steps, as published. With
    ``penalty`` above 0 (10 in Gulrajani et al.) they are not: the gradient penalty takes its place.
    Optimisers of the reference: RMSprop, learning rate 5e-5, both.
    """

    def critic_terms(batch: Batch) -> Terms:
        x, fake = real(batch), G(batch.cond)
        if not penalty:
            clip_weights(D, clip)
            return {"adversarial": losses.critic_gap(D(x), D(fake))}
        return {
            "adversarial": losses.critic_gap(D(x), D(fake)),
            "penalty": penalty * losses.gradient_penalty(D, x, fake),
        }

    return [
        Player("D", d_optimiser, critic_terms),
        Player(
            "G", g_optimiser, lambda b: {"adversarial": -D(G(b.cond)).mean()}, g_due or wgan_due()
        ),
    ]


def wgan_due(
    critic: int = 5, first: int = 100, warm: int = 25, again: int = 500
) -> Callable[[int], bool]:
    """Steps, counted in critic steps, at which the generator acts after its critic steps.

    Reference schedule of Arjovsky et al.: ``critic`` critic steps before a generator step, but
    ``first`` before the first ``warm`` ones and before every ``again``-th.
    """

    def due(step: int) -> bool:
        cycle = (
            again - 1
        ) * critic + first  # critic steps between two long trainings of the critic
        extra = (warm - 1) * (first - critic)  # what the warm-up adds to the first cycle
        if step < warm * first:
            return (step + 1) % first == 0
        place = (step - extra) % cycle
        return place >= first - 1 and (place - (first - 1)) % critic == 0

    return due


def wgan_steps(g_steps: int, **schedule: int) -> int:
    """Critic steps that hold ``g_steps`` generator steps of the schedule."""
    due, step = wgan_due(**schedule), 0
    while g_steps:
        g_steps -= due(step)
        step += 1
    return step


@torch.no_grad()
def clip_weights(net: nn.Module, bound: float) -> None:
    """Clamp every parameter to [-bound, bound]: the critic's Lipschitz constraint as published."""
    for p in net.parameters():
        p.clamp_(-bound, bound)


def real(batch: Batch) -> Tensor:
    """The batch's real images, which adversarial methods cannot do without."""
    if batch.real is None:
        raise ValueError("batch.real is None; an adversarial method needs images of the data set")
    return batch.real
