"""What a method is handed to train a student: a family's networks, a recipe, batches."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from ganzip import losses
from ganzip.distil import views
from ganzip.distil.family import Adapter
from ganzip.distil.recipe import Recipe
from ganzip.losses import Distance, Supervision
from ganzip.methods import nickel_dime
from ganzip.train import Batch, Player


@dataclass(frozen=True)
class Phase:
    """One phase of a training, for who trains it.

    share: of all steps. nets: every network that moves, by name. draw: the batch of a step.
    """

    name: str
    players: Sequence[Player]
    share: float
    nets: Mapping[str, nn.Module]
    draw: Callable[[int], Batch]


def absent(*_: Any) -> NoReturn:
    """Stands where a unit has no such network."""
    raise AssertionError("this method needs a network that its unit does not have")


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A family's networks, as a unit makes them.

    student, fresh: make a new student, from its start or from noise. cut: makes one out of a wide
    generator. critic: makes a discriminator of a width, by its name; judge: the teacher's, to go on
    training. new: makes a network by its name, which decides its first weights, see
    ``runs.Run.new``. T: the frozen teacher; stored_teacher: where its answers are stored, a
    stand-in for it that gives the batch's. draw: the batch of a step, the teacher's image as its
    target; truth: with the truth in its place, where methods without a teacher need one. kernels:
    DiME's, with their weights, for the student that has not learnt yet. distance: the perceptual
    one. maps: the four that OMGD and DCD compare; first_blocks: the part of D that compares DCD's.
    """

    adapter: Adapter
    recipe: Recipe
    fresh: Callable[[], nn.Module]
    critic: Callable[[float, str], nn.Module]
    draw: Callable[[int], Batch]
    truth: Callable[[int], Batch] | None = None
    student: Callable[[], nn.Module] = absent
    cut: Callable[[nn.Module], nn.Module] = absent
    judge: Callable[[], nn.Module] = absent
    new: Callable[[str, Callable[[], Any]], Any] = absent
    kernels: Callable[[nn.Module], list[nickel_dime.Kernel]] = absent
    distance: Callable[[], Distance] = absent
    maps: Callable[[], Callable[[Tensor], Sequence[Tensor]]] = absent
    first_blocks: Callable[[nn.Module], Callable[[Tensor], Tensor]] | None = None
    T: nn.Module = field(default_factory=nn.Identity)
    stored_teacher: nn.Module | None = None
    width: float = 1.0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def view(self, G: nn.Module) -> nn.Module:
        """The generator as methods of paper C draw it."""
        return views.view(self.adapter, G)

    def supervision(self) -> Supervision:
        """The family's own: L1 and perceptual."""
        a = self.adapter
        return losses.supervision(self.distance(), l1=a.l1, weight=a.perceptual)

    def black(self, n: int) -> Tensor:
        """n black images."""
        a = self.adapter
        return torch.zeros(n, a.channels, a.size, a.size, device=self.device)
