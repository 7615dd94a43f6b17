"""Perceptual distances, and maps that methods compare: of VGG, or of an embedded stand-in."""

from collections.abc import Callable
from functools import lru_cache

from torch import Tensor

from ganzip import assets, features, losses
from ganzip.losses import Distance
from ganzip.units import Run

VGG16 = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
VGG19 = {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1.0, "conv4_4": 1.0, "conv5_4": 1.0}
LITE = (0, 2, 4, 10)  # blocks in VGG16's place: at 1/2, 1/4, 1/8 and 1/16 of the size

Extract = Callable[[Tensor], list[Tensor]]


@lru_cache(maxsize=4)
def lite_maps(size: int, device: str, count: int = 4) -> Extract:
    """The first maps of EfficientNet-Lite0, which never measures, for images of a size."""
    return features.lite_maps(0, LITE[:count], size=size, device=device).extract


@lru_cache(maxsize=2)
def lite_embedding(size: int, device: str) -> Callable[[Tensor], Tensor]:
    """What DiME compares images through: EfficientNet-Lite0, which never measures."""
    return features.efficientnet_lite(0, size=size, device=device).extract


def even(maps: Extract, count: int) -> Distance:
    """The relative L1 of so many maps, each weighted alike. It has LPIPS's place and is none."""
    return losses.perceptual(maps, [1 / count] * count, relative=True)


def lite_distance(size: int, device: str) -> Distance:
    """That of three maps of EfficientNet-Lite0."""
    return even(lite_maps(size, device, 3), 3)


def distance(run: Run) -> Distance:
    """Paper B's, by VGG or by its embedded stand-in."""
    c, device = run.config, str(run.device)
    if c["perceptual_net"] == "efflite0":
        return lite_distance(c["size"], device)
    depth, weights = (16, {"conv4_3": 1.0}) if c["perceptual_net"] == "vgg16" else (19, VGG19)
    path = assets.require(c["perceptual_net"])
    net = features.vgg(path, depth, list(weights), device=device)
    return losses.perceptual(net.extract, list(weights.values()), relative=False)


def maps(run: Run) -> Extract:
    """The four maps that OMGD and DCD compare in paper B."""
    c, device = run.config, str(run.device)
    if c["perceptual_net"] == "efflite0":
        return lite_maps(c["size"], device)
    path = assets.require("vgg16")
    return features.vgg(path, 16, VGG16, standardised=False, device=device).extract
