"""StyleGAN2 in plain PyTorch: the generator with skips, the residual discriminator.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", arXiv:1912.04958; the
defaults are configuration "paper256" of Karras et al., arXiv:2006.06676. Parameters and buffers
have the names and shapes of the latter's released code, except that ``synthesis.const`` and
``fromrgb`` stand there in blocks (``synthesis.b4.const``, ``b256.fromrgb``) and that filters are
not saved here. Its clamp at 256, a guard of half precision, is left out.

No weight exists per sample: a modulated convolution scales the activations by the style, convolves
them with the shared weight and scales the result, arXiv:1912.04958, appendix B. Constant gains,
the square root of 2 of the leaky ReLU among them, are folded into the small factors. Maps that
backward can do without are not kept: 0.4 times the memory of a weight per sample, at 256 pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzip.device import lowered
from ganzip.nets.width import scaled

ROOT2 = math.sqrt(2)


class Generator(nn.Module):
    """Noise (N, latent) -> images (N, 3, size, size), about [-1, 1] and not clamped.

    ``mapping(z)`` gives styles (N, latent), ``synthesis`` draws them. ``size`` is a power of two, 8
    or more. The map of r pixels has ``base`` / r channels, at most ``cap``, times ``width``,
    rounded up; styles and the ``layers`` of the mapping keep their width. 24,767,458 parameters.
    """

    def __init__(
        self,
        size: int = 256,
        *,
        base: int = 16384,
        cap: int = 512,
        channels: Sequence[int] = (),
        latent: int = 512,
        layers: int = 8,
        width: float = 1.0,
    ):
        super().__init__()
        self.mapping = Mapping(latent, layers)
        widths = map_widths(size, base, cap, width, channels=channels)
        self.synthesis = Synthesis(widths, latent)

    def forward(self, z: Tensor) -> Tensor:
        """Map noise (N, latent) to images."""
        return self.synthesis(self.mapping(z))


class Discriminator(nn.Module):
    """Images (N, 3, size, size) -> logits (N,). Block ``b{r}`` sees r pixels and leaves r / 2.

    ``base``, ``cap``, ``channels`` and ``width`` are the generator's, ``rounding`` is of the scaled
    widths.
    ``group`` images share a minibatch standard deviation; 0 does without. 24,001,089 parameters.
    """

    def __init__(
        self,
        size: int = 256,
        *,
        base: int = 16384,
        cap: int = 512,
        channels: Sequence[int] = (),
        group: int = 8,
        width: float = 1.0,
        rounding: Callable[[float], int] = math.ceil,
    ):
        super().__init__()
        widths = map_widths(size, base, cap, width, rounding, channels)
        self.fromrgb = Conv(3, widths[size], 1)
        while size > 4:
            self.add_module(f"b{size}", ResidualBlock(widths[size], widths[size // 2]))
            size //= 2
        self.b4 = Verdict(widths[4], group)

    def forward(self, images: Tensor) -> Tensor:
        """Map images to logits (N,)."""
        x = compact(images)
        for layer in self.children():
            x = layer(x)
        return x


class Mapping(nn.Module):
    """Noise (N, latent) -> styles w (N, latent): normalised, then fully connected layers.

    In train mode ``w_avg`` follows the mean of w, by 0.5 % a call: ``w_avg.lerp(w, psi)`` is the
    truncation of StyleGAN.
    """

    w_avg: Tensor

    def __init__(self, latent: int, layers: int):
        super().__init__()
        for i in range(layers):
            self.add_module(f"fc{i}", Linear(latent, latent, rate=0.01, act=True))
        self.register_buffer("w_avg", torch.zeros(latent))

    def forward(self, z: Tensor) -> Tensor:
        """Map noise to styles."""
        w = self.styles(z)
        if self.training:
            mean = w.detach().to(self.w_avg.dtype).mean(0)
            self.w_avg.lerp_(mean, 0.005)
        return w

    def styles(self, z: Tensor) -> Tensor:
        """Map noise to styles and leave ``w_avg`` alone, as for the second half of a mix."""
        w = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        for layer in self.children():
            w = layer(w)
        return w


class Synthesis(nn.Module):
    """Styles (N, latent), or one a layer (N, num_ws, latent), -> images (N, 3, size, size).

    ``widths`` are the channels of the maps by their pixels, from 4 on. Block ``b{r}`` draws the map
    of r pixels: ``b{r}.conv1`` ends in the map, ``b{r}.torgb`` in the image so far.
    """

    def __init__(self, widths: dict[int, int], latent: int):
        super().__init__()
        self.const = nn.Parameter(torch.randn(widths[4], 4, 4))
        self.num_ws = 2 * len(widths)
        n_in = widths[4]
        for size, n_out in widths.items():
            self.add_module(f"b{size}", SynthesisBlock(n_in, n_out, latent, size))
            n_in = n_out

    def forward(self, ws: Tensor) -> Tensor:
        """Draw styles."""
        if ws.ndim == 2:
            ws = ws[:, None].expand(-1, self.num_ws, -1)
        x, image = compact(self.const.expand(len(ws), -1, -1, -1)), ws.new_zeros(len(ws), 3, 2, 2)
        for i, block in enumerate(self.children()):
            x, image = block(x, image, ws[:, max(0, 2 * i - 1) :])
        return image


@contextmanager
def stored_noise(net: nn.Module) -> Iterator[None]:
    """Inside the ``with`` block layers add the noise maps that they store, the same to each sample.

    Outside they draw a new map for each sample from torch's global generator.
    """
    layers = [m for m in net.modules() if isinstance(m, StyleConv)]
    before = [layer.stored for layer in layers]
    for layer in layers:
        layer.stored = True
    try:
        yield
    finally:
        for layer, stored in zip(layers, before, strict=True):
            layer.stored = stored


def map_widths(
    size: int,
    base: int,
    cap: int,
    width: float = 1.0,
    rounding: Callable[[float], int] = math.ceil,
    channels: Sequence[int] = (),
) -> dict[int, int]:
    """Channels of the maps by their pixels: {4: 512, ..., 128: 128, 256: 64} of paper256.

    ``channels``, where there are any, take the place of ``base`` and ``cap``: one number a map.
    """
    if size < 8 or size & (size - 1):
        raise ValueError(f"size is {size}; expected a power of two, 8 or more")
    sizes = [2**i for i in range(2, size.bit_length())]
    full = list(channels) or [min(base // r, cap) for r in sizes]
    if len(full) != len(sizes):
        raise ValueError(f"channels are {full}; expected {len(sizes)} numbers, of {sizes} pixels")
    return {r: scaled(n, width, rounding) for r, n in zip(sizes, full, strict=True)}


def macs_a(G: Generator) -> int:
    """Multiply-adds an image by the convention that fits the rates printed in paper C best.

    Convolutions of ``synthesis`` alone, those that double the map counted at their input; neither
    mapping nor styles, filters, biases and noise. 14,897,111,040 for paper256. The network may be
    on the meta device.
    """
    total = 0
    for name, layer in G.synthesis.named_modules():
        if isinstance(layer, ModConv):
            size = int(name.split(".")[0].removeprefix("b")) // (2 if layer.up else 1)
            total += size**2 * layer.weight.numel()
    return total


# Blocks -------------------------------------------------------------------------------------------


class SynthesisBlock(nn.Module):
    """A map of size / 2 pixels -> the map of ``size`` pixels; the image so far -> the next one."""

    def __init__(self, n_in: int, n_out: int, latent: int, size: int):
        super().__init__()
        self.conv0 = StyleConv(n_in, n_out, latent, size, up=True) if size > 4 else None
        self.conv1 = StyleConv(n_out, n_out, latent, size)
        self.torgb = ToRGB(n_out, latent)

    def forward(self, x: Tensor, image: Tensor, ws: Tensor) -> tuple[Tensor, Tensor]:
        """Use the first styles of ``ws`` (N, left, latent); torgb shares its own with the next."""
        if self.conv0 is not None:
            x, ws = self.conv0(x, ws[:, 0]), ws[:, 1:]
        x = self.conv1(x, ws[:, 0])
        return x, self.torgb(x, ws[:, 1], image)


class ResidualBlock(nn.Module):
    """Maps (N, n_in, r, r) -> (N, n_out, r / 2, r / 2)."""

    def __init__(self, n_in: int, n_out: int):
        super().__init__()
        self.conv0 = Conv(n_in, n_in)
        self.conv1 = Conv(n_in, n_out, down=True, gain=1 / ROOT2)
        self.skip = Conv(n_in, n_out, 1, down=True, gain=1 / ROOT2, bias=False, act=False)

    def forward(self, x: Tensor) -> Tensor:
        """Halve the map."""
        return self.skip(x) + self.conv1(self.conv0(x))


class Verdict(nn.Module):
    """The discriminator's end: maps (N, n, 4, 4) -> logits (N,)."""

    def __init__(self, n: int, group: int):
        super().__init__()
        self.group = group
        self.conv = Conv(n + bool(group), n)
        self.fc = Linear(16 * n, n, act=True)
        self.out = Linear(n, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Judge."""
        if self.group:
            x = torch.cat([x, minibatch_std(x, self.group)], 1)
        return self.out(self.fc(self.conv(x).flatten(1))).flatten()


def minibatch_std(x: Tensor, group: int) -> Tensor:
    """Mean standard deviation over ``group`` samples, as one more map (N, 1, H, W).

    Karras et al., arXiv:1710.10196, section 3. Samples i, i + N / group, ... stand together; a
    batch below ``group`` is one group. Raises ValueError where groups do not fill the batch.
    """
    n, group = len(x), min(group, len(x))
    if n % group:
        raise ValueError(f"batch is {n}; expected a multiple of group, {group}; change one of them")
    y = x.unflatten(0, (group, -1))
    std = (y.var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))
    return std.repeat(group)[:, None, None, None].expand(-1, -1, *x.shape[2:])


# Layers -------------------------------------------------------------------------------------------


class ModConv(nn.Module):
    """Modulated convolution and bias; ``up`` doubles the map. Styles are (N, latent)."""

    def __init__(self, n_in: int, n_out: int, latent: int, kernel: int = 3, *, up: bool = False):
        super().__init__()
        self.up = up
        self.affine = Linear(latent, n_in, start=1.0)
        self.weight = nn.Parameter(torch.randn(n_out, n_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.fir = Fir(padding=1, gain=4.0) if up else None

    def convolve(self, x: Tensor, style: Tensor) -> Tensor:
        """The shared convolution of maps scaled by the style (N, n_in)."""
        weight = self.weight.transpose(0, 1) if self.up else self.weight
        y = cast(Tensor, ScaledConv.apply(x, style[:, :, None, None], weight, self.up))
        return y if self.fir is None else self.fir(y)

    def demodulation(self, style: Tensor) -> Tensor:
        """1 / the expected standard deviation of each output channel, (N, n_out, 1, 1)."""
        power = style.square() @ self.weight.square().sum((2, 3)).T
        return (power + 1e-8).rsqrt()[:, :, None, None]


class ScaledConv(torch.autograd.Function):
    """Convolution of x * scale, a product that backward computes again instead of keeping it.

    With ``up`` it is transposed, of stride 2, and takes the weight as (n_in, n_out, k, k);
    otherwise it keeps the map's size. It has derivatives of any order.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, weight: Tensor, up: bool) -> Tensor:
        """Convolve x (N, n_in, H, W) times scale (N, n_in, 1, 1)."""
        ctx.save_for_backward(x, scale, weight)
        stride, padding = (2, 0) if up else (1, weight.shape[-1] // 2)
        ctx.how = [stride] * 2, [padding] * 2, [1, 1], up, [0, 0], 1
        product, weight = lowered(x * scale, weight)
        return torch.convolution(product, weight, None, *ctx.how)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Gradients of x, scale and weight."""
        (grad,), (x, scale, weight) = grads, ctx.saved_tensors
        wanted = [True, ctx.needs_input_grad[2], False]
        product, weight = (x * scale).to(grad.dtype), weight.to(grad.dtype)  # under autocast
        of_product, of_weight, _ = torch.ops.aten.convolution_backward(
            grad, product, weight, None, *ctx.how, wanted
        )
        of_scale = (of_product * x).sum((2, 3), keepdim=True)
        return of_product * scale, of_scale, of_weight, None


class StyleConv(ModConv):
    """Demodulated convolution, noise, bias, leaky ReLU -> maps (N, n_out, size, size)."""

    noise_const: Tensor

    def __init__(self, n_in: int, n_out: int, latent: int, size: int, *, up: bool = False):
        super().__init__(n_in, n_out, latent, up=up)
        self.stored = False
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("noise_const", torch.randn(size, size))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Apply style w (N, latent) to maps x."""
        style = self.affine(w)
        y, d = self.convolve(x, style), self.demodulation(style)
        y = torch.addcmul(spread(self.bias * ROOT2), y, d * ROOT2)
        return F.leaky_relu_(y.addcmul_(self.noise(y), self.noise_strength * ROOT2), 0.2)

    def noise(self, like: Tensor) -> Tensor:
        """The stored map (size, size), or a new one a sample (N, 1, size, size)."""
        if self.stored:
            return self.noise_const
        n, _, height, width = like.shape
        return torch.randn(n, 1, height, width, dtype=like.dtype, device=like.device)


class ToRGB(ModConv):
    """Modulated 1x1 convolution to 3 channels, added to the image so far at twice its size."""

    def __init__(self, n_in: int, latent: int):
        super().__init__(n_in, 3, latent, 1)
        self.gain = 1 / math.sqrt(n_in)
        self.enlarge = Fir(padding=1, gain=4.0, up=True)

    def forward(self, x: Tensor, w: Tensor, image: Tensor) -> Tensor:
        """Map x (N, n_in, r, r) and the image of r / 2 pixels to the image of r pixels."""
        y = self.convolve(x, self.affine(w) * self.gain)
        return y + spread(self.bias) + self.enlarge(image)


class Conv(nn.Module):
    """Convolution with equalised learning rate, leaky ReLU; ``down`` filters and halves the map.

    ``gain`` multiplies the result, which with ``act`` has a gain of sqrt(2) of its own.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel: int = 3,
        *,
        down: bool = False,
        gain: float = 1.0,
        bias: bool = True,
        act: bool = True,
    ):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(n_out)) if bias else None
        self.act, self.gain = act, gain * (ROOT2 if act else 1)
        self.weight_gain = self.gain / math.sqrt(n_in * kernel * kernel)
        # A 1x1 kernel needs no more of the filtered map than every other pixel.
        skips = down and kernel == 1
        self.fir = Fir(padding=kernel // 2 + 1, stride=2 if skips else 1) if down else None
        self.stride = 2 if down and not skips else 1
        self.padding = 0 if down else kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        """Convolve."""
        if self.fir is not None:
            x = self.fir(x)
        bias = None if self.bias is None else self.bias * self.gain
        y = F.conv2d(x, self.weight * self.weight_gain, bias, self.stride, self.padding)
        return F.leaky_relu_(y, 0.2) if self.act else y


class Linear(nn.Module):
    """Fully connected layer with equalised learning rate times ``rate``; ``start`` is its bias."""

    def __init__(
        self, n_in: int, n_out: int, *, start: float = 0.0, rate: float = 1.0, act: bool = False
    ):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in) / rate)
        self.bias = nn.Parameter(torch.full((n_out,), start))
        self.act, self.gain = act, rate * (ROOT2 if act else 1)
        self.weight_gain = self.gain / math.sqrt(n_in)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, n_in) to (N, n_out)."""
        y = F.linear(x, self.weight * self.weight_gain, self.bias * self.gain)
        return F.leaky_relu_(y, 0.2) if self.act else y


class Fir(nn.Module):
    """Low-pass filter [1, 3, 3, 1] in both directions, of sum ``gain``: a depthwise convolution.

    ``up`` doubles the map by zeros before it is filtered: a transposed convolution.
    """

    kernel: Tensor

    def __init__(self, *, padding: int, stride: int = 1, gain: float = 1.0, up: bool = False):
        super().__init__()
        self.padding, self.stride, self.up = padding, 2 if up else stride, up
        row = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("kernel", gain * torch.outer(row, row)[None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Filter every channel."""
        return cast(Tensor, Filter.apply(x, self.kernel, self.stride, self.padding, self.up))


class Filter(torch.autograd.Function):
    """Depthwise convolution with a symmetric, constant kernel, or its adjoint, ``transposed``.

    Each is the other's derivative, to any order, and neither keeps a map for it.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, kernel: Tensor, stride: int, padding: int, transposed: bool
    ) -> Tensor:
        """Filter every channel of x (N, C, H, W) with the kernel (1, 1, 4, 4)."""
        ctx.constants = kernel, stride, padding, not transposed
        n = x.shape[1]
        kernel = kernel.to(x.dtype).expand(n, -1, -1, -1)
        convolve = F.conv_transpose2d if transposed else F.conv2d
        return convolve(x, kernel, None, stride, padding, groups=n)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """The gradient of x."""
        return Filter.apply(*grads, *ctx.constants), None, None, None, None


def spread(channels: Tensor) -> Tensor:
    """(C,) -> (C, 1, 1), which broadcasts over maps."""
    return channels[:, None, None]


def compact(x: Tensor) -> Tensor:
    """The layout that convolutions keep: channels last on a CPU, where filters then take 1/4."""
    return x.contiguous(memory_format=torch.channels_last) if x.device.type == "cpu" else x
