"""The energy of a pair of images, for ITGC's variational bound of mutual information.

Kang et al., "Information-Theoretic GAN Compression with Variational Energy-based Model",
arXiv:2303.16050: a residual network, spectrally normalised throughout.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize


class Energy(nn.Module):
    """Two sets of images (N, 3, size, size) -> energies (N,): low where a pair belongs together.

    ``size`` is a power of two, 8 or more; blocks halve the map until one pixel is left, with
    ``channels`` times 1, 2, 4, 4, ... channels.
    """

    def __init__(self, size: int = 256, *, channels: int = 32):
        super().__init__()
        if size < 8 or size & (size - 1):
            raise ValueError(f"size is {size}; expected a power of two, 8 or more")
        blocks = size.bit_length() - 2
        widths = [channels * min(4, 2**i) for i in range(blocks + 1)]
        self.start = spectral(nn.Conv2d(6, channels, 3, 1, 1))
        self.blocks = nn.Sequential(*(Block(i, o) for i, o in pairwise(widths)))
        self.out = spectral(nn.Linear(widths[-1], 1))

    def forward(self, images: Tensor, given: Tensor) -> Tensor:
        """Energies of ``images`` beside ``given``."""
        both = torch.cat([F.avg_pool2d(x, 3, 2, 1) for x in (images, given)], 1)
        x = self.blocks(F.leaky_relu(self.start(both)))
        return self.out(F.relu(x).mean((2, 3))).flatten()


class Block(nn.Module):
    """Maps (N, n_in, r, r) -> (N, n_out, r / 2, r / 2); at first the shortcut's alone."""

    def __init__(self, n_in: int, n_out: int):
        super().__init__()
        self.conv0 = spectral(nn.Conv2d(n_in, n_in, 3, 1, 1))
        self.conv1 = spectral(nn.Conv2d(n_in, n_out, 3, 1, 1), std=1e-10, bounded=True)
        self.skip = nn.Identity() if n_in == n_out else spectral(nn.Conv2d(n_in, n_out, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Halve the map."""
        y = self.conv1(F.leaky_relu(self.conv0(x)))
        return F.leaky_relu(F.avg_pool2d(self.skip(x) + y, 2))


class SpectralNorm(nn.Module):
    """A weight over its largest singular value; ``bounded`` ones only where that exceeds 1.

    Miyato et al., arXiv:1802.05957: one power iteration a call in train mode. A bounded weight may
    start near 0 and stay there, which the plain norm would blow up to 1.
    """

    u: Tensor

    def __init__(self, weight: Tensor, bounded: bool):
        super().__init__()
        self.bounded = bounded
        self.register_buffer("u", F.normalize(torch.randn(len(weight)), dim=0))
        for _ in range(15):
            self(weight)

    def forward(self, weight: Tensor) -> Tensor:
        """Normalise a weight (n_out, ...)."""
        matrix = weight.flatten(1)
        with torch.no_grad():
            v = F.normalize(self.u @ matrix, dim=0)
            if self.training:
                self.u = F.normalize(matrix @ v, dim=0)  # not in place: graphs may hold the old one
        sigma = self.u @ matrix @ v
        return weight / (sigma.clamp_min(1) if self.bounded else sigma)


def spectral(layer: nn.Conv2d | nn.Linear, *, std: float = 1.0, bounded: bool = False) -> nn.Module:
    """The layer with weights from N(0, std), biases of 0, and spectral normalisation."""
    nn.init.normal_(layer.weight, 0.0, std)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    norm = SpectralNorm(layer.weight.detach(), bounded)
    parametrize.register_parametrization(layer, "weight", norm)
    return layer
