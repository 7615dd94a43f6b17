"""The same unit has the same bits, whoever trains it and after what: every kind of unit four ways.

    python -m tests.same_bits [part of a name ...]

Each kind of unit of the five plans, at preset smoke, is trained in a fresh process without caches;
after all others in one process; again there, with all caches in memory and on the disk; and stopped
in the middle of each of its phases and resumed. Prints what differs, and exits with how many.
"""

import csv
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

from ganzip.units import Unit, in_order, perform
from tests.plans import Stopped, clear_caches, kinds, stopping

TIMES = ("latency", "time", "speed-up")


def bits(unit: Unit, root: Path) -> str:
    """Hash of a finished unit's weights and rows, but for what a clock told."""
    folder = unit.folder(root)
    with (folder / "rows.csv").open() as file:
        rows = [row for row in csv.reader(file) if not set(row).intersection(TIMES)]
    found = hashlib.sha256((folder / "weights.safetensors").read_bytes() + repr(rows).encode())
    return found.hexdigest()[:12]


def name(unit: Unit) -> str:
    """What a unit is called here: two judges of one plan differ by their keys alone."""
    return f"{unit.paper} {unit.name}-{unit.key}"


def one(number: int, root: Path) -> None:
    """Train a unit by its number, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        unit, work = kinds(patch)[number]
        perform(unit, work, root)


def main(wanted: list[str]) -> int:
    """Train all four ways; returns how many units differ."""
    base = Path(tempfile.mkdtemp(prefix="same-bits-"))
    found: dict[str, dict[str, str]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANZIP_RUNS", str(base / "one"))
        units = kinds(patch)
        chosen = [i for i, (u, _) in enumerate(units) if any(w in u.name for w in wanted or [""])]
        plan = in_order([units[i][0] for i in chosen])
        number = {u.key: i for i, (u, _) in enumerate(units)}
        works = {u.key: work for u, work in units}

        def done(way: str, unit: Unit, root: Path) -> None:
            found.setdefault(name(unit), {})[way] = bits(unit, root)

        root = base / "one"
        for way in ("one process", "all caches"):
            for unit in plan:
                torch.manual_seed(len(found))  # what came before is not to matter
                perform(unit, works[unit.key], root)
                done(way, unit, root)
            for unit in plan:
                shutil.rmtree(unit.folder(root))
        root = base / "resumed"
        stopping(patch)
        for unit in plan:
            for _ in range(9):  # as many as a unit has phases
                try:
                    clear_caches()
                    perform(unit, works[unit.key], root, checkpoint_seconds=0.0)
                    break
                except Stopped:
                    torch.rand(3)
            done("resumed", unit, root)
        root = base / "fresh"
        patch.setenv("GANZIP_RUNS", str(root))
        for unit in plan:
            for cache in [root / "cache", *root.glob("*/cache")]:
                shutil.rmtree(cache, ignore_errors=True)
            command = [sys.executable, "-m", "tests.same_bits", "--one", str(number[unit.key])]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            subprocess.run([*command, str(root)], check=True, env=environment)
            done("fresh process", unit, root)
            print(name(unit), found[name(unit)], flush=True)
    differing = {which: ways for which, ways in found.items() if len(set(ways.values())) > 1}
    print(f"{len(found)} units four ways, {len(differing)} differ")
    for which, ways in differing.items():
        print(which, ways)
    shutil.rmtree(base)
    return len(differing)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(int(sys.argv[2]), Path(sys.argv[3]))
    else:
        sys.exit(main(sys.argv[1:]))
