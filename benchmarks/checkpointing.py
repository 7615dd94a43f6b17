"""Less memory for more time: activations that backward computes again instead of keeping them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint


@contextmanager
def checkpointed(net: nn.Module, names: Sequence[str]) -> Iterator[None]:
    """Inside the ``with`` block backward keeps of the named submodules no more than their inputs.

    It runs their forward again, with the same random numbers, so outputs and gradients stay what
    they are, to the second order too (R1, path length). Train inside the block:

        with checkpointed(G, [f"synthesis.b{r}" for r in (16, 32, 64)]):
            train(players, batches, steps)

    What a forward depends on besides its arguments, such as ``stylegan2.stored_noise``, must still
    hold when backward runs; a forward that counts its calls, as batch normalisation does in train
    mode, counts twice. Raises KeyError for a name that the network does not have.
    """
    modules = dict(net.named_modules())
    for name in names:
        if name not in modules:
            raise KeyError(
                f"{type(net).__name__} has no module {name!r}; it has {list(modules)[1:]}"
            )
    before = [(modules[name], modules[name].forward) for name in names]
    for module, forward in before:
        module.forward = partial(checkpoint, forward, use_reentrant=False)
    try:
        yield
    finally:
        for module, forward in before:
            del module.forward  # what the instance hides the class's with
            if module.forward != forward:
                module.forward = forward
