"""What a step sees of an image set: indices, and the rows that they name, on the device."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ganzip.data.images import DataError, Images, to_float

SHARE = 1 / 4  # of a GPU's free memory, at most, that a set of rows takes
Place = Literal["host", "device", "ahead"]


def batch_indices(n: int, batch: int, seed: int) -> Callable[[int], Tensor]:
    """Return the function from a step number, counted from 0, to `batch` indices below `n` (int64).

    The indices walk through one seeded permutation of 0..n-1 an epoch. A batch may straddle epochs,
    so each of them holds every image exactly once; any step may be asked for first.
    """
    if n < 1 or batch < 1:
        raise DataError(f"n={n}, batch={batch}: expected at least one image and a positive batch")

    @lru_cache(maxsize=2)
    def epoch(number: int) -> np.ndarray:
        return np.random.default_rng((seed, number)).permutation(n)

    def indices(step: int) -> Tensor:
        first, stop = step * batch, (step + 1) * batch
        walk = np.concatenate([epoch(e) for e in range(first // n, (stop - 1) // n + 1)])
        return torch.from_numpy(walk[first % n :][:batch])

    return indices


def batches_of(
    rows: Tensor,
    indices: Callable[[int], Tensor],
    device: torch.device | str = "cpu",
    place: Place | None = None,
) -> Callable[[int], Tensor]:
    """Return the function from a step number to ``rows[indices(step)]``, on the device.

    rows: (N, ...), of any type, in memory or mapped from a file. place: "host": rows are read when
    they are asked for. "device": all live on the device and are indexed there. "ahead": while a
    step is computed, a thread reads the rows of the next one, into page-locked memory if the device
    is a GPU. None is "host" for a CPU and, for others, "device" if the rows take less than a
    quarter of the memory that is free, else "ahead". Batches are the same, in whatever order steps
    are asked for.
    """
    device = torch.device(device)
    if place is None and device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        place = "device" if rows.nbytes < SHARE * free else "ahead"
    place = place or ("host" if device.type == "cpu" else "device")
    if place == "device":
        held = rows.to(device)
        return lambda step: held[indices(step).to(device)]

    def read(step: int) -> Tensor:
        found = rows[indices(step)]
        if device.type != "cuda":
            return found
        with torch.cuda.device(device):  # each thread has a GPU of its own
            return found.pin_memory()

    found = _Ahead(read) if place == "ahead" else read
    return lambda step: found(step).to(device, non_blocking=True)


class _Ahead:
    """A function of the step number whose next value a thread finds while this one is used."""

    def __init__(self, read: Callable[[int], Tensor]):
        self._read, self._pool = read, ThreadPoolExecutor(1, "batches")
        self._next: dict[int, Future[Tensor]] = {}

    def __call__(self, step: int) -> Tensor:
        known = self._next.get(step)
        found = self._read(step) if known is None else known.result()
        self._next = {step + 1: self._pool.submit(self._read, step + 1)}
        return found


def real_batches(
    images: Images, batch: int, seed: int, device: torch.device | str = "cpu"
) -> Callable[[int], Tensor]:
    """Return the function from a step number to float images (batch, C, H, W) in [-1, 1].

    `batch_indices(len(images), batch, seed)` gives the indices, thus the labels, of the same steps.
    """
    shown = batches_of(images.pixels, batch_indices(len(images), batch, seed), device)
    return lambda step: to_float(shown(step))
