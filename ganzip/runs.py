"""Units of work: one training run of one table row and one seed, done once and never again.

A unit's folder is keyed by the hash of its configuration and holds ``checkpoint-*.pt`` (atomic,
resumable), ``weights.safetensors``, ``history.csv``, ``rows.csv``, ``samples/``, what figures show
(``shown/``) and, written last, ``manifest.json``. A unit without a manifest goes on from its last
good checkpoint; on a CPU it ends in the bits of a run that was never interrupted. What a manifest
names is checked when it is read back: a unit that is not what was written is named, its files are
put aside, and the next run trains it anew. Under ``torchrun`` several processes share a unit
(``ganzip.parallel``), and the first alone writes.
"""

from __future__ import annotations

import ast
import csv
import difflib
import hashlib
import inspect
import io
import itertools
import json
import math
import os
import platform
import shutil
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
import torch
from filelock import FileLock, Timeout
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn
from tqdm import tqdm

from ganzip import device as devices
from ganzip import files, manifests, parallel, processes
from ganzip.data import set_name
from ganzip.files import write
from ganzip.manifests import HISTORY, ROWS, WEIGHTS, Manifest
from ganzip.train import Batch, Player, Terms, step_seed, train

Net = TypeVar("Net", bound=nn.Module)
CHECKPOINT_SECONDS = 20.0
ABSENT = "absent"  # the fingerprint of data that are not here: of units that are only counted
SNAPSHOTS = 8  # how often the samples of a run are kept
LOGGED = 200  # points of a loss curve


class CheckpointError(RuntimeError):
    """A checkpoint that is torn, or belongs to another unit."""


class Diverged(RuntimeError):
    """A loss term or a weight became NaN or infinite."""


class Damaged(ValueError):
    """A finished unit of which a file is not what its manifest says."""


class TimeUp(Exception):
    """A unit stopped with a checkpoint, for its time was up; it goes on from there."""


class UnitsFailed(RuntimeError):
    """Some units failed; what the others did is kept."""


@dataclass(frozen=True, eq=False)
class Unit:
    """One training run: everything that decides its result, and nothing else.

    config: JSON values; ``steps`` and ``seed`` among them.
    needs: units whose results this one reads, by the role that they play ("teacher").
    cost: rough relative cost, for the time left; source: where its data are on this machine.
    shared: whether several processes, where there are, train it together; else the first does it.
    """

    paper: str
    name: str
    config: Mapping[str, Any]
    needs: Mapping[str, Unit] = field(default_factory=dict)
    cost: float = 1.0
    source: str = ""
    shared: bool = False

    @property
    def key(self) -> str:
        """Twelve hex digits: the hash of paper, configuration and the keys of what it needs."""
        return key(self.paper, self.config, {role: unit.key for role, unit in self.needs.items()})

    def folder(self, root: Path) -> Path:
        """Where the unit's files are."""
        return Path(root) / self.paper / "units" / f"{self.name}-{self.key}"

    def done(self, root: Path) -> bool:
        """Whether the unit is finished: a manifest of its own, and files of the sizes it says."""
        return (self.folder(root) / manifests.NAME).exists() and not fault(self, root)

    def manifest(self, root: Path) -> dict[str, Any]:
        """Versions, seed, device, times, and the files of a finished unit. Raises Damaged."""
        check(self, root)
        return json.loads((self.folder(root) / manifests.NAME).read_bytes())

    def read(self, root: Path, name: str) -> bytes:
        """A file of a finished unit, as it was written; raises Damaged where it no longer is."""
        check(self, root, name)
        return (self.folder(root) / name).read_bytes()

    def weights(self, root: Path) -> dict[str, Tensor]:
        """All tensors of a finished unit, under "network.parameter".

        Raises FileNotFoundError for a unit that came from another machine without them, and
        Damaged for weights that are not those that were written.
        """
        check(self, root, WEIGHTS)
        path = self.folder(root) / WEIGHTS
        if not path.exists():
            raise FileNotFoundError(
                f"{self.name} has no weights at {path}: merge a bundle that holds them (make "
                "bundle WEIGHTS=1), or delete the folder to train it here"
            )
        return load_file(path)


def key(paper: str, config: Mapping[str, Any], needs: Mapping[str, str]) -> str:
    """The key of a unit of this configuration that needs units of these keys, by their roles."""
    text = json.dumps([paper, dict(config), dict(needs)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Demand:
    """What a unit asks of a machine, roughly: multiply-adds in all, bytes of what it keeps."""

    multiply_adds: float = 0.0
    kept: int = 0


@dataclass(frozen=True)
class State:
    """How far a unit is.

    name: "done", "running", "failed", "interrupted" (it goes on from ``step``) or "missing".
    step: of ``unit.config["steps"]``. error: of a failed unit, its kind and text in one line.
    """

    name: str
    step: int = 0
    error: str = ""


def state(unit: Unit, root: Path) -> State:
    """How far a unit is, read from its folder."""
    folder, steps = unit.folder(root), int(unit.config["steps"])
    finished = (folder / manifests.NAME).exists()
    why = fault(unit, root) if finished else ""
    if finished and not why:
        return State("done", steps)
    step = round(share(unit, root) * steps)
    if _held(folder / "lock"):
        return State("running", step)
    if finished:
        return State("failed", 0, f"{why}; {AGAIN}")
    if (folder / "error.txt").exists():
        said = (folder / "error.txt").read_text(errors="replace").strip().splitlines()
        if not said:
            return State("failed", step, f"{folder / 'error.txt'} is empty; run again to go on")
        stopped = said[-1] == "KeyboardInterrupt"
        return State("interrupted", step) if stopped else State("failed", step, said[-1])
    if not any(folder.glob("checkpoint-*.pt")) and not (folder / "progress").exists():
        return State("missing", step)
    # A full disk has no room for an error either.
    full = lack_of_space(folder)
    return State("failed", step, full) if full else State("interrupted", step)


# What is read back --------------------------------------------------------------------------------


AGAIN = "run again: it is trained anew, and these files are put aside"


@lru_cache(maxsize=4096)
def _manifest(path: str, size: int, mtime_ns: int) -> Manifest | str:
    """A manifest, or why it is none."""
    try:
        return manifests.read(Path(path).read_bytes())
    except ValueError as error:
        return str(error)


def fault(unit: Unit, root: Path, *names: str) -> str:
    """What is wrong with a finished unit, in words; "" for a sound one.

    Looked at are its manifest, the sizes of all files, and the sha256 of those of ``names`` that
    the manifest names.
    """
    folder = unit.folder(root)
    try:
        at = (folder / manifests.NAME).stat()
        found = _manifest(str(folder / manifests.NAME), at.st_size, at.st_mtime_ns)
        if isinstance(found, str):
            return f"{manifests.NAME}: {found}"
        if found.format != manifests.FORMAT:
            return f"{manifests.NAME} is of older code and names no files"
        if unit.key not in (found.key, found.stands_for):
            return f"{manifests.NAME} is that of unit {found.unit}-{found.key}"
        for name, file in found.files.items():
            size = (folder / name).stat().st_size
            if size != file.size:
                return f"{name} has {size} bytes, {file.size} were written"
            if name in names and files.digest(folder / name) != file.sha256:
                return f"{name} was altered: its sha256 is not that of its manifest"
    except FileNotFoundError as error:
        return f"{Path(error.filename).relative_to(folder)} is missing"
    except OSError as error:
        return f"{Path(error.filename or folder).name} cannot be read ({error.strerror})"
    return ""


def check(unit: Unit, root: Path, *names: str) -> None:
    """Raise Damaged where a finished unit has a ``fault``; its files are then put aside.

    A unit that is not finished raises FileNotFoundError.
    """
    if not (unit.folder(root) / manifests.NAME).exists():
        raise FileNotFoundError(f"{unit.name} is not finished; run its paper's notebook first")
    if why := fault(unit, root, *names):
        place = put_aside(unit, root, *names)
        kept = f"; its files are kept in {place}" if place else ""
        raise Damaged(f"{unit.name}: {why}; run again to train it anew{kept}")


def sound(unit: Unit, root: Path, *names: str) -> bool:
    """Whether a unit is done and has no ``fault``; one that has is named, and put aside."""
    if not (unit.folder(root) / manifests.NAME).exists():
        return False
    why = fault(unit, root, ROWS, HISTORY, *names)
    if why and (place := put_aside(unit, root, ROWS, HISTORY, *names)):
        print(f"{unit.name}: {why}; it is trained anew, and its files are kept in {place}")
    return not why


def receive(
    unit: Unit,
    root: Path,
    manifest: Mapping[str, Any],
    contents: Mapping[str, Callable[[], bytes]],
) -> None:
    """Write a unit that was made elsewhere, or what is absent of one, into its folder.

    contents: what gives each file, by name. The manifest comes last: half a unit is not done.
    """
    folder, made = unit.folder(root), {}
    with _alone(folder):
        if ROWS in contents and unit.done(root):
            return  # meanwhile it was done here
        for name, content in contents.items():
            write(folder / name, found := content())
            made[name] = {"size": len(found), "sha256": files.sha256(found)}
        its = {name: file for name, file in made.items() if not name.startswith("shown/")}
        named = {**manifest.get("files", {}), **its}
        write(folder / manifests.NAME, manifests.written({**manifest, "files": named}))


def put_aside(unit: Unit, root: Path, *names: str) -> Path | None:
    """Move what is in the folder of a unit that has a ``fault`` into one beside it.

    Returns that, NAME.damaged-1 or the next that is free; None where another process was first.
    """
    with _alone(unit.folder(root)):
        return _put_aside(unit, root, *names)


def _put_aside(unit: Unit, root: Path, *names: str) -> Path | None:
    """``put_aside`` for who holds the lock, which stays: others may be waiting for it."""
    folder = unit.folder(root)
    if not (folder / manifests.NAME).exists() or not fault(unit, root, *names):
        return None
    number = 1
    while (place := folder.with_name(f"{folder.name}.damaged-{number}")).exists():
        number += 1
    place.mkdir()
    for path in sorted(folder.iterdir(), key=lambda p: p.name != manifests.NAME):  # it first
        if path.name != "lock":
            os.replace(path, place / path.name)
    return place


def _held(path: Path) -> bool:
    """Whether a process has this lock. It is let go when the process dies, however it does."""
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def load(net: nn.Module, weights: Mapping[str, Tensor], name: str) -> nn.Module:
    """The network with the tensors that a unit saved under ``name``."""
    net.load_state_dict(_under(weights, name))
    return net


@dataclass
class Run:
    """A unit being worked on: what its work is handed."""

    unit: Unit
    root: Path
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    history: list[tuple[int, str, str, float]] = field(default_factory=list)
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    steps_done: int = 0  # of the phases before this one
    told: float = -math.inf  # when the progress was last written
    deadline: float = math.inf  # when to stop with a checkpoint, as time.time() tells it
    begun: float = field(default_factory=time.monotonic)
    training: float = 0.0  # seconds of this process in ``train``

    @property
    def folder(self) -> Path:
        """The unit's folder."""
        return self.unit.folder(self.root)

    @property
    def config(self) -> Mapping[str, Any]:
        """The unit's configuration."""
        return self.unit.config

    @property
    def precision(self) -> str:
        """How networks compute in training, of ``device.PRECISIONS``."""
        return self.config.get("precision", "fp32")

    def new(self, name: str, make: Callable[[], Net]) -> Net:
        """A network of the unit on its device, its first weights drawn from a seed of its own.

        The seed is a function of the unit's and of the name. So nothing that was drawn before, for
        a cache that was empty, say, moves the weights.
        """
        torch.manual_seed(step_seed(self.config["seed"], name))
        return make().to(self.device)

    def needed(self, role: str) -> dict[str, Tensor]:
        """The weights of the unit that plays ``role`` for this one."""
        return self.unit.needs[role].weights(self.root)

    def train(
        self,
        players: Sequence[Player],
        batches: Callable[[int], Batch],
        steps: int,
        networks: Mapping[str, nn.Module],
        *,
        phase: str = "train",
        samples: Callable[[], Tensor] | None = None,
        epoch: int = 0,
        validate: Callable[[], Mapping[str, float]] | None = None,
    ) -> None:
        """``train.train`` with checkpoints, a loss history, and snapshots of ``samples()``.

        networks: every network whose state moves, by name. A unit with several phases calls this
        once a phase, each under a name of its own. ``samples`` returns images in [-1, 1] and draws
        no noise. ``validate`` is called after every ``epoch`` steps and after the last; what it
        returns stands in the history. It may keep the best network in one of ``networks``. Of
        several processes the first alone validates, and all go on with its networks. Raises TimeUp
        after the first step past the deadline, with a checkpoint.
        """
        entered = time.monotonic()
        parts: dict[str, Any] = dict(networks) | {
            f"{p.name} optimiser": p.optimiser for p in players
        }
        start = self._resume(phase, parts)
        if start != (theirs := parallel.from_first(lambda: start)):
            raise CheckpointError(
                f"process {parallel.rank()} found {self.unit.name} at step {start} and the first "
                f"one at {theirs}; all need one folder of runs: set GANZIP_RUNS"
            )
        parallel.share(networks.values())
        # Two checkpoints and a third being written, each of weights and two moments per weight.
        check_space(self.folder, 9 * _bytes(networks.values()))
        clock = _Clock()
        log_at = max(1, steps // LOGGED)
        keep_at = max(1, steps // SNAPSHOTS)

        def after(step: int, terms: Terms) -> None:
            with devices.computing(self.device):  # what measures does so in single precision
                record(step, terms)

        def record(step: int, terms: Terms) -> None:
            nonlocal clock
            parallel.average_buffers(networks.values())
            if step % log_at == 0 or step == steps:
                self._log(step, terms, phase)
            if validate is not None and (step == steps or (epoch and step % epoch == 0)):
                at, found = self.steps_done + step, parallel.from_first(validate)
                self.history += [(at, "validation", *entry) for entry in found.items()]
                parallel.share(networks.values())
            if not parallel.first():
                return
            if samples is not None and (step % keep_at == 0 or step == steps):
                save_array(
                    self.folder / "samples" / f"{phase}-{step:07d}.npy", _to_uint8(samples())
                )
            late = step < steps and time.time() >= self.deadline
            if step == steps or late or clock.wall() >= self.checkpoint_seconds:
                self.cpu_seconds += clock.cpu()
                self.wall_seconds += clock.wall()
                clock = _Clock()
                self._checkpoint(phase, step, parts, terms)
            self._progress(step, step == steps or late)
            if late:
                raise TimeUp(f"{self.unit.name}: step {step} of {steps} of {phase}")

        # A phase after the first draws from a stream of its own.
        first, seed = not self.steps_done, self.config["seed"]
        stream = seed if first else step_seed(seed, -1 - self.steps_done)
        with devices.computing(self.device, self.precision):
            train(players, batches, steps, seed=stream, start=start, after=after)
        self.steps_done += steps
        self.training += time.monotonic() - entered

    def finish(
        self,
        networks: Mapping[str, nn.Module | Mapping[str, Tensor]],
        rows: Iterable[Mapping[str, Any]],
    ) -> None:
        """Write weights, history, rows, and last the manifest that makes the unit done."""
        if not parallel.first():
            return
        tensors = {
            f"{name}.{key}": value.detach().cpu().contiguous()
            for name, part in networks.items()
            for key, value in (part.state_dict() if isinstance(part, nn.Module) else part).items()
        }
        weights = to_safetensors(tensors)
        write(self.folder / WEIGHTS, weights)
        write(self.folder / HISTORY, _csv(("step", "player", "term", "value"), self.history))
        rows = list(rows)
        write(self.folder / ROWS, _csv(tuple(rows[0]), [tuple(r.values()) for r in rows]))
        its = [self.folder / name for name in (ROWS, HISTORY, WEIGHTS)]
        its += sorted((self.folder / "samples").glob("*.npy"))
        manifest = {
            "unit": self.unit.name,
            "key": self.unit.key,
            "config": dict(self.config),
            "needs": {role: unit.key for role, unit in self.unit.needs.items()},
            "weights_sha256": hashlib.sha256(weights).hexdigest(),
            "cpu_seconds": round(self.cpu_seconds, 2),
            "wall_seconds": round(self.wall_seconds, 2),
            "other_seconds": round(time.monotonic() - self.begun - self.training, 2),
            "processes": parallel.size(),
            "computing": devices.facts(self.device, self.precision),
            **surroundings(self.device),
            "files": {
                path.relative_to(self.folder).as_posix(): {
                    "size": path.stat().st_size,
                    "sha256": files.digest(path),
                }
                for path in its
            },
        }
        # Pictures of other weights, if any, are none of these.
        shutil.rmtree(self.folder / "shown", ignore_errors=True)
        write(self.folder / manifests.NAME, manifests.written(manifest))
        for path in (*self.folder.glob("checkpoint-*.pt"), self.folder / "progress"):
            path.unlink(missing_ok=True)

    def _log(self, step: int, terms: Terms, phase: str) -> None:
        self._check_terms(step, terms, phase)
        for name, term in terms.items():
            player, term_name = name.split("/", 1)
            self.history.append((self.steps_done + step, player, term_name, float(term.item())))

    def _check_terms(self, step: int, terms: Terms, phase: str) -> None:
        for name, term in terms.items():
            if not math.isfinite(value := float(term.item())):
                raise self._diverged(f"the term {name} is {value}", step, phase)

    def _diverged(self, what: str, step: int, phase: str) -> Diverged:
        kept = _checkpoints(self.folder, phase)
        start = int(kept[0].stem[-9:]) if kept else 0
        return Diverged(
            f"{self.unit.name}: {what} at step {step}; a rerun goes on from step {start}; where it "
            "comes again, lower the learning rate of that player, or change the seed"
        )

    def _checkpoint(self, phase: str, step: int, parts: Mapping[str, Any], terms: Terms) -> None:
        """Keep the newest two, so that a torn file never costs more than one interval.

        None is kept with NaN in it: a rerun goes on from the one before.
        """
        self._check_terms(step, terms, phase)
        states = {name: part.state_dict() for name, part in parts.items()}
        for name, state in states.items():
            if not _finite(state):
                raise self._diverged(f"{name} is no longer finite", step, phase)
        payload = {
            "unit": self.unit.key,
            "step": step,
            "state": states,
            "history": self.history,
            "seconds": (self.cpu_seconds, self.wall_seconds),
        }
        save_checkpoint(self.folder / f"checkpoint-{phase}-{step:09d}.pt", payload)
        for old in _checkpoints(self.folder, phase)[2:]:
            old.unlink(missing_ok=True)

    def _resume(self, phase: str, parts: Mapping[str, Any]) -> int:
        for path in _checkpoints(self.folder, phase):
            try:
                payload = load_checkpoint(path, self.unit.key, self.device)
            except CheckpointError as error:
                print(f"{error}; going on from the one before it")
                continue
            if not _finite(payload["state"]):
                print(f"{path.name} holds NaN; going on from the one before it")
                continue
            for name, part in parts.items():
                part.load_state_dict(payload["state"][name])
            self.history = [tuple(entry) for entry in payload["history"]]
            self.cpu_seconds, self.wall_seconds = payload["seconds"]
            return payload["step"]
        return 0

    def _progress(self, step: int, last: bool) -> None:
        """Tell whoever watches how far the unit is, once a second and at the end of a phase."""
        now = time.monotonic()
        if last or now - self.told >= 1:
            self.told = now
            share = (self.steps_done + step) / self.config["steps"]
            write(self.folder / "progress", f"{share:.4f}".encode())


def perform(
    unit: Unit,
    work: Callable[[Run], None],
    root: Path,
    *,
    device: str | torch.device = "cpu",
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    deadline: float = math.inf,
) -> Path:
    """Do a unit and what it needs, unless done; returns its folder.

    deadline: when to stop with a checkpoint, as ``time.time()`` tells it; then raises TimeUp.
    Raises ValueError for a unit that is only counted, since its data are not here.

    A second process on the same unit waits for the first and then finds it done. One thread on a
    CPU, so that the result does not depend on the number of cores. Of processes that ``torchrun``
    started all call this: they train a shared unit together, and wait while the first does another.
    """
    folder = unit.folder(root)

    def done() -> bool:
        return parallel.from_first(lambda: sound(unit, root))

    if done():
        return folder
    check_data(unit)
    error = folder / f"error{parallel.rank() or ''}.txt"
    if unit.shared:
        parallel.check(unit.config["batch"], unit.config.get("group", 0))
    with _noted(error):
        check_space(folder)
    for need in unit.needs.values():
        if parallel.first():
            sound(need, root, WEIGHTS)
        perform(
            need,
            work,
            root,
            device=device,
            checkpoint_seconds=checkpoint_seconds,
            deadline=deadline,
        )
    with _alone(folder) if parallel.first() else nullcontext():
        if not parallel.from_first(lambda: unit.done(root)) and (unit.shared or parallel.first()):
            run = Run(unit, Path(root), torch.device(device), checkpoint_seconds, deadline=deadline)
            error.unlink(missing_ok=True)
            with (
                _noted(error),
                threads(1),
                devices.computing(run.device),
                nullcontext() if unit.shared else parallel.alone(),
            ):
                work(run)
            error.unlink(missing_ok=True)
    done()  # the others wait for the first
    return folder


@contextmanager
def _noted(path: Path) -> Iterator[None]:
    """Leave the traceback of what ends the ``with`` block in a file, where the disk has room."""
    try:
        yield
    except TimeUp:
        raise
    except BaseException:
        with suppress(OSError):
            write(path, traceback.format_exc().encode())
        raise


def check_sharing(unit: Unit, root: Path, among: int) -> None:
    """Raise ValueError where a unit that is still to be done cannot be shared by ``among``."""
    for each in in_order([unit]):
        if each.shared and not each.done(root):
            parallel.check(each.config["batch"], each.config.get("group", 0), among)


def check_data(unit: Unit) -> None:
    """Raise ValueError for a unit that was planned without its data."""
    if unit.config.get("fingerprint") == ABSENT:
        raise ValueError(
            f"{unit.paper} {unit.name} was planned without its data, to be counted and not to be "
            "trained; name data that are here, and plan again"
        )


@dataclass(frozen=True)
class Limit:
    """When ``jobs`` has to be over, as ``time.time()`` tells it.

    stop: when units stop with a checkpoint. end: when those that did not are killed; they go on
    from their last one. admits: whether a unit may be begun now. It is asked about each ready unit
    with True, for those that can end in time, then with False, for what may have the places left.
    """

    stop: float
    end: float
    admits: Callable[[Unit, bool], bool]


def jobs(
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
    each where ``n_jobs`` are more. One bar over units with the time left. A unit that fails does
    not stop the others: at the end UnitsFailed names it, its last step and the remedy. A worker
    that is killed is replaced and its unit goes on from its checkpoint, once. Within a ``limit``
    what cannot be done stays undone.
    Workers end with this process, however it does, and a notebook's kernel with what started it.
    """
    processes.follow_notebook()
    plan = in_order(units)
    waiting = _unfinished(plan, root)
    failed: dict[str, str] = {}
    killed: set[str] = set()
    n_jobs = min(n_jobs or cores(), max(1, len(waiting)))
    with processes.interruptible(), _Bar(plan, root) as bar:
        while waiting:
            for unit in _share_out(waiting, failed, work, root, n_jobs, device, bar, limit):
                if unit.key in killed:
                    failed[unit.key] = f"{unit.name}: killed twice; out of memory? Try fewer jobs"
                else:
                    killed.add(unit.key)
                    waiting.insert(0, unit)
            for unit in [u for u in waiting if _needs_any(u, failed)]:
                failed[unit.key] = f"{unit.name}: not begun, it needs one of the above"
                waiting.remove(unit)
            if limit and not any(_admitted(waiting, root, limit)):
                break
        bar.show([])
    if failed:
        lines = "\n  ".join(failed.values())
        raise UnitsFailed(
            f"{len(failed)} of {len(plan)} units failed; run again to go on:\n  {lines}"
        )


def _unfinished(plan: Sequence[Unit], root: Path) -> list[Unit]:
    """Units that are to be trained, needs first; of those that they need, the weights are read."""
    found, needed = [], set()
    for unit in reversed(plan):
        if not sound(unit, root, *([WEIGHTS] if unit.key in needed else [])):
            found.append(unit)
            needed |= {need.key for need in unit.needs.values()}
    return found[::-1]


def _share_out(
    waiting: list[Unit],
    failed: dict[str, str],
    work: Callable[[Run], None],
    root: Path,
    n_jobs: int,
    device: str,
    bar: _Bar,
    limit: Limit | None,
) -> list[Unit]:
    """Take ready units off ``waiting`` and do them in a pool, errors into ``failed``.

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
                for unit in itertools.islice(_admitted(waiting, root, limit), free):
                    waiting.remove(unit)
                    place = min(_devices(device), key=[*places.values()].count)
                    future = pool.submit(attempt, unit, work, root, place, deadline)
                    running[future], places[future] = unit, place
                if not running:
                    return []
                finished, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in finished:
                    error = future.result()
                    unit = running.pop(future)
                    del places[future]
                    if error and error.startswith("OutOfMemoryError") and running:
                        n_jobs = len(running)
                        waiting.insert(0, unit)
                    elif error:
                        failed[unit.key] = f"{unit.name}: {error}"
                bar.show([*running.values()])
                if limit and time.time() >= limit.end:
                    pool.shutdown(kill_workers=True)  # what measures after its last step, say
                    return []
        except BrokenProcessPool:
            return [*running.values()]
        except KeyboardInterrupt:
            pool.shutdown(kill_workers=True)  # their units go on from their checkpoints
            raise


def _admitted(waiting: Sequence[Unit], root: Path, limit: Limit | None) -> Iterator[Unit]:
    """Units that are ready and may be begun, in their order; of a copy of ``waiting``."""
    ready = [unit for unit in waiting if _ready(unit, root)]
    if limit is None:
        yield from ready
        return
    left = []
    for unit in ready:
        if limit.admits(unit, True):
            yield unit
        else:
            left.append(unit)
    yield from (unit for unit in left if limit.admits(unit, False))


def _devices(device: str) -> list[str]:
    """All GPUs for "cuda", by number; else the device itself."""
    count = torch.cuda.device_count() if device == "cuda" else 0
    return [f"cuda:{i}" for i in range(count)] or [device]


@contextmanager
def watched(units: Iterable[Unit], root: Path) -> Iterator[None]:
    """A bar with the time left while the ``with`` block has these units done, by any process."""
    plan, over = list(units), threading.Event()

    def show() -> None:
        while not over.wait(1.0):
            bar.show([unit for unit in plan if _lively(unit, root)])

    with _Bar(plan, root) as bar:
        watch = threading.Thread(target=show, daemon=True)
        watch.start()
        try:
            yield
        finally:
            over.set()
            watch.join()
            bar.show([])


def kept(unit: Unit, root: Path, name: str, compute: Callable[[], Any], given: Any = None) -> Any:
    """What figures show of a finished unit: computed once, from then on read from its folder.

    So figures can be drawn again where neither weights nor data are, from a bundle for instance.
    It is tensors, numbers and texts in dicts, lists and tuples. ``given`` is what it was computed
    for: where that has changed, it is computed anew.
    """
    path = unit.folder(root) / "shown" / f"{name}.pt"
    with suppress(OSError, ValueError):  # absent or altered: computed anew
        before, found = shown(path.read_bytes())
        if _alike(before, given):
            return found
    found = compute()
    buffer = io.BytesIO()
    torch.save((given, found), buffer)
    write(path, files.seal(buffer.getvalue()))
    return found


def shown(content: bytes) -> tuple[Any, Any]:
    """What a file of ``shown/`` holds: what it was computed for, and what was found.

    Raises ValueError for one that is torn or altered.
    """
    body = files.unseal(content)
    try:
        found = torch.load(io.BytesIO(body), weights_only=True)
    except Exception as error:  # torch and pickle raise a dozen kinds, and advise against safety
        raise ValueError("holds no tensors, numbers and texts") from error
    if not isinstance(found, tuple) or len(found) != 2:
        raise ValueError("holds no pair")
    return found


def _alike(a: Any, b: Any) -> bool:
    """Whether two values are equal; tensors but for rounding, which differs between CPUs."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.shape == b.shape and torch.allclose(a, b, atol=1e-4)
    return type(a) is type(b) and bool(a == b)


def frame(units: Iterable[Unit], root: Path) -> Any:
    """Rows of all finished units as a DataFrame, their key and training CPU seconds beside them.

    Raises Damaged for a unit of which a file is not what was written.
    """
    import pandas as pd

    parts = []
    for unit in units:
        if (unit.folder(root) / manifests.NAME).exists():
            text = io.BytesIO(unit.read(root, ROWS))
            rows = pd.read_csv(text, keep_default_na=False, na_values={"value": ["", "nan"]})
            parts.append(
                rows.assign(unit_key=unit.key, cpu_seconds=unit.manifest(root)["cpu_seconds"])
            )
    if not parts:
        raise FileNotFoundError(f"no unit is done in {root}; run its paper's notebook first")
    return pd.concat(parts, ignore_index=True)


def history(unit: Unit, root: Path) -> Any:
    """Loss terms and evaluations of a finished unit: step, player, term, value. Raises Damaged."""
    import pandas as pd

    return pd.read_csv(io.BytesIO(unit.read(root, HISTORY)))


def by_name(units: Iterable[Unit], name: str) -> Unit:
    """The unit of that name; raises ValueError with the nearest names where there is none."""
    known = {unit.name: unit for unit in units}
    if name not in known:
        near = difflib.get_close_matches(name, known, 3) or list(known)
        raise ValueError(f"no unit {name!r} in this plan; perhaps {', '.join(near)}")
    return known[name]


def repository() -> Path:
    """The checkout that holds this package; the working directory where it is installed alone."""
    checkout = Path(__file__).resolve().parents[1]
    return checkout if (checkout / "pyproject.toml").exists() else Path.cwd()


@contextmanager
def threads(n: int) -> Iterator[None]:
    """PyTorch with n threads; a unit has one, so that units run side by side to the same bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def home() -> Path:
    """Where runs are kept: GANZIP_RUNS, or ``runs`` in the checkout."""
    return Path(os.environ.get("GANZIP_RUNS") or repository() / "runs").expanduser()


def output_folder(
    root: Path, paper: str, preset: str, data: str, scale: float, seeds: int = 0
) -> Path:
    """Where a notebook puts tables and figures, a folder a kind of run: cpu, cpu-mnist-x3-s3."""
    name = preset
    if data not in ("", "digits", "photos"):
        name += "-" + "+".join(map(set_name, data.split(",")))
    if scale != 1:
        name += f"-x{scale:.15g}"
    if seeds:
        name += f"-s{seeds}"
    return root / paper / name


def find(units: Iterable[Unit], **config: Any) -> list[Unit]:
    """Units whose configuration has all the given values."""
    return [u for u in units if all(u.config.get(k) == v for k, v in config.items())]


def code(*modules: ModuleType) -> str:
    """Hash of what modules do: their syntax without comments, layout and docstrings.

    In a unit's configuration it makes a changed method train anew, and a reworded one not.
    """
    text = "".join(_syntax(inspect.getsource(module)) for module in modules)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@lru_cache(maxsize=256)
def _syntax(source: str) -> str:
    """What a module does, as text; units of a plan ask for the same few modules."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [n for n in body if not _is_text(n)]
            node.body = kept  # pyright: ignore[reportAttributeAccessIssue]
    return ast.dump(tree)


def in_order(units: Iterable[Unit]) -> list[Unit]:
    """Units and everything that they need, each once, needs first."""
    found: dict[str, Unit] = {}

    def visit(unit: Unit) -> None:
        for need in unit.needs.values():
            visit(need)
        found.setdefault(unit.key, unit)

    for unit in units:
        visit(unit)
    return list(found.values())


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pick_device(device: str = "auto") -> str:
    """ "auto" is the GPU where there is one."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


@contextmanager
def claimed(device: str, *, again: float = 1.0) -> Iterator[str]:
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
    waited = False
    while True:
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
        if not waited:
            print(f"all {len(locks)} places on GPUs are taken by other jobs; waiting for one")
        waited = True
        time.sleep(again)


def gpu_jobs() -> int:
    """How many jobs share a GPU: GANZIP_GPU_JOBS, or 1; small networks leave most of it idle."""
    told = os.environ.get("GANZIP_GPU_JOBS") or "1"
    if not told.isdecimal() or not int(told):
        raise ValueError(f"GANZIP_GPU_JOBS is {told!r}, expected 1 or more; set it so")
    return int(told)


def _gpus() -> list[str]:
    """The GPUs that this process may use, by what they are called in all processes."""
    found = (torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count()))
    return [str(getattr(gpu, "uuid", i)) for i, gpu in enumerate(found)]


def memmap(
    path: Path,
    shape: tuple[int, ...],
    dtype: str,
    fill: Callable[[int, int], np.ndarray],
    *,
    chunk: int = 1024,
) -> np.ndarray:
    """A .npy of ``shape`` computed once, ``fill(start, stop)`` at a time, read from the disk.

    Resumable: a killed call leaves ``path``.part and the number of rows in it. Read-only. One that
    is not what was written, by its sha256 beside it, is computed again.
    """
    told = path.with_suffix(".sha256")

    def whole() -> bool:
        with suppress(OSError):
            return files.digest(path) == told.read_text()
        return False

    if not whole():
        part, count = path.with_suffix(".part"), path.with_suffix(".rows")
        with _alone(path.parent, path.stem + ".lock"):
            if not whole():
                check_space(path.parent, int(np.prod(shape)) * np.dtype(dtype).itemsize)
                start = int(count.read_text()) if part.exists() and count.exists() else 0
                mode = "r+" if start else "w+"
                rows = np.lib.format.open_memmap(part, mode, np.dtype(dtype), shape)
                for i in range(start, len(rows), chunk):
                    rows[i : i + chunk] = fill(i, min(i + chunk, len(rows)))
                    rows.flush()
                    write(count, str(min(i + chunk, len(rows))).encode())
                write(told, files.digest(part).encode())
                os.replace(part, path)
                count.unlink(missing_ok=True)
    return np.load(path, mmap_mode="r")


def save_array(path: Path, array: np.ndarray) -> None:
    """Write a .npy atomically."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    write(path, buffer.getvalue())


def save_checkpoint(path: Path, payload: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically, its sha256 in front: torch alone may not see a torn one."""
    buffer = io.BytesIO()
    torch.save(dict(payload), buffer)
    write(path, files.seal(buffer.getvalue()))


def load_checkpoint(path: Path, unit_key: str, device: torch.device) -> dict[str, Any]:
    """Read a checkpoint of the unit; raises CheckpointError where it is torn or another unit's."""
    try:
        body = files.unseal(path.read_bytes())
    except ValueError as error:
        raise CheckpointError(f"{path.name} is torn or not a checkpoint: {error}") from error
    payload = torch.load(io.BytesIO(body), map_location=device, weights_only=True)
    if payload["unit"] != unit_key:
        raise CheckpointError(f"{path.name} belongs to unit {payload['unit']}, expected {unit_key}")
    return payload


def snapshots(unit: Unit, root: Path) -> dict[str, Tensor]:
    """Samples that a finished unit kept over training, by phase and step: uint8 (N, C, H, W)."""
    named = [name for name in unit.manifest(root)["files"] if name.startswith("samples/")]
    held = {name: np.load(io.BytesIO(unit.read(root, name))) for name in sorted(named)}
    return {
        f"{Path(name).stem[:-8]}, step {int(Path(name).stem[-7:])}": torch.from_numpy(array)
        for name, array in held.items()
    }


def check_space(folder: Path, needed: int = 0, spare: int = 32 << 20) -> None:
    """Raise OSError before any work: the folder cannot be written, or its disk is nearly full."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"x")
    except OSError as error:
        raise OSError(
            f"cannot write into {folder} ({error.strerror}); free it or choose another folder "
            "with GANZIP_RUNS"
        ) from error
    if full := lack_of_space(folder, needed + spare):
        raise OSError(full)


def lack_of_space(folder: Path, needed: int = 32 << 20) -> str:
    """What is amiss where the folder's disk has fewer bytes left than are needed, or ""."""
    free = shutil.disk_usage(folder).free
    if free >= needed:
        return ""
    return (
        f"the disk of {folder} has {free >> 20} MiB left, {needed >> 20} MiB are needed; free some "
        "or choose another folder with GANZIP_RUNS"
    )


def surroundings(device: torch.device | str = "cpu") -> dict[str, str]:
    """Versions and device, for manifests."""
    cuda = torch.device(device).type == "cuda"
    return {
        "device": torch.cuda.get_device_name() if cuda else f"cpu, {platform.machine()}",
        "processor": _processor(),
        "python": platform.python_version(),
        **{package: version(package) for package in ("ganzip", "torch", "numpy")},
    }


def _processor() -> str:
    """What the processor calls itself, as far as the system tells, and the cores we may use."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    told = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{told[0] if told else platform.processor() or platform.machine()}, {cores()} cores"


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


class _Clock:
    """CPU and wall seconds since it was made."""

    def __init__(self):
        self._cpu, self._wall = time.process_time(), time.monotonic()

    def cpu(self) -> float:
        return time.process_time() - self._cpu

    def wall(self) -> float:
        return time.monotonic() - self._wall


class _Bar:
    """One bar over the cost of all units, read from their folders."""

    def __init__(self, plan: Sequence[Unit], root: Path):
        self.plan, self.root = plan, root
        ready = sum(unit.cost for unit in plan if unit.done(root))
        self.bar = tqdm(
            total=sum(unit.cost for unit in plan),
            initial=ready,
            file=sys.stdout,
            mininterval=1,
            smoothing=0,
            bar_format="{percentage:3.0f}%|{bar:20}| {elapsed}<{remaining} {postfix}",
        )

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def show(self, running: Sequence[Unit]) -> None:
        shares = {unit.key: share(unit, self.root) for unit in running}
        done = [unit for unit in self.plan if unit.done(self.root)]
        at = sum(u.cost for u in done) + sum(
            u.cost * shares[u.key] for u in running if u not in done
        )
        doing = ", ".join(f"{unit.name} {shares[unit.key]:.0%}" for unit in running)
        self.bar.set_postfix_str(f"{len(done)}/{len(self.plan)} units {doing:.70}", refresh=False)
        self.bar.update(max(0.0, at - self.bar.n))
        if not running:
            self.bar.refresh()


def attempt(
    unit: Unit,
    work: Callable[[Run], None],
    root: Path,
    device: str,
    deadline: float = math.inf,
) -> str | None:
    """One unit, in a worker process for one: its error in one line; None, also if time was up."""
    try:
        perform(unit, work, root, device=device, deadline=deadline)
    except TimeUp:
        return None
    except Exception as error:
        return (
            f"{type(error).__name__}: {error} (whole traceback: {unit.folder(root) / 'error.txt'})"
        )
    return None


def _ready(unit: Unit, root: Path) -> bool:
    return all(need.done(root) for need in unit.needs.values())


def _needs_any(unit: Unit, keys: Mapping[str, str]) -> bool:
    return any(need.key in keys or _needs_any(need, keys) for need in unit.needs.values())


def _lively(unit: Unit, root: Path) -> bool:
    """Whether a unit told its progress within the last half minute."""
    try:
        return time.time() - (unit.folder(root) / "progress").stat().st_mtime < 30
    except OSError:
        return False


def share(unit: Unit, root: Path) -> float:
    """How much of a unit's steps is done, 0 to 1, as it last told."""
    try:
        return float((unit.folder(root) / "progress").read_text())
    except (OSError, ValueError):
        return 0.0


@contextmanager
def _alone(folder: Path, name: str = "lock") -> Iterator[None]:
    """Hold the folder's lock; say so where another process has it, and wait."""
    lock = FileLock(folder / name)
    try:
        lock.acquire(timeout=0.1)
    except Timeout:
        print(f"{folder.name}: another process is at it; waiting for it to finish")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _checkpoints(folder: Path, phase: str) -> list[Path]:
    """Newest first."""
    # Digits, for the name of one phase may begin that of another.
    return sorted(folder.glob(f"checkpoint-{phase}-[0-9]*.pt"), reverse=True)


def _under(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}


def _finite(state: Any) -> bool:
    """Whether a state has no NaN, and infinity at most as a number that stands alone.

    Such a one is a score to begin with, which the first evaluation replaces.
    """
    if isinstance(state, Mapping):
        return all(map(_finite, state.values()))
    if isinstance(state, list | tuple):
        return all(map(_finite, state))
    if isinstance(state, Tensor) and state.is_floating_point():
        return bool(state.isfinite().all() if state.ndim else not state.isnan())
    return not (isinstance(state, float) and math.isnan(state))


def _bytes(networks: Iterable[nn.Module]) -> int:
    return sum(t.numel() * t.element_size() for net in networks for t in net.state_dict().values())


def _to_uint8(images: Tensor) -> np.ndarray:
    return ((images.cpu() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()


def _csv(columns: Sequence[str], lines: Iterable[Sequence[Any]]) -> bytes:
    buffer = io.StringIO()
    out = csv.writer(buffer, lineterminator="\n")
    out.writerow(columns)
    out.writerows(lines)
    return buffer.getvalue().encode()
