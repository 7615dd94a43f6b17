"""How a method's networks are trained: optimisers, rates, averages, regularisers.

What a paper does its own way is a number or a name here, not a second function.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torch.optim import Adam, Optimizer, RMSprop

from ganzip import prune
from ganzip.losses import Mask
from ganzip.methods import gan
from ganzip.train import Player, averaged, cosine

MASKS: dict[str, Mask] = {
    "foreground": prune.foreground,
    "ellipse": prune.ellipse,
    "everything": prune.everything,
}
PENALTY = 10.0  # Gulrajani et al. 2017


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The numbers of one unit's training.

    steps: of all phases. lr, d_lr: of generators and of discriminators; with ``cosine`` they fall
    to 0, over ``warmup`` steps they rise. betas, d_betas: Adam's; None is the same for both. loss:
    of training without a teacher, "gan", or "wgan" and "wgan-gp" with RMSprop. generator_first:
    whether G acts before D there. decay: of the average of G over its optimiser's steps; None keeps
    G itself. step_decay: of a running mean over training steps. gamma, penalised: R1, and the
    players that have it. path: weight of path lengths. mixing: of styles; None where images are
    drawn by calling G.
    l1_first: share of all steps in which a GAN of images learns by L1 alone; stages: those of
    SDAKD's stage 2, of G and of D, 0 for none. own_critic: whether SDAKD has a student's D; else it
    goes on training the teacher's. from_scratch: whether OMGD's and DCD's teachers start anew.
    sparse: share of all steps that GS's first phase takes; same_critic: whether its discriminator
    goes on in the second, which else starts from the teacher's again. layers: modules whose maps
    are compared, where they are not ``views``'s, by name.
    """

    steps: int
    lr: float
    d_lr: float = 0.0
    betas: tuple[float, float] = (0.5, 0.999)
    d_betas: tuple[float, float] | None = None
    cosine: bool = False
    warmup: int = 0
    loss: str = "gan"
    generator_first: bool = False
    decay: float | None = None
    step_decay: float = 0.0
    gamma: float = 0.0
    penalised: tuple[str, ...] = ("D", "D_teacher")
    path: float = 0.0
    mixing: float | None = None
    mask: str = "everything"
    alpha: float = 1e-4  # paper A's joint loss: share of the adversarial term
    l1_first: float = 0.0
    stages: tuple[float, float] = (0.4, 0.2)
    own_critic: bool = True
    features: bool = True  # whether SDAKD has its feature term
    lambda1: float = 1.0  # and its weight
    lambda2: float = 0.1  # that of the adversarial term in stage 3
    from_scratch: bool = False
    sparse: float = 0.25
    same_critic: bool = False
    energy: int = 8  # channels of ITGC's energy
    langevin: int = 5  # and its steps
    nickel: float = 10.0
    teacher_critic: bool = True  # whether NICKEL's student is judged by the teacher's D too
    moment_batch: int | None = None
    layers: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def mixed(self) -> float:
        """The probability of style mixing."""
        return self.mixing or 0.0

    def optimiser(self, *networks: nn.Module) -> Optimizer:
        """A new optimiser over generators and what learns with them."""
        return self._new(networks, self.lr, self.betas)

    def d_optimiser(self, net: nn.Module) -> Optimizer:
        """A new optimiser over a discriminator or GCC's gates."""
        return self._new([net], self.d_lr, self.d_betas or self.betas)

    def _new(
        self, networks: Sequence[nn.Module], lr: float, betas: tuple[float, float]
    ) -> Optimizer:
        parameters = [p for net in networks for p in net.parameters()]
        if self.loss != "gan":
            return RMSprop(parameters, lr)
        return Adam(parameters, lr, betas=betas, fused=True)

    def with_rates(self, players: Sequence[Player], steps: int) -> list[Player]:
        """Players with their learning rates over ``steps``.

        GCC's gates have an eighth of a discriminator's; ITGC's energy keeps its own.
        """
        rates = {"D": self.d_lr, "D_teacher": self.d_lr, "gates": self.d_lr / 8}

        def rate(player: Player) -> Callable[[int], float] | None:
            name = player.name.split()[-1]
            if name == "energy":
                return player.lr
            lr = rates.get(name, self.lr)
            curve = cosine(lr, steps) if self.cosine else lambda step: lr
            return lambda step: curve(step) * min(1.0, (step + 1) / (self.warmup + 1))

        return [dataclasses.replace(player, lr=rate(player)) for player in players]

    def arrange(self, players: list[Player]) -> list[Player]:
        """D and G in the order in which they act."""
        return players[::-1] if self.generator_first else players

    def average(self, G: nn.Module, optimiser: Optimizer, share: float = 1.0) -> nn.Module:
        """What is kept of a generator that trains for a share of all steps."""
        if self.decay is None:
            return G
        return averaged(G, optimiser, self.decay, steps=max(1, round(share * self.steps)))

    def regularise(
        self,
        players: Sequence[Player],
        nets: dict[str, nn.Module],
        critics: Mapping[str, gan.Network],
        generators: Mapping[str, nn.Module],
    ) -> list[Player]:
        """Each player and its lazy regularisation: R1 of critics, path lengths of generators.

        Both by the player's name. The running means of path lengths join ``nets``.
        """
        out = []
        for player in players:
            out.append(player)
            name, optimiser = player.name, player.optimiser
            if self.gamma and name in self.penalised and name in critics:
                out.append(gan.r1(critics[name], optimiser, gamma=self.gamma, name=name))
            if self.path and name in generators:
                G = generators[name]
                nets[f"{name} path"] = mean = gan.PathMean()
                mean.to(next(G.parameters()).device)
                numbers: dict[str, Any] = {"weight": self.path, "mixing": self.mixed, "name": name}
                out.append(gan.path_length(G, optimiser, mean, **numbers))
        return out
