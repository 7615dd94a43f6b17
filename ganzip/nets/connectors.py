"""Connectors: what lets feature maps of different networks be compared.

They learn in the student's optimiser and are dropped after training. OMGD (arXiv:2108.06908) and
DCD (arXiv:2212.14169) use the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn


def connectors(n_in: Sequence[int], n_out: Sequence[int]) -> nn.ModuleList:
    """One for each tap, (N, n_in, h, w) -> (N, n_out, h, w): 1x1 convolution, BatchNorm, ReLU."""
    return nn.ModuleList(
        nn.Sequential(nn.Conv2d(i, o, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU())
        for i, o in zip(n_in, n_out, strict=True)
    )
