"""DCD: the teacher's discriminator judges the student and compares its feature maps.

Hu et al., "Discriminator-Cooperated Feature Map Distillation for GAN Compression",
arXiv:2212.14169, as carried over to super-resolution in SDAKD (arXiv:2510.03870, section 4), with
its variant "DCD modified".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from ganzip import losses
from ganzip.methods import gan
from ganzip.taps import taps
from ganzip.train import Batch, Player, Terms


def dcd(
    student: nn.Module,
    teacher: nn.Module,
    D: nn.Module,
    connectors_student: nn.ModuleList,
    connectors_teacher: nn.ModuleList,
    optimiser: Optimizer,
    d_optimiser: Optimizer,
    maps: Callable[[Tensor], Sequence[Tensor]],
    phi: Callable[[Tensor], Tensor],
    taps_student: Sequence[str],
    taps_teacher: Sequence[str],
    *,
    adversarial: float,
    modified: bool = False,
    style: float = 1e4,
    feature: float = 10.0,
    cd: float = 1.0,
) -> list[Player]:
    """The players of D, which is the teacher's, and of the student, S.

    D sees real images and the teacher's, the student's only if ``modified``. The teacher learns
    from scratch at the same time: add ``gan.supervised`` for it and, where its family has it,
    ``gan.r1`` for D. ``adversarial`` weighs the student's term as the family does the teacher's.

    ``maps`` gives the feature maps of images in [-1, 1]: VGG16's relu1_2, 2_2, 3_3 and 4_3. Style
    compares all, feature the second. ``phi`` is D's first blocks, which take maps of any size; the
    connectors lead from the taps to as many channels as it takes, an image's. Those of the teacher
    too belong to ``optimiser``, beside the student.
    """

    def terms(batch: Batch) -> Terms:
        with torch.no_grad(), taps(teacher, taps_teacher) as tapped:
            wanted = maps(teacher(batch.cond))
        with taps(student, taps_student) as own:
            images = student(batch.cond)
        seen = maps(images)
        pairs = [
            F.l1_loss(phi(connect_student(own[s])), phi(connect_teacher(tapped[t])))
            for s, t, connect_student, connect_teacher in zip(
                taps_student, taps_teacher, connectors_student, connectors_teacher, strict=True
            )
        ]
        return {
            "style": style * losses.style(seen, wanted),
            "feature": feature * F.l1_loss(seen[1], wanted[1]),
            "adversarial": adversarial * losses.g_logistic(D(images)),
            "cd": cd * torch.stack(pairs).sum(),
        }

    judge = (
        discriminator(student, teacher, D, d_optimiser)
        if modified
        else gan.discriminator(teacher, D, d_optimiser)
    )
    return [judge, Player("S", optimiser, terms)]


def discriminator(
    student: nn.Module, teacher: nn.Module, D: nn.Module, optimiser: Optimizer
) -> Player:
    """DCD modified: fakes are both generators' images, each at half the weight."""

    def terms(batch: Batch) -> Terms:
        real = D(gan.real(batch))
        both = [losses.d_logistic(real, D(G(batch.cond))) for G in (teacher, student)]
        return {"adversarial": torch.stack(both).mean()}

    return Player("D", optimiser, terms)
