"""GS, GAN Slimming for StyleGAN2: a wide generator is made sparse, pruned by style, fine-tuned.

Wang et al., "GAN Slimming", arXiv:2008.11062, as adapted in the code of arXiv:2104.02244: scalars
of style take the place of the scales of normalisation. Between the two stages here stand
``prune.style_scale`` and ``prune.cut``.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import Optimizer

from ganzip import losses, prune
from ganzip.losses import Distance
from ganzip.methods import gan
from ganzip.taps import taps
from ganzip.train import Batch, Player, Terms


def sparsify(
    G: nn.Module,
    teacher: nn.Module,
    D: nn.Module,
    g_optimiser: Optimizer,
    d_optimiser: Optimizer,
    distance: Distance | None,
    *,
    sparsity: float = 1e-5,
    l1: float = 0.0,
    perceptual: float = 3.0,
    mixing: float = 0.9,
) -> list[Player]:
    """Stage 1: G, a copy of the teacher, learns small styles beside the teacher's images.

    The penalty is the sum over channels of the size of their mean style in the batch, over the
    layers whose styles score the channels when G is pruned. D starts from the teacher's.
    """
    supervision = losses.supervision(distance, l1=l1, weight=perceptual)
    names = [f"{name}.affine" for name in prune.readers(G)]

    def terms(batch: Batch) -> Terms:
        with taps(G, names) as scales:
            fake, wanted = gan.side_by_side(G, teacher, batch.cond, mixing)
        size = torch.stack([scale.mean(0).abs().sum() for scale in scales.values()]).sum()
        return {
            "adversarial": losses.g_logistic(D(fake)),
            **supervision(fake, wanted),
            "sparsity": sparsity * size,
        }

    return [
        Player("G", g_optimiser, terms),
        gan.discriminator(gan.mixer(G, mixing), D, d_optimiser),
    ]


def finetune(
    student: nn.Module,
    teacher: nn.Module,
    D: nn.Module,
    g_optimiser: Optimizer,
    d_optimiser: Optimizer,
    distance: Distance | None,
    *,
    l1: float = 0.0,
    perceptual: float = 3.0,
    mixing: float = 0.9,
) -> list[Player]:
    """Stage 2: the pruned student learns whole images of the teacher and to fool D."""
    supervision = losses.supervision(distance, l1=l1, weight=perceptual)
    return [
        gan.distilled(student, teacher, D, g_optimiser, supervision, mixing=mixing),
        gan.discriminator(gan.mixer(student, mixing), D, d_optimiser),
    ]
