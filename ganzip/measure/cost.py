"""What a network costs: parameters, multiply-adds, time of a pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from ganzip import metrics
from ganzip.measure.rows import Number

Key = TypeVar("Key", str, float)


def sizes(G: nn.Module, example: Tensor, adds: int | None = None) -> list[Number]:
    """Parameters, and multiply-adds of one input, unless they are counted otherwise: ``adds``."""
    count = metrics.macs(G, example) if adds is None else adds
    return [Number("parameters", metrics.params(G)), Number("multiply-adds", count)]


@torch.no_grad()
def pass_seconds(nets: Mapping[Key, nn.Module], cond: Tensor, count: int) -> dict[Key, float]:
    """Seconds of a forward pass of each network: the median of ``count``, which take turns."""
    passes = {key: partial(G.eval(), cond) for key, G in nets.items()}
    return metrics.latency(passes, count, on_gpu=cond.is_cuda)


def count(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> tuple[int, int]:
    """Multiply-adds of a pass of one input of a shape, and parameters; uses no memory."""
    with torch.device("meta"):
        net = make()
        return metrics.macs(net, torch.zeros(1, *shape)), metrics.params(net)
