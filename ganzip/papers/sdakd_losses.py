"""Paper B's perceptual distance and the maps that its methods compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ganzip import assets, features, losses
from ganzip.losses import Distance
from ganzip.nets import realesrgan
from ganzip.units import (
    Run,
)

VGG16 = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")  # what OMGD and DCD compare
VGG19 = {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1.0, "conv4_4": 1.0, "conv5_4": 1.0}
LITE = (0, 2, 4, 10)  # blocks in their place: at 1/2, 1/4, 1/8 and 1/16 of the size


def first_blocks(D: Any, c: Mapping[str, Any]) -> Callable[[Tensor], Tensor]:
    """D's first layers, which take maps of any size: those in which DCD compares."""
    if c["network"] == "GCFSR":
        return nn.Sequential(*list(D.children())[:4])  # from RGB, and three residual blocks

    def phi(maps: Tensor) -> Tensor:
        x = realesrgan.unit_range(maps)
        for conv in (D.conv0, D.conv1, D.conv2, D.conv3):
            x = F.leaky_relu(conv(x), realesrgan.SLOPE)
        return x

    return phi


def distance(run: Run) -> Distance:
    """The perceptual distance, by VGG or by its embedded stand-in."""
    c, device = run.config, str(run.device)
    if c["perceptual_net"] == "vgg16":
        net, weights = features.vgg(assets.require("vgg16"), 16, ["conv4_3"], device=device), [1.0]
    elif c["perceptual_net"] == "vgg19":
        net = features.vgg(assets.require("vgg19"), 19, list(VGG19), device=device)
        weights = list(VGG19.values())
    else:
        net = features.lite_maps(0, LITE[:3], size=c["size"], device=device)
        weights = [1 / 3] * 3
    return losses.perceptual(net.extract, weights, relative=c["perceptual_net"] == "efflite0")


def maps(run: Run) -> Callable[[Tensor], list[Tensor]]:
    """The four maps that OMGD and DCD compare, of VGG16 or of its embedded stand-in."""
    c, device = run.config, str(run.device)
    if c["perceptual_net"] == "efflite0":
        return features.lite_maps(0, LITE, size=c["size"], device=device).extract
    path = assets.require("vgg16")
    return features.vgg(path, 16, VGG16, standardised=False, device=device).extract
