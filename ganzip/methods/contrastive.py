"""An encoder that learns without labels: two views of one image are alike, others are not.

Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations",
arXiv:2002.05709. A small one takes the place of foundation models where none is at hand.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from ganzip.methods import gan
from ganzip.train import Batch, Player, Terms


def contrastive(
    encoder: nn.Module, head: nn.Module, optimiser: Optimizer, *, temperature: float = 0.2
) -> list[Player]:
    """The encoder, through a ``head`` that is thrown away, tells the batch's real images apart."""

    def terms(batch: Batch) -> Terms:
        images = gan.real(batch)
        both = head(encoder(torch.cat([view(images), view(images)])))
        return {"contrast": nt_xent(both, temperature)}

    return [Player("encoder", optimiser, terms)]


def nt_xent(features: Tensor, temperature: float = 0.2) -> Tensor:
    """Cross entropy of finding each view's partner among all others, eq. (1) there.

    Features are (2 N, dims), the second views after the first; their cosines decide.
    """
    unit = F.normalize(features, dim=1)
    n = len(unit) // 2
    itself = torch.eye(2 * n, dtype=torch.bool, device=unit.device)
    alike = (unit @ unit.T / temperature).masked_fill(itself, -math.inf)
    return F.cross_entropy(alike, torch.arange(2 * n, device=unit.device).roll(n))


def view(
    images: Tensor,
    *,
    rotation: float = 15.0,
    scale: float = 0.15,
    shift: float = 0.12,
    noise: float = 0.1,
) -> Tensor:
    """Images (N, C, H, W) seen otherwise: turned, scaled, shifted, noisy.

    At most ``rotation`` degrees, ``scale`` of the size and ``shift`` of the side, each uniform and
    an image's own; ``noise`` is a standard deviation. What comes in from outside repeats the edge.
    """

    def uniform(most: float) -> Tensor:
        return most * (2 * torch.rand(len(images), device=images.device) - 1)

    angle, size = uniform(math.radians(rotation)), 1 + uniform(scale)
    x, y = uniform(2 * shift), uniform(2 * shift)  # the grid's sides are 2
    rows = [size * angle.cos(), -size * angle.sin(), x, size * angle.sin(), size * angle.cos(), y]
    grid = F.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), [*images.shape], align_corners=False)
    seen = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return seen + noise * torch.randn_like(seen)
