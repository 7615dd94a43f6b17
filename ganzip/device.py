"""How a device computes: the one place that decides precision, kernels and memory layout.

``precision`` is part of a unit's configuration. On a CPU everything is single precision, whatever
it says. On CUDA "fp32" is IEEE single precision, "tf32" rounds the factors of convolutions and
matrix products to 10 bits, and "bf16" runs networks under autocast. Under bf16 losses, R1, path
lengths and moments stay in single precision; all that measures does so always.
"""

import gc
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from joblib import cpu_count
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)

PRECISIONS = ("fp32", "tf32", "bf16")
_lower = False  # whether networks that are called now run in bfloat16


@contextmanager
def computing(device: torch.device | str, precision: str = "fp32") -> Iterator[None]:
    """Inside the ``with`` block the device computes in this precision; blocks may be nested.

    cuDNN chooses its kernels by trying them, which pays where shapes repeat. Raises ValueError for
    a precision that is none of ``PRECISIONS``.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}; expected one of {', '.join(PRECISIONS)}")
    on_cuda = torch.device(device).type == "cuda"
    lower = on_cuda and precision == "bf16"
    with (
        _kernels(precision) if on_cuda else nullcontext(),
        autocast(device) if lower else full_precision(),
    ):
        yield


def facts(device: torch.device | str, precision: str = "fp32") -> dict[str, str]:
    """How units on this device compute, for their manifests."""
    if torch.device(device).type != "cuda":
        return {"precision": "fp32"}
    return {"precision": precision, "cudnn": "benchmark"}


@contextmanager
def autocast(device: torch.device | str) -> Iterator[None]:
    """Inside the ``with`` block every network computes in bfloat16 and answers in single precision.

    A network is the outermost module of a call. What stands between networks, losses above all, is
    not touched. Feature maps that ``taps`` collects are in single precision too.
    """
    kind, depth, cast = torch.device(device).type, 0, torch.autocast("cpu", enabled=False)

    def enter(module: nn.Module, inputs: Any) -> None:
        nonlocal depth, cast
        if not depth and _lower:
            cast = torch.autocast(kind, torch.bfloat16)
            cast.__enter__()
        depth += bool(depth or _lower)

    def leave(module: nn.Module, inputs: Any, answer: Any) -> Any:
        nonlocal depth
        if not depth:
            return None
        depth -= 1
        if depth:
            return None
        cast.__exit__(None, None, None)
        return single(answer)

    handles = [
        register_module_forward_pre_hook(enter),
        register_module_forward_hook(leave, always_call=True),
    ]
    try:
        with _lowered(True):
            yield
    finally:
        for handle in handles:
            handle.remove()


def lowered(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors in the precision of autocast where it is on, for operators that it overlooks."""
    kind = tensors[0].device.type
    if not _lower or not torch.is_autocast_enabled(kind):
        return tensors
    return tuple(x.to(torch.get_autocast_dtype(kind)) for x in tensors)


def full_precision() -> AbstractContextManager[None]:
    """Inside the ``with`` block networks compute in single precision, also within ``autocast``.

    For losses that hold a gradient: its squares do not fit into the 8 bits of bfloat16.
    """
    return _lowered(False)


def single(answer: Any) -> Any:
    """A network's answer in single precision: a tensor, or a list or tuple of tensors."""
    if isinstance(answer, Tensor):
        return answer.float() if answer.dtype == torch.bfloat16 else answer
    if type(answer) in (list, tuple):
        return type(answer)(single(part) for part in answer)
    return answer


@contextmanager
def _lowered(value: bool) -> Iterator[None]:
    global _lower
    before, _lower = _lower, value
    try:
        yield
    finally:
        _lower = before


@contextmanager
def _kernels(precision: str) -> Iterator[None]:
    """CUDA's settings: by the names of torch 2.9 and later, or else by the old ones."""
    cuda: Any = torch.backends.cuda.matmul
    cudnn: Any = torch.backends.cudnn
    if hasattr(cuda, "fp32_precision"):
        name, value = "fp32_precision", "ieee" if precision == "fp32" else "tf32"
        places = [cuda, cudnn.conv, cudnn.rnn]
    else:
        name, value = "allow_tf32", precision != "fp32"
        places = [cuda, cudnn]
    before = [getattr(place, name) for place in places]
    tried = cudnn.benchmark
    try:
        for place in places:
            setattr(place, name, value)
        cudnn.benchmark = True
        yield
    finally:
        for place, was in zip(places, before, strict=True):
            setattr(place, name, was)
        cudnn.benchmark = tried


def place(device: torch.device | str) -> AbstractContextManager[Any]:
    """Inside the ``with`` block "cuda" is this GPU, for what is timed and named."""
    on_cuda = torch.device(device).type == "cuda"
    return torch.cuda.device(torch.device(device)) if on_cuda else nullcontext()


def gpu_works() -> bool:
    """Whether the GPU still does what it is told: after some errors it does not, in this process.

    Too little memory is no such error.
    """
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return False
    return True


def release_memory() -> None:
    """Give the memory that this process no longer uses on a GPU back, for others beside it."""
    gc.collect()
    torch.cuda.empty_cache()


NO_MEMORY = re.compile(
    "out ?of ?memory|ALLOC_FAILED|NOT_INITIALIZED|unable to find an engine", re.I
)
"""In an error's text: a GPU had no room. What CUDA's libraries say of it differs."""


def default_jobs(device: str) -> int:
    """How many units run side by side: one a core or, on GPUs, GANZIP_GPU_JOBS each, usually 1.

    device: "cpu", "cuda" for all GPUs, or "cuda:1" for one.
    """
    if not device.startswith("cuda"):
        return cpu_count()
    return gpu_jobs() * max(1, torch.cuda.device_count() if device == "cuda" else 1)


def gpu_jobs() -> int:
    """How many jobs share a GPU: GANZIP_GPU_JOBS, or 1; small networks leave most of it idle."""
    text = os.environ.get("GANZIP_GPU_JOBS") or "1"
    if not text.isdecimal() or not int(text):
        raise ValueError(f"GANZIP_GPU_JOBS is {text!r}, expected 1 or more; set it so")
    return int(text)


def seed(number: int) -> None:
    """Seed the generators of the CPU and, where they are in use, of all GPUs.

    ``torch.manual_seed`` also seeds those of devices that are not here, and formats the stack for
    each: 0.3 to 0.7 ms a step, where a step of a small network takes 6.
    """
    torch.default_generator.manual_seed(number)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(number)


@contextmanager
def cpu_threads(n: int) -> Iterator[None]:
    """PyTorch with n threads; a unit has one, so that units run side by side to the same bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
