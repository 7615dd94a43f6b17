"""Weights of StyleGAN2-ADA's released ``.pkl`` files, read without running what they hold.

The files are pickles of whole networks that carry their source code, which the released code runs
when it loads them. Here nothing is run: an unpickler that knows a dozen harmless names takes the
tensors out, and refuses a file that asks for any other name.
"""

from __future__ import annotations

import collections
import io
import pickle
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._utils import _rebuild_parameter, _rebuild_tensor_v2

PARTS = ("G_ema", "G", "D")


class PickleError(ValueError):
    """A file that is none of StyleGAN2-ADA's, is damaged, or asks for more than tensors."""


def load_pkl(net: nn.Module, path: str | Path, part: str) -> None:
    """Load a network of a StyleGAN2-ADA file: its ``part`` "G_ema", "G" or "D".

    Raises FileNotFoundError, or PickleError with the reason; the network is then as it was.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(
            f"{path} is no file; assets.require('stylegan2-ffhq256') says where to get it"
        )
    try:
        with file.open("rb") as stream:
            held = _Unpickler(stream).load()
    except PickleError as error:
        raise PickleError(f"{path}: {error}") from error
    except Exception as error:  # a damaged or foreign pickle may raise anything
        found = f"{type(error).__name__}: {' '.join(str(error).split())[:80]}"
        raise PickleError(f"{path} is damaged or no pickle ({found}); get it again") from error
    if not isinstance(held, Mapping) or not isinstance(held.get(part), _Network):
        known = [k for k in PARTS if isinstance(held, Mapping) and k in held]
        raise PickleError(
            f"{path} holds {known or type(held).__name__}, expected a network {part!r}"
        )
    _load(net, {_our_name(name): tensor for name, tensor in _tensors(held[part])}, path, part)


class _Network:
    """What stands in the file for a module: its attributes, none of its code."""

    def __init__(self, meta: Mapping[str, Any]):
        self.state: Mapping[str, Any] = meta["state"]


def _storage(content: bytes) -> Any:
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


KNOWN: dict[tuple[str, str], Callable[..., Any]] = {
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): _Network,
    ("dnnlib.util", "EasyDict"): dict,
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("builtins", "set"): set,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch.storage", "_load_from_bytes"): _storage,
}


class _Unpickler(pickle.Unpickler):
    """Knows the names that the released files need for their tensors, and no others."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in KNOWN:
            raise PickleError(
                f"asks for {module}.{name}, which no network of StyleGAN2-ADA needs and which "
                "could run any code: refused; take a file of the authors"
            )
        return KNOWN[module, name]


def _tensors(network: _Network, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of a network and all inside it, as a state dict has them."""
    for kind in ("_parameters", "_buffers"):
        for name, tensor in network.state[kind].items():
            if tensor is not None and name != "resample_filter":  # a constant, made anew here
                yield prefix + name, tensor.detach()
    for name, inner in network.state["_modules"].items():
        yield from _tensors(inner, f"{prefix}{name}.")


def _our_name(name: str) -> str:
    """The constant and the layer from RGB stand in blocks there."""
    if name == "synthesis.b4.const":
        return "synthesis.const"
    head, dot, tail = name.partition(".fromrgb.")
    return f"fromrgb.{tail}" if dot and head.startswith("b") else name


def _load(net: nn.Module, state: Mapping[str, Tensor], path: str | Path, part: str) -> None:
    own = net.state_dict()
    wrong = [
        name
        for name in {**own, **state}
        if getattr(own.get(name), "shape", None) != getattr(state.get(name), "shape", None)
    ]
    if wrong:
        sizes = [tuple(x[wrong[0]].shape) if wrong[0] in x else "absent" for x in (state, own)]
        raise PickleError(
            f"{path}, {part}: {wrong[0]} is {sizes[0]}, expected {sizes[1]} ({len(wrong)} such "
            "tensors): build the network with the file's size, base and latent"
        )
    net.load_state_dict(dict(state))
