"""A small encoder of images, for ``methods.contrastive`` to train on the data at hand."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn


class Encoder(nn.Module):
    """Images (N, channels, H, W), of any size -> 128 features (N, 128).

    93,472 parameters for colour images.
    """

    def __init__(self, channels: int = 3):
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(n_in, n_out, 3, 1 if n_in == channels else 2, 1, bias=False),
                nn.BatchNorm2d(n_out),
                nn.ReLU(),
            )
            for n_in, n_out in pairwise((channels, 32, 64, 128))
        )

    def maps(self, images: Tensor) -> list[Tensor]:
        """Three maps: of the images' size, of a half and of a quarter of it."""
        found = [images]
        for block in self.blocks:
            found.append(block(found[-1]))
        return found[1:]

    def forward(self, images: Tensor) -> Tensor:
        """Features: the means of the last map."""
        return self.maps(images)[-1].mean((2, 3))
