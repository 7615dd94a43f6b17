"""The training run of a unit: checkpoints, loss history, rows, and the manifest that ends it.

A unit without a manifest goes on from its last good checkpoint; on a CPU it ends in the bits of a
run that was never interrupted. Under ``torchrun`` several processes share a unit
(``ganzip.parallel``), and the first alone writes.
"""

import csv
import io
import math
import platform
import shutil
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import torch
from joblib import cpu_count
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from ganzip import __version__, data, files, parallel
from ganzip import device as devices
from ganzip.files import check_space, lock_folder, save_array, write
from ganzip.train import Batch, Player, Terms, step_seed, train
from ganzip.units import manifests
from ganzip.units.manifests import HISTORY, ROWS, WEIGHTS
from ganzip.units.unit import ABSENT, Unit, in_order, receive_kept, save_sealed, verify_unit

Net = TypeVar("Net", bound=nn.Module)
CHECKPOINT_SECONDS = 20.0
SNAPSHOTS = 8  # how often the samples of a run are kept
LOG_POINTS = 200  # points of a loss curve


class CheckpointError(RuntimeError):
    """A checkpoint that is torn, or belongs to another unit."""


class Diverged(RuntimeError):
    """A loss term or a weight became NaN or infinite."""


class TimeUp(Exception):
    """A unit stopped with a checkpoint, for its time was up; it goes on from there."""


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
    report_time: float = -math.inf  # when the progress was last written
    deadline: float = math.inf  # when to stop with a checkpoint, as time.time() tells it
    start_time: float = field(default_factory=time.monotonic)
    train_seconds: float = 0.0  # of this process

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

    def weights_of(self, role: str) -> dict[str, Tensor]:
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
        start_time = time.monotonic()
        parts: dict[str, Any] = dict(networks) | {
            f"{p.name} optimiser": p.optimiser for p in players
        }
        start = self._resume(phase, parts)
        if start != (first_start := parallel.from_first(lambda: start)):
            raise CheckpointError(
                f"process {parallel.rank()} found {self.unit.name} at step {start} and the first "
                f"one at {first_start}; all need one folder of runs: set GANZIP_RUNS"
            )
        parallel.share(networks.values())
        # Two checkpoints and a third being written, each of weights and two moments per weight.
        check_space(self.folder, 9 * _bytes(networks.values()))
        clock, spacing = (time.process_time(), time.monotonic()), self.checkpoint_seconds
        log_interval, sample_interval = max(1, steps // LOG_POINTS), max(1, steps // SNAPSHOTS)

        def after(step: int, terms: Terms) -> None:
            with devices.computing(self.device):  # what measures does so in single precision
                record(step, terms)

        def record(step: int, terms: Terms) -> None:
            nonlocal clock, spacing
            parallel.average_buffers(networks.values())
            if step % log_interval == 0 or step == steps:
                self._log(step, terms, phase)
            if validate is not None and (step == steps or (epoch and step % epoch == 0)):
                at, scores = self.steps_done + step, parallel.from_first(validate)
                self.history += [(at, "validation", *score) for score in scores.items()]
                parallel.share(networks.values())
            if not parallel.first():
                return
            if samples is not None and (step % sample_interval == 0 or step == steps):
                path = self.folder / "samples" / f"{phase}-{step:07d}.npy"
                save_array(path, data.to_uint8(samples()).cpu().numpy())
            late = step < steps and time.time() >= self.deadline
            now = time.process_time(), time.monotonic()
            if step == steps or late or now[1] - clock[1] >= spacing:
                self.cpu_seconds += now[0] - clock[0]
                self.wall_seconds += now[1] - clock[1]
                clock = now
                self._checkpoint(phase, step, parts, terms)
                # Of a large network it takes seconds: no more than a twentieth of the time.
                spacing = self.checkpoint_seconds * max(1.0, time.monotonic() - now[1])
            self._progress(step, step == steps or late)
            if late:
                raise TimeUp(f"{self.unit.name}: step {step} of {steps} of {phase}")

        # A phase after the first draws from a stream of its own.
        first, seed = not self.steps_done, self.config["seed"]
        stream = seed if first else step_seed(seed, -1 - self.steps_done)
        with devices.computing(self.device, self.precision):
            train(players, batches, steps, seed=stream, start=start, after=after)
        self.steps_done += steps
        self.train_seconds += time.monotonic() - start_time

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
        paths = [self.folder / name for name in (ROWS, HISTORY, WEIGHTS)]
        paths += sorted((self.folder / "samples").glob("*.npy"))
        manifest = {
            "unit": self.unit.name,
            "key": self.unit.key,
            "config": dict(self.config),
            "needs": {role: unit.key for role, unit in self.unit.needs.items()},
            "weights_sha256": files.sha256(weights),
            "cpu_seconds": round(self.cpu_seconds, 2),
            "wall_seconds": round(self.wall_seconds, 2),
            "other_seconds": round(time.monotonic() - self.start_time - self.train_seconds, 2),
            "processes": parallel.size(),
            "computing": devices.facts(self.device, self.precision),
            **surroundings(self.device),
            "files": {
                path.relative_to(self.folder).as_posix(): {
                    "size": path.stat().st_size,
                    "sha256": files.digest(path),
                }
                for path in paths
            },
        }
        # Pictures of other weights, if any, are none of these.
        shutil.rmtree(self.folder / "shown", ignore_errors=True)
        write(self.folder / manifests.NAME, manifests.to_bytes(manifest))
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
        checkpoints = _checkpoints(self.folder, phase)
        start = int(checkpoints[0].stem[-9:]) if checkpoints else 0
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
        save_sealed(self.folder / f"checkpoint-{phase}-{step:09d}.pt", payload)
        for old in _checkpoints(self.folder, phase)[2:]:
            old.unlink(missing_ok=True)

    def _resume(self, phase: str, parts: Mapping[str, Any]) -> int:
        for path in _checkpoints(self.folder, phase):
            try:
                payload = load_checkpoint(path, self.unit.key, self.device)
            except CheckpointError as error:
                print(f"{error}; going on from the one before it")
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
        if last or now - self.report_time >= 1:
            self.report_time = now
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
        return parallel.from_first(lambda: verify_unit(unit, root))

    if parallel.first():
        receive_kept(unit, root)
    if done():
        return folder
    if unit.config.get("fingerprint") == ABSENT:
        raise ValueError(
            f"{unit.paper} {unit.name} was planned without its data, to be counted and not to be "
            "trained; name data that are here, and plan again"
        )
    error = folder / f"error{parallel.rank() or ''}.txt"
    if unit.shared:
        parallel.check(unit.config["batch"], unit.config.get("group", 0))
    with _keep_traceback(error):
        check_space(folder)
    for need in unit.needs.values():
        if parallel.first():
            verify_unit(need, root, WEIGHTS)
        perform(
            need,
            work,
            root,
            device=device,
            checkpoint_seconds=checkpoint_seconds,
            deadline=deadline,
        )
    with lock_folder(folder) if parallel.first() else nullcontext():
        if not parallel.from_first(lambda: unit.done(root)) and (unit.shared or parallel.first()):
            run = Run(unit, Path(root), torch.device(device), checkpoint_seconds, deadline=deadline)
            error.unlink(missing_ok=True)
            with (
                _keep_traceback(error),
                devices.place(run.device),
                devices.cpu_threads(1),
                devices.computing(run.device),
                nullcontext() if unit.shared else parallel.alone(),
            ):
                work(run)
            error.unlink(missing_ok=True)
    done()  # the others wait for the first
    return folder


def attempt(
    unit: Unit,
    work: Callable[[Run], None],
    root: Path,
    device: str,
    deadline: float = math.inf,
) -> str | None:
    """One unit: its error in one line; None, also if time was up."""
    try:
        perform(unit, work, root, device=device, deadline=deadline)
    except TimeUp:
        return None
    except Exception as error:
        return (
            f"{type(error).__name__}: {error} (whole traceback: {unit.folder(root) / 'error.txt'})"
        )
    finally:
        if device.startswith("cuda"):
            devices.release_memory()
    return None


@contextmanager
def _keep_traceback(path: Path) -> Iterator[None]:
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


def load_network(net: nn.Module, weights: Mapping[str, Tensor], name: str) -> nn.Module:
    """The network with the tensors that a unit saved under ``name``."""
    prefix = f"{name}."
    net.load_state_dict(
        {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    )
    return net


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


def _checkpoints(folder: Path, phase: str) -> list[Path]:
    """Newest first."""
    # Digits, for the name of one phase may begin that of another.
    return sorted(folder.glob(f"checkpoint-{phase}-[0-9]*.pt"), reverse=True)


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


def _csv(columns: Sequence[str], lines: Iterable[Sequence[Any]]) -> bytes:
    buffer = io.StringIO()
    out = csv.writer(buffer, lineterminator="\n")
    out.writerow(columns)
    out.writerows(lines)
    return buffer.getvalue().encode()


def surroundings(device: torch.device | str = "cpu") -> dict[str, str]:
    """Versions and device, for manifests."""
    cuda = torch.device(device).type == "cuda"
    return {
        "device": torch.cuda.get_device_name() if cuda else f"cpu, {platform.machine()}",
        "processor": _processor(),
        "python": platform.python_version(),
        "ganzip": __version__,  # a checkout that is not installed has no other
        **{package: version(package) for package in ("torch", "numpy")},
    }


def _processor() -> str:
    """What the processor calls itself, as far as the system tells, and the cores we may use."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {cpu_count()} cores"
