"""OMGD: a student without a discriminator, between a wide teacher and a deep one.

Ren et al., "Online Multi-Granularity Distillation for GAN Compression", arXiv:2108.06908, as
carried over to super-resolution in SDAKD (arXiv:2510.03870, section 4).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from ganzip import losses
from ganzip.taps import taps
from ganzip.train import Batch, Player, Terms


def omgd(
    student: nn.Module,
    wide: nn.Module,
    deep: nn.Module,
    connectors: nn.ModuleList,
    optimiser: Optimizer,
    maps: Callable[[Tensor], Sequence[Tensor]],
    taps_student: Sequence[str],
    taps_teacher: Sequence[str],
    *,
    ssim: float = 10.0,
    style: float = 1e4,
    feature: float = 10.0,
    tv: float = 1e-5,
    cd: float = 1e2,
) -> list[Player]:
    """The student's player, S: it follows the images of both teachers and the maps of the wide one.

    The teachers learn from scratch at the same time, each against a D of its own, which is plain
    adversarial training: put their players, of ``gan``, before S, and give each a name of its own,
    by which runs keep optimisers.

    ``maps`` gives the feature maps of images in [-1, 1]: VGG16's relu1_2, 2_2, 3_3 and 4_3. Style
    compares all, feature the second. ``connectors`` lead from the student's taps to the channels of
    the wide teacher's, one for each pair; they belong to ``optimiser``, beside the student.
    """

    def terms(batch: Batch) -> Terms:
        with torch.no_grad(), taps(wide, taps_teacher) as tapped:
            answers = {"wide": wide(batch.cond), "deep": deep(batch.cond)}
            wanted = {name: maps(answer) for name, answer in answers.items()}
        with taps(student, taps_student) as own:
            images = student(batch.cond)
        seen = maps(images)
        # The sum over teachers counts the student's own variation once for each of them.
        found = {"tv": len(answers) * tv * losses.total_variation(images)}
        for name, answer in answers.items():
            found |= {
                f"ssim {name}": ssim * (1 - losses.ssim(images, answer)),
                f"style {name}": style * losses.style(seen, wanted[name]),
                f"feature {name}": feature * F.l1_loss(seen[1], wanted[name][1]),
            }
        pairs = [
            F.mse_loss(connect(own[s]).mean((2, 3)), tapped[t].mean((2, 3)))
            for s, t, connect in zip(taps_student, taps_teacher, connectors, strict=True)
        ]
        return found | {"cd": cd * torch.stack(pairs).sum()}

    return [Player("S", optimiser, terms)]
