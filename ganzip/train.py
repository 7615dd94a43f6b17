"""The one training loop. It knows players and batches, and nothing about GANs."""

import copy
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ganzip import device, parallel

Terms = dict[str, Tensor]
"""Loss terms by name, already weighted: what is logged is what is optimised."""


@dataclass(frozen=True)
class Batch:
    """What one step sees. A method reads the fields that it needs.

    cond: what the network is given, (N, ...): noise, a low-resolution image, an image to classify.
    real: images of the data set, (N, C, H, W) in [-1, 1].
    target: what the network should answer to ``cond``: the teacher's image, a label.
    features: the teacher's feature map for ``cond``, (N, C, H, W).
    parted: whether it is one process's samples of the batch already (:func:`parted`).
    """

    cond: Tensor
    real: Tensor | None = None
    target: Tensor | None = None
    features: Tensor | None = None
    parted: bool = False


@dataclass(frozen=True)
class Player:
    """One optimiser and the terms that it minimises.

    A player owns the optimiser and not the network, so that a discriminator and its lazy
    regulariser, two players, share one Adam state. ``due`` says at which steps it acts; ``lr``,
    where given, is the learning rate at a step: a function of the step alone, so that nothing about
    a schedule has to be saved.
    """

    name: str
    optimiser: Optimizer
    terms: Callable[[Batch], Terms]
    due: Callable[[int], bool] = lambda step: True
    lr: Callable[[int], float] | None = None

    def parameters(self) -> list[Tensor]:
        """The parameters that this player moves."""
        return [p for group in self.optimiser.param_groups for p in group["params"]]


def train(
    players: Sequence[Player],
    batches: Callable[[int], Batch],
    steps: int,
    *,
    seed: int = 0,
    start: int = 0,
    after: Callable[[int, Terms], None] | None = None,
) -> None:
    """Let every player act, in order, on the batch of each step from ``start`` to ``steps``.

    All randomness of a step is a function of (seed, step): the generators are seeded at its top and
    the batch is asked for by number. A run that was killed anywhere goes on to the same bits.
    While one player acts the parameters of all others are frozen. ``after(step, terms)`` is called
    with the number of steps done and this step's terms, detached, under "player/term". Several
    processes (``ganzip.parallel``) train on their parts of each batch, and terms are their means.
    """
    everyone = {p for player in players for p in player.parameters()}
    for step in range(start, steps):
        device.seed(step_seed(seed, step))
        batch = parted(batches(step))
        logged: Terms = {}
        for player in players:
            if player.due(step):
                terms = act(player, everyone, batch, step)
                logged |= {f"{player.name}/{name}": term.detach() for name, term in terms.items()}
        if after is not None:
            after(step + 1, logged)


def act(player: Player, everyone: set[Tensor], batch: Batch, step: int) -> Terms:
    """One optimiser step of one player, everybody else frozen."""
    own = player.parameters()
    for p in everyone.difference(own):
        p.requires_grad_(False)
    for p in own:
        p.requires_grad_(True)
    if player.lr is not None:
        for group in player.optimiser.param_groups:
            group["lr"] = player.lr(step)
    with parallel.split():
        terms = player.terms(batch)
    player.optimiser.zero_grad(set_to_none=True)
    torch.stack(list(terms.values())).sum().backward()
    terms = parallel.average(own, terms)
    player.optimiser.step()
    return terms


def parted(batch: Batch) -> Batch:
    """This process's samples of a batch: all where it is the only one; its part's part is itself.

    Raises ValueError where the processes cannot share it.
    """
    if parallel.size() == 1 or batch.parted:
        return batch
    parallel.check(len(batch.cond))
    fields = (batch.cond, batch.real, batch.target, batch.features)
    own = [None if x is None else parallel.part(x) for x in fields]
    return Batch(*own, parted=True)  # pyright: ignore


def step_seed(seed: int, step: int | str) -> int:
    """A 32-bit seed for one step, or for what else has a name, such as a network.

    torch's CPU generator reads no more than 32 bits of a seed.
    """
    return int.from_bytes(hashlib.sha256(f"{seed}/{step}".encode()).digest()[:4], "big")


def every(n: int) -> Callable[[int], bool]:
    """Act at the steps divisible by n, for lazy regularisers."""
    return lambda step: step % n == 0


def lazy(lr: float, betas: tuple[float, float], period: int) -> tuple[float, tuple[float, float]]:
    """Adam's settings for a network with a lazy regulariser, which adds a step every ``period``.

    With c = period / (period + 1): lr * c and betas ** c, so that ``period`` steps go as far as
    without it. Karras et al., arXiv:1912.04958, appendix B.
    """
    c = period / (period + 1)
    return lr * c, (betas[0] ** c, betas[1] ** c)


def cosine(lr: float, steps: int) -> Callable[[int], float]:
    """Learning rate that falls from ``lr`` to 0 over ``steps`` along half a cosine."""
    return lambda step: lr * 0.5 * (1 + math.cos(math.pi * step / steps))


def frozen(net: nn.Module) -> nn.Module:
    """The network in eval mode without gradients: batch statistics stay untouched too.

    Without ``eval()`` a forward under ``no_grad`` still moves BatchNorm's running statistics.
    """
    return net.eval().requires_grad_(False)


def memory(decay: float, steps: int) -> float:
    """The decay of an average over ``steps`` steps: at most one that remembers a quarter of them.

    After all steps less than 2 % (exp -4) is left of where the network started. A decay that was
    chosen for a million steps would leave a network of a hundred at its start.
    """
    return min(decay, max(0.0, 1 - 4 / steps))


def averaged(
    net: nn.Module, optimiser: Optimizer, decay: float, *, steps: int | None = None
) -> nn.Module:
    """A frozen copy of the network that follows it: its moving average over optimiser steps.

    After each step of ``optimiser``: average = decay * average + (1 - decay) * net; buffers are
    copied. ``steps`` is how many there will be: see :func:`memory`. Hand the copy to a run beside
    the network, for it is part of the run's state.
    """
    if not 0 <= decay < 1:
        raise ValueError(f"decay is {decay}; expected 0 (no memory) to below 1")
    decay = decay if steps is None else memory(decay, steps)
    average = frozen(copy.deepcopy(net))

    @torch.no_grad()
    def follow(*_: object) -> None:
        for mine, its in zip(average.parameters(), net.parameters(), strict=True):
            mine.lerp_(its, 1 - decay)
        for mine, its in zip(average.buffers(), net.buffers(), strict=True):
            mine.copy_(its)

    optimiser.register_step_post_hook(follow)
    return average
