"""Plain adversarial training: the teachers, and the regular GANs that students are compared with.

DCGAN (Radford et al. 2015) and W-DCGAN, that is DCGAN with the modifications of Arjovsky et al.
2017 ("Wasserstein GAN") or, as a switch, the gradient penalty of Gulrajani et al. 2017. Generators
that are supervised as well, as in super-resolution, and the lazy R1 of StyleGAN2.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ganzip import losses
from ganzip.losses import Supervision
from ganzip.train import Batch, Player, Terms, every


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


def supervised(
    G: nn.Module,
    D: nn.Module | None,
    optimiser: Optimizer,
    supervision: Supervision,
    *,
    weight: float = 1.0,
) -> Player:
    """G learns the batch's target by ``supervision`` and, with a D, to be taken for real by it.

    ``weight`` is that of the adversarial term: 0.01 in GCFSR, 0.1 in Real-ESRGAN and in stage 3 of
    SDAKD. Without a D it is the first phase of Real-ESRGAN and of SDAKD.
    """

    def terms(batch: Batch) -> Terms:
        images = G(batch.cond)
        both = supervision(images, target(batch))
        if D is not None:
            both["adversarial"] = weight * losses.g_logistic(D(images))
        return both

    return Player("G", optimiser, terms)


def r1(D: nn.Module, optimiser: Optimizer, *, gamma: float = 10.0, period: int = 16) -> Player:
    """Lazy regularisation of D: gamma / 2 * R1 at every ``period``-th step, times the period.

    Karras et al., arXiv:1912.04958, appendix B. It shares the optimiser, hence Adam's state, with
    the discriminator's player, and follows it.
    """

    def terms(batch: Batch) -> Terms:
        return {"r1": gamma / 2 * period * losses.r1_penalty(D, real(batch))}

    return Player("D", optimiser, terms, every(period))


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


def target(batch: Batch) -> Tensor:
    """What the network should answer to ``batch.cond``, which supervised methods need."""
    if batch.target is None:
        raise ValueError("batch.target is None; expected what G should answer to batch.cond")
    return batch.target
