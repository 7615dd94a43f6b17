"""One training run in several processes, a GPU each, by ``torchrun`` (:func:`launch`).

Every process has all networks and its own samples of each batch. The batch of a configuration is
that of all together, random numbers are those of one process, and gradients are averaged: the
result is that of one process but for rounding. Where there is one process, nothing here does
anything. The processes share a disk.
"""

from __future__ import annotations

import datetime
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ganzip import processes as lives

T = TypeVar("T")
PATIENCE = datetime.timedelta(days=1)  # that others wait for the first, which measures alone
_only_this = False


@contextmanager
def processes(device: str) -> Iterator[str]:
    """Join the other processes that ``torchrun`` started, if it did; yields this one's device.

    device: "cpu", or "cuda": of several GPUs the one of this process's number.
    """
    if "LOCAL_RANK" not in os.environ:
        yield device
        return
    end_together()
    backend = "gloo"
    if device == "cuda":
        number, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if number >= there:
            raise ValueError(
                f"processes is more than {there}, the GPUs here; take {there} or fewer"
            )
        device, backend = f"cuda:{number}", "cpu:gloo,cuda:nccl"
        torch.cuda.set_device(device)
    dist.init_process_group(backend, timeout=PATIENCE)
    yield device
    dist.destroy_process_group()  # not after an error, when it would wait for the others


def launch(count: int, module: str, *arguments: str) -> int:
    """Run a Python module in ``count`` processes by torchrun; returns its exit status.

    They end with this process. What they print is seen; of torchrun's own account only which of
    them was killed.
    """
    here = {"OMP_NUM_THREADS": "1", **os.environ}
    each = ("-m", "ganzip.processes", str(os.getpid()), module, *arguments)
    how = ("--standalone", "--nproc-per-node", str(count))
    return lives.run("ganzip.parallel", *how, *each, env=here).returncode


def end_together() -> None:
    """In a process of torchrun's: end with it, and at once when it says so."""
    if "LOCAL_RANK" in os.environ:
        lives.follow(os.getppid())
        for number in (signal.SIGINT, signal.SIGTERM):  # Python's handlers wait for the others
            signal.signal(number, signal.SIG_DFL)


def tell(error: str) -> None:
    """Print an error. Of several processes that have the same the first one does.

    The others wait, for torchrun ends them as soon as it has failed.
    """
    if os.environ.get("RANK", "0") != "0":
        time.sleep(20)
    print(error, file=sys.stderr, flush=True)


def size() -> int:
    """How many processes share the work."""
    return dist.get_world_size() if _together() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if _together() else 0


def first() -> bool:
    """Whether this is the process that writes files."""
    return rank() == 0


def _together() -> bool:
    return dist.is_available() and dist.is_initialized() and not _only_this


@contextmanager
def alone() -> Iterator[None]:
    """Inside the ``with`` block this process does not know of others."""
    global _only_this
    before, _only_this = _only_this, True
    try:
        yield
    finally:
        _only_this = before


def check(batch: int, group: int = 0, among: int = 0) -> None:
    """Raise ValueError where processes cannot share a batch, or its groups of ``group`` samples.

    among: how many processes, 0 for those that there are.
    """
    among = among or size()
    groups = batch // min(group, batch) if group else batch
    fitting = [n for n in range(1, groups + 1) if batch % n == groups % n == 0]
    if among not in fitting:
        kind = f" in {groups} groups of {group}" if group else ""
        raise ValueError(
            f"batch is {batch}{kind} and cannot be shared by {among} processes; start "
            f"{' or '.join(map(str, fitting))}, or change the batch"
        )


# Samples and random numbers -----------------------------------------------------------------------


def part(samples: Tensor) -> Tensor:
    """This process's samples (N / size, ...) of all (N, ...): from its number on, every size-th.

    So groups of i, i + N / group, ..., as of StyleGAN2's minibatch deviation, stay together, and
    the part of two batches one after the other is their parts one after the other.
    """
    return samples if size() == 1 else samples[rank() :: size()].contiguous()


def split() -> AbstractContextManager[Any]:
    """Inside the ``with`` block each process has its part of the samples, and draws for those."""
    return nullcontext() if size() == 1 else _Split()


class _Split(TorchFunctionMode):
    """What is drawn a sample is drawn for all samples, of which a process takes its part.

    Numbers (shape ()) are the same in all processes. So is the state of the generators: each draws
    what one process would.
    """

    active = False

    def __enter__(self) -> _Split:
        _Split.active = True
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        _Split.active = False
        super().__exit__(*error)

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (torch.rand_like, torch.randn_like):
            return part(func(torch.cat([args[0].detach()] * size()), *args[1:], **kwargs))
        if func in (torch.rand, torch.randn, torch.randint):
            # The shape is the last argument or, of rand and randn, may be all of them.
            *before, shape = args if isinstance(args[-1], Sequence) else (args,)
            if shape:
                return part(func(*before, (size() * shape[0], *shape[1:]), **kwargs))
        return func(*args, **kwargs)


# What processes tell each other -------------------------------------------------------------------


def from_first(found: Callable[[], T]) -> T:
    """What the first process finds, in all of them; they wait for it."""
    if size() == 1:
        return found()
    box: list[Any] = [found() if first() else None]
    dist.broadcast_object_list(box)
    return box[0]


def share(networks: Iterable[nn.Module]) -> None:
    """Give all processes the first one's parameters and buffers."""
    if size() > 1:
        for net in networks:
            for tensor in net.state_dict().values():
                dist.broadcast(tensor, 0)


def average(parameters: Sequence[Tensor], terms: dict[str, Tensor]) -> dict[str, Tensor]:
    """Average gradients over processes; returns the terms, averaged too. One message.

    A parameter without a gradient in one process counts as 0 there; one without in all has none.
    """
    if size() == 1:
        return terms
    values = torch.stack(list(terms.values())).detach()
    there = values.new_tensor([p.grad is not None for p in parameters])
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flat = torch.cat([values, there, *(grad.flatten() for grad in grads)])
    dist.all_reduce(flat)
    flat /= size()
    values, there, *parts = flat.split([len(terms), len(grads), *(g.numel() for g in grads)])
    for p, anywhere, mean in zip(parameters, there, parts, strict=True):
        if p.grad is not None or anywhere:
            p.grad = mean.view_as(p)
    return dict(zip(terms, values, strict=True))


def average_buffers(networks: Iterable[nn.Module]) -> None:
    """Average running means over processes: what is a number or a vector. Maps are constants."""
    if size() == 1:
        return
    found = [b for net in networks for b in net.buffers() if b.is_floating_point() and b.ndim < 2]
    if found:
        flat = torch.cat([b.flatten() for b in found])
        dist.all_reduce(flat)
        for b, mean in zip(found, flat.div_(size()).split([b.numel() for b in found]), strict=True):
            b.copy_(mean.view_as(b))


def mean(x: Tensor) -> Tensor:
    """The mean over processes of what each has of its own samples, without a graph."""
    if not _Split.active:
        return x
    x = x.detach().clone()
    dist.all_reduce(x)
    return x / size()


def gathered(samples: Tensor) -> Tensor:
    """The samples of all processes (N, ...), in their order, from those of each, with a graph.

    What is computed from them has to be the same in all processes.
    """
    return _Gathered.apply(samples) if _Split.active else samples  # pyright: ignore


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, samples: Tensor) -> Tensor:
        parts = [torch.empty_like(samples) for _ in range(size())]
        dist.all_gather(parts, samples.contiguous())
        return torch.stack(parts, 1).flatten(0, 1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        # Each process has the whole gradient for its own samples alone: their mean would divide it.
        return size() * part(grads[0])


def _torchrun(arguments: Sequence[str]) -> int:
    """torchrun; where processes fail the reason is theirs to tell, unless they were killed."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main

    logging.disable(logging.CRITICAL)
    try:
        main(arguments)
    except SignalException:
        return 1
    except ChildFailedError as error:
        codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
        for rank, code in codes.items():
            if code < 0 and -code != signal.SIGTERM:  # with which torchrun ends the others
                print(f"process {rank} was ended by {signal.Signals(-code).name}", file=sys.stderr)
        return max(1, *codes.values())
    return 0


if __name__ == "__main__":
    sys.exit(_torchrun(sys.argv[1:]))
