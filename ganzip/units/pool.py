"""Units side by side: processes, devices and cores, one bar over all, and limits of time."""

from __future__ import annotations

import itertools
import math
import os
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from tqdm import tqdm

from ganzip import processes
from ganzip.device import NO_MEMORY, default_jobs, gpu_jobs, gpu_works
from ganzip.units.manifests import WEIGHTS
from ganzip.units.run import Run, attempt
from ganzip.units.unit import Unit, in_order, read_progress, verify_unit


class UnitsFailed(RuntimeError):
    """Some units failed; what the others did is kept."""


@dataclass(frozen=True)
class Limit:
    """When ``perform_all`` has to be over, as ``time.time()`` tells it.

    stop: when units stop with a checkpoint. end: when those that did not are killed; they go on
    from their last one. admits: whether a unit may be begun now. It is asked about each ready unit
    with True, for those that can end in time, then with False, for what may have the places left.
    """

    stop: float
    end: float
    admits: Callable[[Unit, bool], bool]


def perform_all(
    units: Iterable[Unit],
    work: Callable[[Run], None],
    root: Path,
    *,
    n_jobs: int | None = None,
    device: str = "cpu",
    limit: Limit | None = None,
) -> None:
    """Do all units, what they need first, side by side in single-threaded processes.

    Units are begun in the order given. With device "cuda" they are spread over all GPUs, several on
    each where ``n_jobs`` are more; by default it is one a core, or ``device.gpu_jobs`` a GPU. One
    bar over units with the time left. A unit that fails does not stop the others: at the end
    UnitsFailed names it, its last step and the remedy. A worker that is killed is replaced and its
    unit goes on from its checkpoint, once. Within a ``limit`` what cannot be done stays undone.
    Workers end with this process, however it does, and a notebook's kernel with what started it.
    """
    processes.follow_notebook()
    plan = in_order(units)
    waiting = _find_unfinished(plan, root)
    errors: dict[str, str] = {}
    restarts: set[str] = set()  # units whose worker was killed once
    n_jobs = min(n_jobs or default_jobs(device), max(1, len(waiting)))
    with processes.interruptible(), _Bar(plan, root) as bar:
        while waiting:
            for unit in _run_pool(waiting, errors, work, root, n_jobs, device, bar, limit):
                if unit.key in restarts:
                    errors[unit.key] = f"{unit.name}: killed twice; out of memory? Try fewer jobs"
                else:
                    restarts.add(unit.key)
                    waiting.insert(0, unit)
            for unit in [u for u in waiting if _needs_any(u, errors)]:
                errors[unit.key] = f"{unit.name}: not begun, it needs one of the above"
                waiting.remove(unit)
            if limit and not any(_admissible(waiting, root, limit)):
                break
        bar.show([])
    if errors:
        lines = "\n  ".join(errors.values())
        raise UnitsFailed(
            f"{len(errors)} of {len(plan)} units failed; run again to go on:\n  {lines}"
        )


def _find_unfinished(plan: Sequence[Unit], root: Path) -> list[Unit]:
    """Units that are to be trained, needs first; of those that they need, the weights are read."""
    unfinished, needs = [], set()
    for unit in reversed(plan):
        if not verify_unit(unit, root, *([WEIGHTS] if unit.key in needs else [])):
            unfinished.append(unit)
            needs |= {need.key for need in unit.needs.values()}
    return unfinished[::-1]


def _run_pool(
    waiting: list[Unit],
    errors: dict[str, str],
    work: Callable[[Run], None],
    root: Path,
    n_jobs: int,
    device: str,
    bar: _Bar,
    limit: Limit | None,
) -> list[Unit]:
    """Take ready units off ``waiting`` and do them in a pool; what failed goes into ``errors``.

    Returns when none is ready any more or a worker was killed, which ends its whole pool: with the
    units that were under way then. What did not fit into a GPU's memory beside others is begun
    again beside fewer.
    """
    from concurrent.futures import FIRST_COMPLETED, wait
    from concurrent.futures.process import BrokenProcessPool

    from joblib.externals.loky import ProcessPoolExecutor

    running: dict[Any, Unit] = {}
    places: dict[Any, str] = {}
    deadline = limit.stop if limit else math.inf
    gpus = torch.cuda.device_count() if device == "cuda" else 0
    devices = [f"cuda:{i}" for i in range(gpus)] or [device]
    # OpenMP threads waiting for each other at every small operator cost more than they do.
    with (
        warnings.catch_warnings(),
        ProcessPoolExecutor(
            n_jobs,
            env={"OMP_NUM_THREADS": "1"},
            initializer=processes.follow,
            initargs=[os.getpid()],
        ) as pool,
    ):
        # A worker whose memory has grown is replaced between two units: that is as it should be.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
        try:
            while True:
                free = n_jobs - len(running)
                for unit in itertools.islice(_admissible(waiting, root, limit), free):
                    waiting.remove(unit)
                    place = min(devices, key=[*places.values()].count)
                    future = pool.submit(_attempt_here, unit, work, root, place, deadline)
                    running[future], places[future] = unit, place
                if not running:
                    return []
                finished, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in finished:
                    error = future.result()
                    unit = running.pop(future)
                    del places[future]
                    if error and NO_MEMORY.search(error) and running:
                        n_jobs = len(running)
                        waiting.insert(0, unit)
                    elif error:
                        errors[unit.key] = f"{unit.name}: {error}"
                bar.show([*running.values()])
                if limit and time.time() >= limit.end:
                    pool.shutdown(kill_workers=True)  # what measures after its last step, say
                    return []
        except BrokenProcessPool:
            return [*running.values()]
        except KeyboardInterrupt:
            pool.shutdown(kill_workers=True)  # their units go on from their checkpoints
            raise


def _attempt_here(
    unit: Unit, work: Callable[[Run], None], root: Path, device: str, deadline: float
) -> str | None:
    """``attempt`` in a worker process, which ends where its GPU no longer answers.

    All later units of that process would fail too; another goes on.
    """
    error = attempt(unit, work, root, device, deadline)
    if error and device.startswith("cuda") and not gpu_works():
        os._exit(1)
    return error


def _admissible(waiting: Sequence[Unit], root: Path, limit: Limit | None) -> Iterator[Unit]:
    """Units that are ready and may be begun, in their order; of a copy of ``waiting``."""
    ready = [unit for unit in waiting if all(need.done(root) for need in unit.needs.values())]
    if limit is None:
        yield from ready
        return
    others = []
    for unit in ready:
        if limit.admits(unit, True):
            yield unit
        else:
            others.append(unit)
    yield from (unit for unit in others if limit.admits(unit, False))


def _needs_any(unit: Unit, keys: Mapping[str, str]) -> bool:
    return any(need.key in keys or _needs_any(need, keys) for need in unit.needs.values())


@contextmanager
def progress_bar(units: Iterable[Unit], root: Path) -> Iterator[None]:
    """A bar with the time left while the ``with`` block has these units done, by any process."""
    plan, over = list(units), threading.Event()

    def show() -> None:
        while not over.wait(1.0):
            bar.show([unit for unit in plan if _is_active(unit, root)])

    with _Bar(plan, root) as bar:
        watch = threading.Thread(target=show, daemon=True)
        watch.start()
        try:
            yield
        finally:
            over.set()
            watch.join()
            bar.show([])


class _Bar(tqdm):
    """One bar over the cost of all units, read from their folders."""

    def __init__(self, plan: Sequence[Unit], root: Path):
        self.plan, self.root = plan, root
        super().__init__(
            total=sum(unit.cost for unit in plan),
            initial=sum(unit.cost for unit in plan if unit.done(root)),
            file=sys.stdout,
            mininterval=1,
            smoothing=0,
            bar_format="{percentage:3.0f}%|{bar:20}| {elapsed}<{remaining} {postfix}",
        )

    def show(self, running: Sequence[Unit]) -> None:
        shares = {unit.key: read_progress(unit, self.root) for unit in running}
        done = [unit for unit in self.plan if unit.done(self.root)]
        cost = sum(u.cost for u in done)
        cost += sum(u.cost * shares[u.key] for u in running if u not in done)
        names = ", ".join(f"{unit.name} {shares[unit.key]:.0%}" for unit in running)
        self.set_postfix_str(f"{len(done)}/{len(self.plan)} units {names:.70}", refresh=False)
        self.update(max(0.0, cost - self.n))
        if not running:
            self.refresh()


def _is_active(unit: Unit, root: Path) -> bool:
    """Whether a unit told its progress within the last half minute."""
    try:
        return time.time() - (unit.folder(root) / "progress").stat().st_mtime < 30
    except OSError:
        return False


def pick_device(device: str = "auto") -> str:
    """ "auto" is the GPU where there is one."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


@contextmanager
def claim_device(device: str, *, again: float = 1.0) -> Iterator[str]:
    """A place on a GPU for the ``with`` block, as "cuda:1"; a CPU, or a GPU by number, as it is.

    A GPU has one place, or as many as GANZIP_GPU_JOBS says. It is the first that no other such
    block on this machine holds, on another GPU where there is one; where all are held it waits,
    looking every ``again`` seconds. A lock goes with its process, however that ends.
    """
    if device != "cuda":
        yield device
        return
    folder = Path(tempfile.gettempdir()) / "ganzip-gpus"
    folder.mkdir(exist_ok=True)
    gpus, places = _gpus(), range(gpu_jobs())
    locks = [
        (number, FileLock(folder / (f"{gpu}-{place}.lock" if place else f"{gpu}.lock")))
        for place in places
        for number, gpu in enumerate(gpus)
    ]
    for attempts in itertools.count():
        for number, lock in locks:
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            try:
                yield f"cuda:{number}"
            finally:
                lock.release()
            return
        if not attempts:
            print(f"all {len(locks)} places on GPUs are taken by other jobs; waiting for one")
        time.sleep(again)


def _gpus() -> list[str]:
    """The GPUs that this process may use, by what they are called in all processes."""
    gpus = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    return [str(getattr(gpu, "uuid", i)) for i, gpu in enumerate(gpus)]
