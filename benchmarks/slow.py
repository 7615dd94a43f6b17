"""The definitions, written as one reads them: what the fast forms are measured against.

StyleGAN2 and GCFSR as the readable community implementations have them: a weight per sample, made
by modulation and demodulation, and a grouped convolution over the batch; filters that insert zeros,
pad, and see every channel as an image; gains where the papers write them; maps in torch's usual
layout. The Frechet distance by scipy's matrix square root, the kernel distance subset by subset.
"""

import copy
import math
from collections.abc import Callable
from types import MethodType
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzip.nets import gcfsr, realesrgan, stylegan2


def by_definition(net: nn.Module) -> nn.Module:
    """A copy of the network with the same parameters, every layer computed as it is defined."""
    net = copy.deepcopy(net)
    for layer in net.modules():
        forward = FORWARDS.get(type(layer))
        if forward is not None:
            layer.forward = MethodType(forward, layer)
    return net


# StyleGAN2 ----------------------------------------------------------------------------------------


def upfirdn(x: Tensor, kernel: Tensor, pad: tuple[int, int], up: int = 1) -> Tensor:
    """Insert zeros between pixels, pad, filter: every channel an image of its own."""
    n, c, h, w = x.shape
    if up > 1:
        spaced = x.new_zeros(n, c, h, up, w, up)
        spaced[:, :, :, 0, :, 0] = x
        x, h, w = spaced, h * up, w * up
    y = F.conv2d(F.pad(x.reshape(n * c, 1, h, w), (pad[0], pad[1], pad[0], pad[1])), kernel)
    return y.reshape(n, c, *y.shape[2:])


def activated(x: Tensor, bias: Tensor) -> Tensor:
    """Bias, leaky ReLU, gain."""
    return F.leaky_relu(x + bias, 0.2) * math.sqrt(2)


def modulated(layer: Any, x: Tensor, style: Tensor, *, demodulate: bool = True) -> Tensor:
    """A convolution whose weight belongs to a sample: one group of channels each."""
    n, c, h, w = x.shape
    weight = layer.weight * style[:, None, :, None, None]
    if demodulate:  # which takes out any gain
        weight = weight * (weight.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    else:
        weight = weight / math.sqrt(layer.weight[0].numel())
    x = x.reshape(1, n * c, h, w)
    if layer.up:
        y = F.conv_transpose2d(x, weight.transpose(1, 2).flatten(0, 1), stride=2, groups=n)
    else:
        y = F.conv2d(x, weight.flatten(0, 1), padding=weight.shape[-1] // 2, groups=n)
    y = y.reshape(n, -1, *y.shape[2:])
    return upfirdn(y, layer.fir.kernel, (1, 1)) if layer.up else y


def linear(self: stylegan2.Linear, x: Tensor) -> Tensor:
    """Equalised learning rate: weights of variance 1 times a gain."""
    rate = self.gain / (math.sqrt(2) if self.act else 1)
    y = F.linear(x, self.weight * (rate / math.sqrt(x.shape[1])))
    return activated(y, self.bias * rate) if self.act else y + self.bias * rate


def conv(self: stylegan2.Conv, x: Tensor) -> Tensor:
    """The same of a convolution, which filters before it skips."""
    x = x.contiguous()
    weight = self.weight / math.sqrt(self.weight[0].numel())
    if self.fir is not None:
        y = F.conv2d(
            upfirdn(x, self.fir.kernel, (self.fir.padding, self.fir.padding)), weight, stride=2
        )
    else:
        y = F.conv2d(x, weight, padding=weight.shape[-1] // 2)
    if self.bias is None:
        return y
    bias = self.bias[:, None, None]
    return activated(y, bias) if self.act else y + bias


def residual_block(self: stylegan2.ResidualBlock, x: Tensor) -> Tensor:
    """Both branches, then their gain."""
    return (self.skip(x) + self.conv1(self.conv0(x))) / math.sqrt(2)


def style_conv(self: stylegan2.StyleConv, x: Tensor, w: Tensor) -> Tensor:
    """Modulated convolution, noise, bias, activation."""
    y = modulated(self, x.contiguous(), self.affine(w))
    return activated(y + self.noise_strength * self.noise(y), self.bias[:, None, None])


def to_rgb(self: stylegan2.ToRGB, x: Tensor, w: Tensor, image: Tensor) -> Tensor:
    """Modulated 1x1 convolution, added to the enlarged image."""
    y = modulated(self, x, self.affine(w), demodulate=False) + self.bias[:, None, None]
    return y + upfirdn(image, self.enlarge.kernel, (2, 1), up=2)


def synthesis(self: stylegan2.Synthesis, ws: Tensor) -> Tensor:
    """Images in the fast form's layout: noise that is drawn like them follows it."""
    return stylegan2.compact(stylegan2.Synthesis.forward(self, ws))


def feature_conv(
    self: gcfsr.FeatureConv, x: Tensor, w: Tensor, feature: Tensor, in_size: Tensor
) -> Tensor:
    """GCFSR's mixture of the decoder's map and the encoder's."""
    own, encoded = self.own(in_size), self.encoded(in_size)
    norm = (own.square() + encoded.square() + 1e-8).rsqrt()
    y = modulated(self, x.contiguous(), self.affine(w))
    y = (y + self.noise_strength * self.noise(y)) * (own * norm)[:, :, None, None]
    y = y + self.shift(feature) * (encoded * norm)[:, :, None, None]
    return activated(y, self.bias[:, None, None])


# Real-ESRGAN --------------------------------------------------------------------------------------


def plain_conv(self: nn.Conv2d, x: Tensor) -> Tensor:
    """A convolution in torch's usual layout."""
    return F.conv2d(x.contiguous(), self.weight, self.bias, self.stride, cast(Any, self.padding))


def dense_block(self: realesrgan.DenseBlock, x: Tensor) -> Tensor:
    """Every convolution sees a concatenation of all before it."""
    seen = [x]
    for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
        seen.append(F.leaky_relu(layer(torch.cat(seen, 1)), 0.2, inplace=not x.requires_grad))
    return self.conv5(torch.cat(seen, 1)) * 0.2 + x


FORWARDS: dict[type, Callable[..., Tensor]] = {
    stylegan2.Linear: linear,
    stylegan2.Conv: conv,
    stylegan2.ResidualBlock: residual_block,
    stylegan2.StyleConv: style_conv,
    stylegan2.ToRGB: to_rgb,
    stylegan2.Synthesis: synthesis,
    gcfsr.FeatureConv: feature_conv,
    realesrgan.DenseBlock: dense_block,
    nn.Conv2d: plain_conv,
}


# Metrics ------------------------------------------------------------------------------------------


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """The usual code: two covariances, and scipy's square root of their product."""
    from scipy import linalg

    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = cast(np.ndarray, linalg.sqrtm(cov_a @ cov_b))
    apart = a.mean(0) - b.mean(0)
    return float(apart @ apart + np.trace(cov_a) + np.trace(cov_b) - 2 * np.trace(root).real)


def kernel_distance(
    a: np.ndarray, b: np.ndarray, *, subsets: int = 100, size: int = 1000, seed: int = 0
) -> float:
    """Subset by subset, three matrices of kernels each; the subsets are those that ganzip draws."""
    rng = np.random.default_rng(seed)
    in_a, in_b = ([rng.choice(len(x), size, replace=False) for _ in range(subsets)] for x in (a, b))
    total = 0.0
    for i, j in zip(in_a, in_b, strict=True):
        x, y = a[i], b[j]
        own = (x @ x.T / x.shape[1] + 1) ** 3 + (y @ y.T / y.shape[1] + 1) ** 3
        across = (x @ y.T / x.shape[1] + 1) ** 3
        total += (own.sum() - np.diag(own).sum()) / (size - 1) - 2 * across.sum() / size
    return total / subsets / size
