"""Two forms of the same computation, timed in turns; bytes that backward needs."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

Call = Callable[[], Sequence[Tensor]]
"""One run of what is measured; it returns what both forms should agree on."""


@dataclass(frozen=True)
class Pair:
    """The fast form and the slow reference."""

    fast: Call
    slow: Call


@dataclass(frozen=True)
class Compared:
    """Medians of the slow form over those of the fast one, and how far their outputs are apart."""

    cpu: float
    wall: float
    difference: float


def compare(pair: Pair, repeats: int, *, warm: bool = True, device: str = "cpu") -> Compared:
    """Time both forms in turns in this process: fast, slow, fast, slow, ...

    What else the machine does then falls on both. The first turn is for the outputs and, unless
    ``warm`` is off, is not timed. ``difference`` is the largest |fast - slow| over the largest
    |slow|, of the tensor where that is worst.
    """
    clock = _gpu if device == "cuda" else _cpu
    warm = warm or device == "cuda"  # else the first form would pay for CUDA's start
    times: dict[str, list[tuple[float, float]]] = {"fast": [], "slow": []}
    difference = 0.0
    for turn in range(repeats + warm):
        outputs = {}
        for name, call in (("fast", pair.fast), ("slow", pair.slow)):
            outputs[name], *taken = clock(call)
            times[name].append((taken[0], taken[1]))
        if turn == 0:
            difference = apart(outputs["fast"], outputs["slow"])
    (fast_cpu, fast_wall), (slow_cpu, slow_wall) = (
        [median(column) for column in zip(*times[name][warm:], strict=True)] for name in times
    )
    return Compared(slow_cpu / fast_cpu, slow_wall / fast_wall, difference)


def apart(fast: Sequence[Tensor], slow: Sequence[Tensor]) -> float:
    """The largest difference relative to the largest value, of the worst pair of tensors."""
    gaps = [
        ((a.double() - b.double()).abs().max() / b.double().abs().max()).item()
        for a, b in zip(fast, slow, strict=True)
    ]
    return max(gaps)


@contextmanager
def threads(n: int) -> Iterator[None]:
    """So many threads for torch, numpy and scipy."""
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    with threadpool_limits(n):
        torch.set_num_threads(n)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def kept_bytes(call: Callable[[], object]) -> int:
    """Bytes that the graph built by ``call`` keeps for backward: exact, each storage once."""
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage  # held, so that no other takes its address
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        call()
    return sum(storage.nbytes() for storage in kept.values())


def kept_per_image(forward: Callable[[int], Tensor], n: int = 2) -> int:
    """Bytes kept for backward by one more image: parameters and what is shared cancel."""
    return kept_bytes(lambda: forward(n + 1)) - kept_bytes(lambda: forward(n))


def _cpu(call: Call) -> tuple[Sequence[Tensor], float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    outputs = call()
    return outputs, time.process_time() - cpu, time.perf_counter() - wall


def _gpu(call: Call) -> tuple[Sequence[Tensor], float, float]:
    """Wall time by the device's own clock; CPU time is what launching took."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    cpu = time.process_time()
    start.record()
    outputs = call()
    end.record()
    launched = time.process_time() - cpu
    torch.cuda.synchronize()
    return outputs, launched, start.elapsed_time(end) / 1000
