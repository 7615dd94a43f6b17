"""Real-ESRGAN's generator as a residual of bicubic enlargement, where hundreds of steps must do.

In plainly reduced images the enlargement is most of the answer. A network that has to find it first
spends a small run's steps on that; this one starts from it. Not part of the published recipe.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ganzip.nets.realesrgan import SCALE, RRDBNet

SHARE = 0.1  # of the usual first weights of the last layer


class Residual(RRDBNet):
    """``RRDBNet``, whose answer is added to the bicubic enlargement of its input.

    Images (N, 3, h, w) in [-1, 1] -> (N, 3, 4h, 4w), not clamped to it. Parameters and their names
    are those of RRDBNet. It starts near the enlargement: the last layer's weights are a tenth of
    the usual ones, its bias is 0.
    """

    def __init__(self, *, width: float = 1.0, blocks: int = 23):
        super().__init__(width=width, blocks=blocks)
        with torch.no_grad():
            self.conv_last.weight *= SHARE
            if self.conv_last.bias is not None:
                self.conv_last.bias.zero_()

    def forward(self, cond: Tensor) -> Tensor:
        """Enlarge images in [-1, 1] four times."""
        enlarged = F.interpolate(cond, scale_factor=float(SCALE), mode="bicubic")
        return enlarged + super().forward(cond) + 1  # its grey is -1
