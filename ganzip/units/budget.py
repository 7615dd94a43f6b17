"""As many results as some minutes yield: what comes first, what is begun, what a bundle holds.

Nothing is lost where the minutes end: units stop with a checkpoint, and the next call goes on.
"""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganzip.units.pool import Limit, UnitsFailed, perform_all
from ganzip.units.run import Run, attempt
from ganzip.units.unit import Demand, Unit, find_units, in_order, read_progress, read_state

LEAST = 0.5  # minutes
BUNDLE = 16 << 20  # bytes of a bundle, at most
SECURE = 3  # steps by which the pace of a unit at work is told


def by_worth(units: Iterable[Unit]) -> list[Unit]:
    """Units in the order in which they are worth most, those that they need always before them.

    What others need first, then one seed of every row, then the next; what only a later seed needs
    comes with it. The papers take turns.
    """
    units = in_order(units)
    needed = {need.key for unit in units for need in unit.needs.values()}
    turns: dict[Any, int] = {}

    def rank(unit: Unit) -> tuple[int, bool, int]:
        place = unit.config["seed"], unit.key not in needed
        turn = turns[unit.paper, place] = turns.get((unit.paper, place), 0) + 1
        return (*place, turn)

    return in_order(sorted(units, key=rank))


@dataclass(frozen=True)
class Pace:
    """What a step took: seconds, multiply-adds; and seconds of a unit beside its steps."""

    step: float
    multiply_adds: float
    other: float = 0.0

    def of(self, unit: Unit, demand: Demand, left: float) -> float:
        """Seconds of a unit of this pace with a share of its steps left.

        A step with more multiply-adds takes longer by as much, one with fewer not shorter: of a
        small network most of a step is spent on starting it.
        """
        steps = unit.config["steps"]
        its = demand.multiply_adds / max(1, steps)
        larger = max(1.0, its / self.multiply_adds) if self.multiply_adds else 1.0
        return left * steps * self.step * larger + self.other


class Rates:
    """What units take, foretold from those that are done and from the steps of those at work."""

    def __init__(self, units: Sequence[Unit], root: Path, demand: Callable[[Unit], Demand]):
        self.units, self.root = units, root
        self.demands = {unit.key: demand(unit) for unit in units}
        self.done: dict[str, Pace] = {}
        self.begun: dict[str, tuple[float, float]] = {}  # time and share of a unit's first step
        self.at_work: dict[str, Pace] = {}

    def look(self) -> None:
        """Take in what has been done since."""
        for unit in self.units:
            if unit.key in self.done:
                continue
            steps, its = unit.config["steps"], self.demands[unit.key].multiply_adds
            each = its / max(1, steps)
            if unit.done(self.root):
                told = unit.manifest(self.root)
                step = told["wall_seconds"] / max(1, steps)
                self.done[unit.key] = Pace(step, each, told.get("other_seconds", 0.0))
                self.at_work.pop(unit.key, None)
                continue
            with suppress(OSError):
                at = (unit.folder(self.root) / "progress").stat().st_mtime
                share = read_progress(unit, self.root)
                since, first = self.begun.setdefault(unit.key, (at, share))
                if (share - first) * steps >= SECURE and at > since:
                    step = (at - since) / ((share - first) * steps)
                    self.at_work[unit.key] = Pace(step, each)

    def foretold(self, unit: Unit) -> float | None:
        """Seconds that the rest of a unit takes, or None where nothing of its network is known.

        By the unit itself, else by those of its kind (paper, network, method), else of its network;
        of several by the one whose steps are nearest to it in multiply-adds.
        """
        demand, left = self.demands[unit.key], 1 - read_progress(unit, self.root)
        kind = _kind(unit)
        paces: dict[int, list[Pace]] = {}
        for other in self.units:
            pace = self.done.get(other.key) or self.at_work.get(other.key)
            shared = 3 if other.key == unit.key else _common(kind, _kind(other))
            if pace is not None and shared and (shared > 1 or pace.multiply_adds):
                paces.setdefault(shared, []).append(pace)
        if not paces:
            return None
        nearest = min(paces[max(paces)], key=lambda pace: _apart(pace, unit, demand))
        others = [pace.other for pace in self.done.values()]
        mean = sum(others) / len(others) if others else 0.0
        return nearest.of(unit, demand, left) + (0.0 if nearest.other else mean)


def _kind(unit: Unit) -> tuple[str, str, str]:
    c = unit.config
    return unit.paper, c.get("network", ""), c.get("method", "")


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    """How near two kinds are: 2 the same, 1 the same network, 0 neither."""
    return 2 if a == b else int(a[:2] == b[:2])


def _apart(pace: Pace, unit: Unit, demand: Demand) -> float:
    its = demand.multiply_adds / max(1, unit.config["steps"])
    return abs(math.log(max(1.0, its) / max(1.0, pace.multiply_adds)))


@dataclass(frozen=True)
class Minutes:
    """A call's time, as ``time.time()`` tells it: units stop, are killed, and all is over."""

    begin: float
    stop: float
    kill: float
    end: float

    @staticmethod
    def of(minutes: float, begin: float | None = None) -> Minutes:
        """The last tenth, 6 to 30 seconds, is for checkpoints, pictures and the bundle."""
        if not minutes >= LEAST or math.isinf(minutes):
            raise ValueError(f"minutes is {minutes:g}, expected {LEAST} or more; take more")
        begin = time.time() if begin is None else begin
        end = begin + 60 * minutes
        spare = min(30.0, max(6.0, 6 * minutes))
        return Minutes(begin, end - spare, end - spare / 2, end)

    @property
    def left(self) -> float:
        """Seconds until units stop."""
        return self.stop - time.time()


def limit(minutes: Minutes, rates: Rates) -> Limit:
    """Which units may be begun: those that can end in time, and while none is known, all.

    Places that these leave are for units under way, and in the first half for those that no call
    of so many minutes can end: they go on in the next.
    """

    def admits(unit: Unit, ends: bool) -> bool:
        left, whole = minutes.left, minutes.stop - minutes.begin
        if left <= whole / 20:
            return False
        rates.look()
        takes = rates.foretold(unit)
        if ends:
            return takes is None or takes <= left
        under_way = any(unit.folder(rates.root).glob("checkpoint-*.pt"))
        return under_way or (takes is not None and takes > whole and left > whole / 2)

    return Limit(minutes.stop, minutes.kill, admits)


def spend(
    minutes: Minutes,
    units: Sequence[Unit],
    work: Callable[[Run], None],
    root: Path,
    demand: Callable[[Unit], Demand],
    *,
    n_jobs: int,
    device: str,
) -> str:
    """Do what the minutes allow of units, in their order; returns what failed, in lines.

    On a GPU what is timed has it to itself, before anything else.
    """
    if device.startswith("cuda"):
        for unit in find_units(units, method="speed"):
            if not unit.done(root) and not unit.needs:
                attempt(unit, work, root, device, minutes.stop)
    rates = Rates(units, root, demand)
    rates.look()
    try:
        perform_all(units, work, root, n_jobs=n_jobs, device=device, limit=limit(minutes, rates))
    except UnitsFailed as error:
        return str(error)
    return ""


def show(pictures: Iterable[Callable[[], object]], until: float) -> list[str]:
    """Compute and keep what figures show while there is time; returns a line for each that failed.

    Pictures of later calls are drawn then.
    """
    failed = []
    for picture in pictures:
        if time.time() >= until:
            break
        try:
            picture()
        except Exception as error:  # a picture is no reason to lose the rows
            failed.append(f"not shown: {type(error).__name__}: {error}")
    return failed


def left_out(units: Sequence[Unit], root: Path, most: int = BUNDLE) -> list[Path]:
    """Shown tensors of the finished units, the last first, that a bundle has no room for.

    units: in the order of their worth. Rows, histories and manifests always come along.
    """
    done = [unit for unit in units if unit.done(root)]
    room = most - 65536  # for the names, and what is known of the data
    for unit in done:
        room -= sum(_packed(unit.folder(root) / name) for name in KEPT)
    out = []
    for unit in done:
        for path in sorted((unit.folder(root) / "shown").glob("*.pt")):
            size = _packed(path)
            if out or size > room:
                out.append(path)
            else:
                room -= size
    return out


KEPT = ("manifest.json", "rows.csv", "history.csv")


def _packed(path: Path) -> int:
    """Bytes of a file in a zip, its entries and its hash included; 0 for one that is not there."""
    with suppress(OSError):
        return len(zlib.compress(path.read_bytes())) + 600
    return 0


def told(units: Sequence[Unit], root: Path, failed: str) -> str:
    """What a call has done and left, in lines."""
    states = [read_state(unit, root).name for unit in units]
    count: Mapping[str, int] = {name: states.count(name) for name in dict.fromkeys(states)}
    line = ", ".join(f"{n} {name}" for name, n in count.items())
    more = "" if count.get("done") == len(units) else "; the same call again goes on from here"
    return "\n".join([f"{len(units)} units: {line}{more}", *([failed] if failed else [])])
