"""Pickles of StyleGAN2-ADA's and StyleGAN3's repositories, read without running what they hold.

The files are pickles of whole networks that carry their source code, which the released code runs
when it loads them. Here nothing is run: an unpickler that knows a dozen harmless names takes
tensors and numbers out, and refuses a file that asks for any other name. What they are called in
``nets.stylegan2`` is the business of ``nets.checkpoints``.
"""

from __future__ import annotations

import collections
import io
import pickle
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._utils import _rebuild_parameter, _rebuild_tensor_v2

NUMBERS = {f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)} | {"b1", "f2", "f4", "f8"}
ORDERS = ("<", ">", "|", "=")
TENSORFLOW = {("dnnlib.tflib.network", "Network"), ("tfutil", "Network")}


class PickleError(ValueError):
    """A file that is none of these repositories', is damaged, or asks for more than tensors."""


@dataclass(frozen=True)
class Part:
    """A network of a file: tensors and numbers (or None) by their dotted names."""

    tensors: Mapping[str, Tensor]
    numbers: Mapping[str, Any]


def read(path: str | Path) -> dict[str, Part]:
    """The networks of a file by their names there, such as "G_ema" and "D".

    Raises PickleError with the reason, in one line.
    """
    try:
        with Path(path).open("rb") as stream:
            held = _Unpickler(stream).load()
        parts = held.items() if isinstance(held, Mapping) else ()
        found = {name: _part(net) for name, net in parts if isinstance(net, _Network)}
    except PickleError as error:
        raise PickleError(f"{path} {error}") from error
    except Exception as error:  # a damaged or foreign pickle may raise anything
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:80]}"
        raise PickleError(f"{path} is damaged or no pickle ({reason}); get it again") from error
    if not found:
        names = [str(name) for name, _ in parts][:4]
        raise PickleError(
            f"{path} holds {names or type(held).__name__}, expected networks G_ema, D"
        )
    return found


# What pickles may call ----------------------------------------------------------------------------


class _Network:
    """What stands in the file for a module: its attributes, none of its code."""

    def __init__(self, meta: Mapping[str, Any]):
        self.state: Mapping[str, Any] = meta["state"]


class _DType:
    """A NumPy dtype of plain numbers: made by its code, then told its byte order."""

    def __init__(self, code: str, *_: object):
        if code not in NUMBERS:
            raise PickleError(
                f"holds a NumPy value of dtype {str(code)[:20]!r}, expected a plain number: "
                "refused, for others could run code; take a file of the authors"
            )
        self.plain = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        _, order, *nested, _, _, _ = state
        if order not in ORDERS or nested != [None, None, None]:
            raise PickleError("holds a NumPy dtype with parts: refused; take a file of the authors")
        self.plain = self.plain.newbyteorder(order)


def _scalar(dtype: Any, content: Any) -> float:
    """The number of a NumPy scalar."""
    if type(dtype) is not _DType or type(content) is not bytes:
        raise PickleError("holds a NumPy scalar that is no plain number: refused; get it again")
    (value,) = np.frombuffer(content, dtype.plain)
    return value.item()


def _storage(content: bytes) -> Any:
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


class _Call:
    """A function that a pickle may call and, unlike the function itself, not change."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]):
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setstate__(self, state: object) -> None:
        raise PickleError("sets attributes of a function: refused; take a file of the authors")


KNOWN: dict[tuple[str, str], Callable[..., Any]] = {
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): _Call(_Network),
    ("dnnlib.util", "EasyDict"): dict,
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("builtins", "set"): set,
    ("torch._utils", "_rebuild_tensor_v2"): _Call(_rebuild_tensor_v2),
    ("torch._utils", "_rebuild_parameter"): _Call(_rebuild_parameter),
    ("torch.storage", "_load_from_bytes"): _Call(_storage),
    ("numpy", "dtype"): _Call(_DType),
    ("numpy.core.multiarray", "scalar"): _Call(_scalar),  # NumPy 1
    ("numpy._core.multiarray", "scalar"): _Call(_scalar),
}


class _Unpickler(pickle.Unpickler):
    """Knows the names that the released files need for their tensors, and no others."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in TENSORFLOW:
            raise PickleError(
                "is a network of TensorFlow's StyleGAN, expected PyTorch's: convert it with "
                "legacy.py of github.com/NVlabs/stylegan2-ada-pytorch"
            )
        if (module, name) not in KNOWN:
            raise PickleError(
                f"asks for {module}.{name}, which no network of StyleGAN2-ADA needs and which "
                "could run any code: refused; take a file of the authors"
            )
        return KNOWN[module, name]


# What is taken out --------------------------------------------------------------------------------


def _part(network: _Network) -> Part:
    held = dict(_values(network))
    tensors = {name: x for name, x in held.items() if isinstance(x, Tensor)}
    return Part(tensors, {name: x for name, x in held.items() if name not in tensors})


def _values(network: _Network, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names and values of a network's numbers and tensors and of those of all inside it."""
    for name, value in network.state.items():
        if value is None or isinstance(value, bool | int | float):
            yield prefix + name, value
    for kind in ("_parameters", "_buffers"):
        for name, tensor in network.state[kind].items():
            if tensor is not None:
                yield prefix + name, tensor.detach()
    for name, inner in network.state["_modules"].items():
        if inner is not None:
            yield from _values(inner, f"{prefix}{name}.")
