"""CAGC: the student learns those parts of the teacher's images that matter.

Liu et al., "Content-Aware GAN Compression", arXiv:2104.02244, section 3.2.
"""

from __future__ import annotations

from torch import nn
from torch.optim import Optimizer

from ganzip import losses
from ganzip.losses import Distance, Mask
from ganzip.methods import gan
from ganzip.train import Player


def cagc(
    student: nn.Module,
    teacher: nn.Module,
    D: nn.Module,
    g_optimiser: Optimizer,
    d_optimiser: Optimizer,
    mask: Mask,
    distance: Distance | None,
    *,
    l1: float = 3.0,
    perceptual: float = 3.0,
    mixing: float = 0.9,
) -> list[Player]:
    """Adversarial loss, L1 and a perceptual distance (LPIPS there) of masked images.

    The student is pruned by ``prune.saliency``, D starts from the teacher's. The mask is of the
    teacher's image; without a distance L1 stands alone.
    """
    supervision = losses.masked(losses.supervision(distance, l1=l1, weight=perceptual), mask)
    return [
        gan.distilled(student, teacher, D, g_optimiser, supervision, mixing=mixing),
        gan.discriminator(gan.mixer(student, mixing), D, d_optimiser),
    ]
