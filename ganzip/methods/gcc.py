"""GCC: generator and discriminator are compressed in cooperation, taught by a pair that trains too.

Li et al., "Revisiting Discriminator in GAN Compression: A Generator-discriminator Cooperative
Compression Scheme", arXiv:2110.14439, in the form for StyleGAN2 that was released with NICKEL &
DiME.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from ganzip import losses
from ganzip.methods import gan
from ganzip.methods.gan import Network
from ganzip.taps import taps
from ganzip.train import Batch, Player, Terms


class Gates(nn.Module):
    """A number in [0, 1] for each channel behind the named blocks of a discriminator, 1 at first.

    A channel whose number is ``threshold`` or less is shut. ``level`` is the running mean of how
    sure the teacher's discriminator is, which the gates hold the student's to. ``images`` are any
    that D takes: they tell its widths.
    """

    level: Tensor

    def __init__(
        self, D: nn.Module, blocks: Sequence[str], images: Tensor, *, threshold: float = 0.1
    ):
        super().__init__()
        self.threshold = threshold
        with torch.no_grad(), taps(D, blocks) as maps:
            D(images)
        self.numbers = nn.ParameterDict(
            {name: maps[name].new_ones(maps[name].shape[1]) for name in blocks}
        )
        self.register_buffer("level", images.new_zeros(()))

    def masks(self) -> dict[str, Tensor]:
        """0 or 1 for each channel, by block; the gradient goes straight through to the numbers."""
        return {
            name: (number > self.threshold).to(number) + (number - number.detach())
            for name, number in self.numbers.items()
        }

    @torch.no_grad()
    def clip(self, *_: object) -> None:
        """Put the numbers back into [0, 1]."""
        for number in self.numbers.values():
            number.clamp_(0, 1)


def gated(D: nn.Module, gates: Gates) -> Network:
    """The discriminator that D is with its gates: what judges, and what R1 regularises."""

    def judge(images: Tensor) -> Tensor:
        handles = [
            D.get_submodule(name).register_forward_hook(
                lambda module, args, maps, mask=mask: maps * mask[:, None, None]
            )
            for name, mask in gates.masks().items()
        ]
        try:
            return D(images)
        finally:
            for handle in handles:
                handle.remove()

    return judge


def transfers(student: nn.Module, teacher: nn.Module, layers: Sequence[str]) -> nn.ModuleList:
    """A 1x1 convolution for each layer, from the student's channels to the teacher's."""

    def channels(net: nn.Module, layer: str) -> int:
        return len(net.get_parameter(f"{layer}.weight"))

    return nn.ModuleList(
        nn.Conv2d(channels(student, name), channels(teacher, name), 1, bias=False)
        for name in layers
    )


def gcc(
    student: nn.Module,
    teacher: nn.Module,
    D: nn.Module,
    D_teacher: nn.Module,
    gates: Gates,
    adapters: nn.ModuleList,
    g_optimiser: Optimizer,
    d_optimiser: Optimizer,
    gates_optimiser: Optimizer,
    teacher_optimisers: tuple[Optimizer, Optimizer] | None,
    *,
    g_layers: Sequence[str] = ("synthesis.b32.conv1", "synthesis.b128.conv1"),
    d_layers: Sequence[str] = ("b128", "b32"),
    content: float = 1.0,
    gram: float = 100.0,
    l1: float = 0.0,
    decay: float = 0.5 ** (64 / 20000),
    mixing: float = 0.9,
) -> list[Player]:
    """The student imitates maps of the teacher's pair, whose D its own D is to be as sure as.

    D starts afresh and judges as :func:`gated`. ``adapters`` are :func:`transfers` of ``g_layers``,
    and ``g_optimiser`` moves them beside the student. ``teacher_optimisers``, of G and D, keep the
    teacher training; None leaves it as it is, and then it has to be frozen. The gates have an Adam
    of D's settings but an eighth of its learning rate. ``decay`` is that of G's average.
    """
    judge = gated(D, gates)
    gates_optimiser.register_step_post_hook(gates.clip)

    def g_terms(batch: Batch) -> Terms:
        with taps(student, g_layers) as mine, taps(teacher, g_layers) as theirs:
            fake, wanted = gan.side_by_side(student, teacher, batch.cond, mixing)
        with taps(D_teacher, d_layers) as judged:
            D_teacher(fake)
        with torch.no_grad(), taps(D_teacher, d_layers) as expected:
            D_teacher(wanted)
        pairs = [
            (adapt(mine[name]), theirs[name])
            for adapt, name in zip(adapters, g_layers, strict=True)
        ]
        pairs += [(judged[name], expected[name]) for name in d_layers]
        both: Terms = {
            "adversarial": losses.g_logistic(judge(fake)),
            "content": content * torch.stack([rms(a, b) for a, b in pairs]).sum(),
            "gram": gram * torch.stack([rms(grams(a), grams(b)) for a, b in pairs]).sum(),
        }
        if l1:
            both["l1"] = l1 * F.l1_loss(fake, wanted)
        return both

    def gates_terms(batch: Batch) -> Terms:
        with torch.no_grad():
            fake, wanted = gan.side_by_side(student, teacher, batch.cond, mixing)
            gates.level = gates.level.lerp(D_teacher(wanted).abs().mean(), 1 - decay)
        verdict = judge(fake)
        return {
            "adversarial": losses.d_logistic(judge(gan.real(batch)), verdict),
            "gate": (verdict.abs() - gates.level).abs().mean(),
        }

    players = [
        Player("G", g_optimiser, g_terms),
        gan.discriminator(gan.mixer(student, mixing), judge, d_optimiser),
        Player("gates", gates_optimiser, gates_terms),
    ]
    if teacher_optimisers is None:
        return players
    g, d = teacher_optimisers
    drawn = gan.mixer(teacher, mixing)
    return [
        gan.generator(drawn, D_teacher, g, name="G_teacher"),
        gan.discriminator(drawn, D_teacher, d, name="D_teacher"),
        *players,
    ]


def rms(one: Tensor, other: Tensor) -> Tensor:
    """The root of the mean squared difference; its gradient is 0 where there is none."""
    return torch.linalg.vector_norm(one - other) / one.numel() ** 0.5


def grams(maps: Tensor) -> Tensor:
    """Products of each two channels of maps (N, C, H, W), over C H W: (N, C, C)."""
    rows = maps.flatten(2)
    return rows @ rows.mT / rows[0].numel()
