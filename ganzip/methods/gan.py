"""Plain adversarial training: the teachers, and the regular GANs that students are compared with.

DCGAN (Radford et al. 2015) and W-DCGAN, that is DCGAN with the modifications of Arjovsky et al.
2017 ("Wasserstein GAN") or, as a switch, the gradient penalty of Gulrajani et al. 2017. Generators
that are supervised as well, as in super-resolution. The lazy R1, path length and style mixing of
StyleGAN2, and the student that every compression method for it starts from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ganzip import losses
from ganzip.device import full_precision
from ganzip.losses import Supervision
from ganzip.train import Batch, Player, Terms, every

Network = Callable[[Tensor], Tensor]
"""A generator or a discriminator, or a function of one that stands in for it."""


def gan(G: nn.Module, D: nn.Module, g_optimiser: Optimizer, d_optimiser: Optimizer) -> list[Player]:
    """Discriminator and generator, one step each on every batch, non-saturating logistic loss."""
    return [discriminator(G, D, d_optimiser), generator(G, D, g_optimiser)]


def discriminator(G: Network, D: Network, optimiser: Optimizer, *, name: str = "D") -> Player:
    """D learns to tell the batch's real images from G's."""

    def terms(batch: Batch) -> Terms:
        return {"adversarial": losses.d_logistic(D(real(batch)), D(G(batch.cond)))}

    return Player(name, optimiser, terms)


def generator(G: Network, D: Network, optimiser: Optimizer, *, name: str = "G") -> Player:
    """G learns to be taken for real by D."""
    return Player(name, optimiser, lambda b: {"adversarial": losses.g_logistic(D(G(b.cond)))})


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


def r1(
    D: Network,
    optimiser: Optimizer,
    *,
    gamma: float = 10.0,
    period: int = 16,
    name: str = "D",
) -> Player:
    """Lazy regularisation of D: gamma / 2 * R1 at every ``period``-th step, times the period.

    Karras et al., arXiv:1912.04958, appendix B. It shares the optimiser, hence Adam's state, and
    the name with the discriminator's player, and follows it. paper256 of StyleGAN2 has gamma 1.
    """

    def terms(batch: Batch) -> Terms:
        return {"r1": gamma / 2 * period * losses.r1_penalty(D, real(batch))}

    return Player(name, optimiser, terms, every(period))


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


def wgan_steps(
    g_steps: int, critic: int = 5, first: int = 100, warm: int = 25, again: int = 500
) -> int:
    """Critic steps that hold ``g_steps`` generator steps of :func:`wgan_due`'s schedule."""
    later = max(0, (g_steps - 1) // again - (warm - 1) // again)  # long ones after the warm-up
    return critic * g_steps + (first - critic) * (min(g_steps, warm) + later)


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


# StyleGAN2 ----------------------------------------------------------------------------------------
#
# A generator here has ``mapping`` (noise to styles w; ``mapping.styles`` leaves the mean style
# alone) and ``synthesis`` (styles (N, num_ws, latent) to images), as ``nets.stylegan2`` has them.


@dataclass(frozen=True)
class Latents:
    """What images are drawn from: noise z, and the noise of the layers from the ``cut``-th on.

    z, other: (N, latent). Two networks that are handed the same latents map them each by itself.
    """

    z: Tensor
    other: Tensor
    cut: int


def latents(G: nn.Module, z: Tensor, mixing: float = 0.9) -> Latents:
    """Style mixing: with probability ``mixing`` all of a batch changes its noise at a random layer.

    Karras et al., arXiv:1812.04948, section 3.1. Both networks of a pair need as many layers.
    """
    layers = _layers(G)
    if torch.rand(()).item() >= mixing:
        return Latents(z, z, layers)
    return Latents(z, torch.randn_like(z), int(torch.randint(1, layers, ()).item()))


def styles(G: nn.Module, seeds: Latents) -> Tensor:
    """G's own styles for the latents, one a layer: (N, num_ws, latent)."""
    mapping, layers = cast(Any, G.get_submodule("mapping")), _layers(G)
    first = mapping(seeds.z)[:, None]
    if seeds.cut == layers:
        return first.expand(-1, layers, -1)
    other = mapping.styles(seeds.other)[:, None]
    return torch.cat([first.expand(-1, seeds.cut, -1), other.expand(-1, layers - seeds.cut, -1)], 1)


def draw(G: nn.Module, seeds: Latents) -> Tensor:
    """G's images for the latents, with noise maps of its own."""
    return G.get_submodule("synthesis")(styles(G, seeds))


def mixer(G: nn.Module, mixing: float = 0.9) -> Network:
    """G with style mixing: what the players of a plain GAN train as StyleGAN2 is trained."""
    return lambda z: draw(G, latents(G, z, mixing))


def side_by_side(
    student: nn.Module, teacher: nn.Module, z: Tensor, mixing: float = 0.9
) -> tuple[Tensor, Tensor]:
    """The student's and the teacher's images for the same latents, the teacher's without a graph.

    The teacher is expected to be frozen: in train mode its mean style would move.
    """
    seeds = latents(student, z, mixing)
    with torch.no_grad():
        wanted = draw(teacher, seeds)
    return draw(student, seeds), wanted


def distilled(
    student: nn.Module,
    teacher: nn.Module,
    D: Network,
    optimiser: Optimizer,
    supervision: Supervision,
    *,
    mixing: float = 0.9,
) -> Player:
    """The student learns to be taken for real by D, and the teacher's images by ``supervision``."""

    def terms(batch: Batch) -> Terms:
        fake, wanted = side_by_side(student, teacher, batch.cond, mixing)
        return {"adversarial": losses.g_logistic(D(fake)), **supervision(fake, wanted)}

    return Player("G", optimiser, terms)


class PathMean(nn.Module):
    """The running mean of path lengths. A run saves it beside the networks, for it is state."""

    value: Tensor

    def __init__(self):
        super().__init__()
        self.register_buffer("value", torch.zeros(()))


def path_length(
    G: nn.Module,
    optimiser: Optimizer,
    mean: PathMean,
    *,
    weight: float = 2.0,
    period: int = 4,
    decay: float = 0.01,
    share: float = 0.5,
    mixing: float = 0.9,
    name: str = "G",
) -> Player:
    """Lazy regularisation of G: path lengths are drawn to their mean, at every ``period``-th step.

    Karras et al., arXiv:1912.04958, section 3.2, on the first ``share`` of the batch. It shares
    optimiser and name with the generator's player.
    """

    def terms(batch: Batch) -> Terms:
        z = batch.cond[: max(1, int(len(batch.cond) * share))]
        with full_precision():
            ws = styles(G, latents(G, z, mixing))
            lengths = losses.path_lengths(G.get_submodule("synthesis")(ws), ws)
        average = mean.value.lerp(lengths.mean(), decay)
        mean.value = average.detach()
        return {"path_length": weight * period * (lengths - average).square().mean()}

    return Player(name, optimiser, terms, every(period))


def _layers(G: nn.Module) -> int:
    return cast(int, G.get_submodule("synthesis").num_ws)
