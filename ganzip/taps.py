"""Activations by module name, so that no network grows a ``return_features`` flag."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

from ganzip.device import single


@contextmanager
def taps(net: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Collect the outputs of the named submodules during forwards inside the ``with`` block.

    The yielded dict holds, per name, the output of the last forward, with its graph, in single
    precision.
    Raises KeyError for a name that the network does not have, before anything runs.
    """
    modules = dict(net.named_modules())
    for name in names:
        if name not in modules:
            raise KeyError(
                f"{type(net).__name__} has no module {name!r}; it has {list(modules)[1:]}"
            )
    outputs: dict[str, Tensor] = {}

    def keeper(name: str):
        def keep(module: nn.Module, args: object, output: Tensor) -> None:
            outputs[name] = single(output)

        return keep

    handles = [modules[name].register_forward_hook(keeper(name)) for name in names]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()
