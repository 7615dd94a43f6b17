"""What moved in a step: copies of networks before it, compared with them after it."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


def state(*nets: nn.Module) -> list[Tensor]:
    """Copies of all parameters and buffers."""
    return [value.clone() for net in nets for value in net.state_dict().values()]


def weights(*nets: nn.Module) -> list[Tensor]:
    """Copies of all parameters."""
    return [p.detach().clone() for net in nets for p in net.parameters()]


def equal(a: Iterable[Any], b: Iterable[Any]) -> list[bool]:
    """Which of two rows of tensors are equal to the bit."""
    return [torch.equal(x, y) for x, y in zip(a, b, strict=True)]


def same(before: list[Tensor], *nets: nn.Module) -> bool:
    """Whether networks are as ``state`` copied them, to the bit."""
    return all(equal(before, state(*nets)))


def moved(before: list[Tensor], *nets: nn.Module) -> bool:
    """Whether a parameter is another than ``weights`` copied."""
    return not all(equal(before, weights(*nets)))
