"""GCFSR: faces enlarged 4 to 64 times by one network, told by how much.

He et al., "GCFSR: a Generative and Controllable Face Super Resolution Method Without Facial and GAN
Priors", arXiv:2203.07319, of StyleGAN2's layers. The released class runs at width 1 only and not
with its stored noise; this one runs at every width, with both kinds of noise.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzip.nets import stylegan2
from ganzip.nets.stylegan2 import ROOT2, Conv, Linear, StyleConv, ToRGB, compact, map_widths, spread


class Generator(nn.Module):
    """:func:`condition` (N, 4, size, size) -> images (N, 3, size, size), about [-1, 1], unclamped.

    ``size`` is a power of two, 32 or more. The map of r pixels has ``base`` / r channels, at most
    ``cap``, times ``width``, truncated; styles keep their width, ``latent``. ``decoder.b{r}.conv1``
    ends in the map of r pixels; the largest map is the one that the last RGB layer sees. ``extra``
    adds so many layers to each of its resolutions, as in OMGD's deep teacher.
    66,668,706 parameters; 24,790,114, 10,261,698 and 4,600,210 at widths 1/2, 1/4 and 1/8.
    """

    def __init__(
        self,
        size: int = 1024,
        *,
        base: int = 32768,
        cap: int = 512,
        latent: int = 512,
        extra: int = 0,
        width: float = 1.0,
    ):
        super().__init__()
        if size < 32:
            raise ValueError(f"size is {size}; expected 32 or more: the decoder starts at 16")
        widths = map_widths(size, base, cap, width, math.floor)
        sizes = [r for r in widths if r >= 16]
        self.num_ws = 2 * len(sizes)
        self.encoder = nn.Sequential()
        self.encoder.add_module(f"b{size}", Conv(3, widths[size]))
        for r in reversed(sizes[:-1]):
            self.encoder.add_module(f"b{r}", Conv(widths[2 * r], widths[r], down=True))
        half = max(1, widths[4] // 2)
        self.style = nn.Sequential(
            Conv(widths[16], widths[8], down=True),
            Conv(widths[8], half, down=True),
            nn.Flatten(),
            Linear(16 * half, self.num_ws * latent, act=True),
            nn.Unflatten(1, (self.num_ws, latent)),
        )
        self.start = Conv(widths[16], widths[16])
        self.decoder = nn.Module()
        for r in sizes:
            n_in = widths[max(16, r // 2)]
            self.decoder.add_module(f"b{r}", DecoderBlock(n_in, widths[r], latent, r, extra))

    def forward(self, cond: Tensor) -> Tensor:
        """Restore enlarged faces."""
        x, in_size = compact(cond[:, :3]), cond[:, 3, :1, 0]
        features: list[Tensor] = []
        for layer in self.encoder:
            x = layer(x)
            features.append(x)
        ws = self.style(x)
        x, image = self.start(x), x.new_zeros(len(x), 3, 8, 8)
        for i, block in enumerate(self.decoder.children()):
            x, image = block(x, image, ws[:, max(0, 2 * i - 1) :], features.pop(), in_size)
        return image


class Discriminator(stylegan2.Discriminator):
    """Images (N, 3, size, size) -> logits (N,): StyleGAN2's, without minibatch deviation.

    29,007,905 parameters; 7,253,777, 1,814,345 and 454,037 at widths 1/2, 1/4 and 1/8.
    """

    def __init__(self, size: int = 1024, *, base: int = 32768, cap: int = 512, width: float = 1.0):
        super().__init__(size, base=base, cap=cap, group=0, width=width, rounding=math.floor)


def condition(images: Tensor, in_size: Tensor) -> Tensor:
    """What the generator is given, as one tensor (N, 4, S, S).

    ``images`` (N, 3, S, S) in [-1, 1] are enlarged to the output's size beforehand; ``in_size``
    (N,) is the factor over the largest one, 64 at 1024 pixels: 1 for 64x, 1/16 for 4x.
    """
    n, _, height, width = images.shape
    plane = in_size.to(images).reshape(n, 1, 1, 1).expand(-1, -1, height, width)
    return torch.cat([images, plane], 1)


class DecoderBlock(nn.Module):
    """A map of size / 2 pixels and the encoder's of ``size`` pixels -> the map of ``size`` pixels.

    The first, of 16 pixels, is given a map of its own size.
    """

    def __init__(self, n_in: int, n_out: int, latent: int, size: int, extra: int):
        super().__init__()
        self.conv0 = StyleConv(n_in, n_out, latent, size, up=True) if size > 16 else None
        between = n_out if size > 16 else n_in
        self.extra = nn.ModuleList(StyleConv(between, between, latent, size) for _ in range(extra))
        self.conv1 = FeatureConv(n_out, n_out, latent, size)
        self.torgb = ToRGB(n_out, latent)

    def forward(
        self, x: Tensor, image: Tensor, ws: Tensor, feature: Tensor, in_size: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Use the first styles of ``ws`` (N, left, latent); torgb shares its own with the next."""
        if self.conv0 is not None:
            x, ws = self.conv0(x, ws[:, 0]), ws[:, 1:]
        for layer in self.extra:
            x = layer(x, ws[:, 0])
        x = self.conv1(x, ws[:, 0], feature, in_size)
        return x, self.torgb(x, ws[:, 1], image)


class FeatureConv(StyleConv):
    """Demodulated convolution and noise, mixed with the encoder's map; then bias, leaky ReLU.

    Shares a and b of the two, a^2 + b^2 = 1 a channel, depend on the factor of enlargement alone.
    """

    def __init__(self, n_in: int, n_out: int, latent: int, size: int):
        super().__init__(n_in, n_out, latent, size)
        self.own = Linear(1, n_out, start=1.0)
        self.encoded = Linear(1, n_out, start=1.0)
        self.shift = Conv(n_out, n_out, act=False)

    def forward(self, x: Tensor, w: Tensor, feature: Tensor, in_size: Tensor) -> Tensor:
        """Apply style w (N, latent) to maps x; ``in_size`` is (N, 1)."""
        style = self.affine(w)
        a, b = self.shares(in_size)
        y, d = self.convolve(x, style), self.demodulation(style)
        y = torch.addcmul(spread(self.bias * ROOT2), y, d * a)
        y = y.addcmul_(self.noise(y), self.noise_strength * a).addcmul_(self.shift(feature), b)
        return F.leaky_relu_(y, 0.2)

    def shares(self, in_size: Tensor) -> tuple[Tensor, Tensor]:
        """a and b, times the gain of the leaky ReLU, (N, n_out, 1, 1)."""
        own, encoded = self.own(in_size), self.encoded(in_size)
        gain = ROOT2 * (own.square() + encoded.square() + 1e-8).rsqrt()
        return (own * gain)[:, :, None, None], (encoded * gain)[:, :, None, None]
