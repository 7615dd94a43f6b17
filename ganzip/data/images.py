"""What an image set is: uint8 tensors with a fingerprint, and the errors of reading one."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


class DataError(ValueError):
    """A data set that is absent, damaged or not what was asked for; the message is one line."""


class DataAbsent(DataError):
    """There is nothing at any place where the data set is looked for."""


@dataclass(frozen=True, eq=False)
class Images:
    """A decoded image set: pixels (N, C, H, W) uint8 0..255, labels (N,) int64 or None."""

    name: str
    pixels: Tensor
    labels: Tensor | None
    fingerprint: str  # first 12 hex digits of the sha256 of shape, pixels and labels
    facts: Mapping[str, Any] | None = None  # of a set that is not here but for a few images

    def __len__(self) -> int:
        return self.facts["count"] if self.facts else len(self.pixels)

    @property
    def classes(self) -> int:
        """Number of classes: the largest label + 1, or 0 without labels."""
        if self.facts:
            return self.facts["classes"]
        return 0 if self.labels is None else int(self.labels.max()) + 1


def describe(images: Images) -> dict[str, str | int]:
    """Facts for a table or a manifest; size is in pixels, "HxW" where it is not square."""
    if images.facts:
        return dict(images.facts)
    count, channels, height, width = images.pixels.shape
    return {
        "name": images.name,
        "count": count,
        "size": height if height == width else f"{height}x{width}",
        "channels": channels,
        "classes": images.classes,
        "fingerprint": images.fingerprint,
    }


def to_float(pixels: Tensor) -> Tensor:
    """uint8 0..255 to float32 in [-1, 1]."""
    return pixels.float() / 127.5 - 1


def to_uint8(images: Tensor) -> Tensor:
    """Float images in [-1, 1] to uint8 0..255, rounded and clamped."""
    return ((images.detach().float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def fingerprint(pixels: np.ndarray, labels: np.ndarray | None) -> str:
    """First 12 hex digits of the sha256 of shape, pixels and labels."""
    digest = hashlib.sha256(str(pixels.shape).encode())
    digest.update(pixels.data)
    if labels is not None:
        digest.update(labels.astype("<i8").tobytes())
    return digest.hexdigest()[:12]


def reason(error: Exception) -> str:
    """Kind and text of an error of another library, in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
