"""As many results as some minutes yield: what comes first, what is begun, what a bundle holds.

Nothing is lost where the minutes end: units stop with a checkpoint, and the next call goes on.
"""

from __future__ import annotations

import math
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganzip.units.pool import Limit, UnitsFailed, perform_all
from ganzip.units.run import Run, attempt
from ganzip.units.unit import Demand, Unit, find_units, in_order, read_progress, read_state

MIN_MINUTES = 0.5  # minutes
BUNDLE_BYTES = 16 << 20  # bytes of a bundle, at most
PACE_STEPS = 3  # steps by which the pace of a unit at work is told


def order_by_worth(units: Iterable[Unit]) -> list[Unit]:
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
        larger = step_demand(unit, demand) / self.multiply_adds if self.multiply_adds else 1.0
        return left * unit.config["steps"] * self.step * max(1.0, larger) + self.other


def step_demand(unit: Unit, demand: Demand) -> float:
    """Multiply-adds of one step."""
    return demand.multiply_adds / max(1, unit.config["steps"])


class Rates:
    """What units take, told from those that are done and from the steps of those at work."""

    def __init__(self, units: Sequence[Unit], root: Path, demand: Callable[[Unit], Demand]):
        self.units, self.root = units, root
        self.demands = {unit.key: demand(unit) for unit in units}
        self.done: dict[str, Pace] = {}
        self.first: dict[str, tuple[float, float]] = {}  # time and share when first seen at work
        self.at_work: dict[str, Pace] = {}

    def update(self) -> None:
        """Take in what has been done since."""
        for unit in self.units:
            if unit.key in self.done:
                continue
            steps, each = unit.config["steps"], step_demand(unit, self.demands[unit.key])
            if unit.done(self.root):
                manifest = unit.manifest(self.root)
                step = manifest["wall_seconds"] / max(1, steps)
                self.done[unit.key] = Pace(step, each, manifest.get("other_seconds", 0.0))
                self.at_work.pop(unit.key, None)
                continue
            with suppress(OSError):
                now = (unit.folder(self.root) / "progress").stat().st_mtime
                share = read_progress(unit, self.root)
                start, first = self.first.setdefault(unit.key, (now, share))
                if (share - first) * steps >= PACE_STEPS and now > start:
                    step = (now - start) / ((share - first) * steps)
                    self.at_work[unit.key] = Pace(step, each)

    def seconds_left(self, unit: Unit) -> float | None:
        """Seconds that the rest of a unit takes, or None where nothing of its network is known.

        By the unit itself, else by those of its kind (paper, network, method), else of its network;
        of several by the one whose steps are nearest to it in multiply-adds.
        """
        demand, left = self.demands[unit.key], 1 - read_progress(unit, self.root)
        paces: dict[int, list[Pace]] = {}
        for other in self.units:
            pace = self.done.get(other.key) or self.at_work.get(other.key)
            likeness = _likeness(unit, other)
            if pace is not None and likeness and (likeness > 1 or pace.multiply_adds):
                paces.setdefault(likeness, []).append(pace)
        if not paces:
            return None

        def distance(pace: Pace) -> float:
            each = max(1.0, step_demand(unit, demand))
            return abs(math.log(each / max(1.0, pace.multiply_adds)))

        nearest = min(paces[max(paces)], key=distance)
        seconds = nearest.of(unit, demand, left)
        others = [pace.other for pace in self.done.values()]
        return seconds if nearest.other or not others else seconds + sum(others) / len(others)


def _likeness(a: Unit, b: Unit) -> int:
    """3 of the same unit, 2 of one paper, network and method, 1 of one paper and network."""
    names = ("network", "method")
    same = [a.paper == b.paper, *(a.config.get(n, "") == b.config.get(n, "") for n in names)]
    return 3 if a.key == b.key else 2 if all(same) else int(all(same[:2]))


@dataclass(frozen=True)
class Schedule:
    """A call's time, as ``time.time()`` tells it: units stop, are killed, and all is over."""

    begin: float
    stop: float
    kill: float
    end: float

    @staticmethod
    def of(minutes: float) -> Schedule:
        """The last tenth, 6 to 30 seconds, is for checkpoints, pictures and the bundle."""
        if not minutes >= MIN_MINUTES or math.isinf(minutes):
            raise ValueError(f"minutes is {minutes:g}, expected {MIN_MINUTES} or more; take more")
        begin = time.time()
        end = begin + 60 * minutes
        spare = min(30.0, max(6.0, 6 * minutes))
        return Schedule(begin, end - spare, end - spare / 2, end)

    @property
    def left(self) -> float:
        """Seconds until units stop."""
        return self.stop - time.time()


def limit(schedule: Schedule, rates: Rates) -> Limit:
    """Which units may be begun: those that can end in time, and while none is known, all.

    Places that these leave are for units under way, and in the first half for those that no call
    of so many minutes can end: they go on in the next.
    """

    def admits(unit: Unit, ends: bool) -> bool:
        left, whole = schedule.left, schedule.stop - schedule.begin
        if left <= whole / 20:
            return False
        rates.update()
        seconds = rates.seconds_left(unit)
        if ends:
            return seconds is None or seconds <= left
        under_way = any(unit.folder(rates.root).glob("checkpoint-*.pt"))
        return under_way or (seconds is not None and seconds > whole and left > whole / 2)

    return Limit(schedule.stop, schedule.kill, admits)


def spend(
    schedule: Schedule,
    units: Sequence[Unit],
    work: Callable[[Run], None],
    root: Path,
    demand: Callable[[Unit], Demand],
    *,
    n_jobs: int,
    device: str,
) -> str:
    """Do what the schedule allows of units, in their order; returns what failed, in lines.

    On a GPU what is timed has it to itself, before anything else.
    """
    if device.startswith("cuda"):
        for unit in find_units(units, method="speed"):
            if not unit.done(root) and not unit.needs:
                attempt(unit, work, root, device, schedule.stop)
    rates = Rates(units, root, demand)
    rates.update()
    try:
        perform_all(units, work, root, n_jobs=n_jobs, device=device, limit=limit(schedule, rates))
    except UnitsFailed as error:
        return str(error)
    return ""


def draw(pictures: Iterable[Callable[[], object]], until: float) -> list[str]:
    """Compute and keep what figures show while there is time; returns a line for each that failed.

    Pictures of later calls are drawn then.
    """
    errors = []
    for picture in pictures:
        if time.time() >= until:
            break
        try:
            picture()
        except Exception as error:  # a picture is no reason to lose the rows
            errors.append(f"not shown: {type(error).__name__}: {error}")
    return errors


def find_overflow(units: Sequence[Unit], root: Path) -> list[Path]:
    """What figures show of the finished units, the last first, that a bundle has no room for.

    units: in the order of their worth. Rows, histories and manifests always come along.
    """
    done = [unit for unit in units if unit.done(root)]
    room = BUNDLE_BYTES - 65536  # for the names, and what is known of the data
    for unit in done:
        room -= sum(_zip_size(unit.folder(root) / name) for name in ROW_FILES)
    overflow = []
    for unit in done:
        for path in sorted((unit.folder(root) / "shown").glob("*.pt")):
            size = _zip_size(path)
            if overflow or size > room:
                overflow.append(path)
            else:
                room -= size
    return overflow


ROW_FILES = ("manifest.json", "rows.csv", "history.csv")


def _zip_size(path: Path) -> int:
    """Bytes of a file in a zip, its entries and its hash included; 0 for one that is not there."""
    with suppress(OSError):
        return len(zlib.compress(path.read_bytes())) + 600
    return 0


def summarize(units: Sequence[Unit], root: Path, errors: str) -> str:
    """What a call has done and left, in lines."""
    counts = Counter(read_state(unit, root).name for unit in units)
    line = ", ".join(f"{n} {name}" for name, n in counts.items())
    more = "" if counts["done"] == len(units) else "; the same call again goes on from here"
    return "\n".join([f"{len(units)} units: {line}{more}", *([errors] if errors else [])])
