"""DCGAN, scaled by one number: d, the channels of the largest (last) feature map.

Radford et al., "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks", arXiv:1511.06434, in the form whose parameter counts paper A prints (Aguinaldo et al.,
arXiv:1902.00159, Table 1): convolutions with bias, batch normalisation without affine parameters.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn


class FromNoise(nn.ConvTranspose2d):
    """A 4x4 transposed convolution of a 1x1 map, (N, n_in, 1, 1) -> (N, n_out, 4, 4).

    That is a matrix product, and as one it takes a quarter of the time on a CPU.
    """

    def __init__(self, n_in: int, n_out: int):
        super().__init__(n_in, n_out, 4)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Map noise to 4x4 maps."""
        product = input.flatten(1) @ self.weight.flatten(1)
        return product.unflatten(1, (-1, 4, 4)) + cast(Tensor, self.bias)[:, None, None]


class Generator(nn.Module):
    """Noise (N, latent) -> images (N, channels, size, size) in [-1, 1].

    ``size`` is a power of two, 8 or more. At 64 the maps are 4, 8, 16, 32 with 8d, 4d, 2d, d
    channels; smaller images drop the widest stages, so that d means the same at every size. With
    channels=1, size=64, latent=100 it has 672 d^2 + 12831 d + 1 parameters.
    """

    def __init__(self, d: int, *, channels: int = 1, size: int = 64, latent: int = 100):
        super().__init__()
        widths = stage_widths(d, size)
        self.latent = latent
        self.stages = nn.Sequential()
        for i, (n_in, n_out) in enumerate(zip([latent, *widths], widths, strict=False)):
            conv = nn.ConvTranspose2d(n_in, n_out, 4, 2, 1) if i else FromNoise(n_in, n_out)
            self.stages.append(nn.Sequential(conv, nn.BatchNorm2d(n_out, affine=False), nn.ReLU()))
        self.to_image = nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1)
        self.apply(init_weights)

    def forward(self, z: Tensor) -> Tensor:
        """Map noise (N, latent) to images in [-1, 1]."""
        x = z.reshape(-1, self.latent, 1, 1)
        return self.to_image(self.stages(x)).tanh()


class Discriminator(nn.Module):
    """Images (N, channels, size, size) -> logits (N,): the generator's mirror image, no sigmoid."""

    def __init__(self, d: int, *, channels: int = 1, size: int = 64):
        super().__init__()
        widths = stage_widths(d, size)[::-1]
        self.stages = nn.Sequential()
        for i, (n_in, n_out) in enumerate(zip([channels, *widths], widths, strict=False)):
            norm = [nn.BatchNorm2d(n_out, affine=False)] if i else []
            conv = nn.Conv2d(n_in, n_out, 4, 2, 1)
            self.stages.append(nn.Sequential(conv, *norm, nn.LeakyReLU(0.2)))
        self.to_logit = nn.Conv2d(widths[-1], 1, 4)
        self.apply(init_weights)

    def forward(self, images: Tensor) -> Tensor:
        """Map images to logits (N,)."""
        return self.to_logit(self.stages(images)).flatten()


def stage_widths(d: int, size: int) -> list[int]:
    """Channels of the generator's stages, the 4x4 map first: [8d, 4d, 2d, d] at 64 pixels."""
    if d < 1:
        raise ValueError(f"d is {d}; expected 1 or more: the number of channels of the widest map")
    if size < 8 or size & (size - 1):
        raise ValueError(f"size is {size}; expected a power of two, 8 or more")
    stages = size.bit_length() - 3
    return [d * 2**i for i in reversed(range(stages))]


def init_weights(module: nn.Module) -> None:
    """Convolutions from N(0, 0.02), biases 0, as DCGAN has them (Radford et al., section 4)."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
