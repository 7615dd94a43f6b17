"""One training run and what it needs, from the command line, in one process or in several.

    python -m ganzip.papers nickel_dime nickel-dime-p90-seed0 --preset cpu --data digits
    torchrun --nproc-per-node 8 -m ganzip.papers nickel_dime teacher-seed0 --preset paper

Without a unit it lists those of the plan. It ends with 2, and one line, where something is amiss.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from importlib import import_module

from ganzip import parallel, presets, runs

PAPERS = {"dcgan_kd": "digits", "sdakd": "photos", "nickel_dime": "digits"}


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Exit with 2."""
        self.exit(2, f"ganzip.papers: {message}\n")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line's arguments."""
    parser = Parser("python -m ganzip.papers", description="Do one unit and what it needs.")
    parser.add_argument("paper", choices=PAPERS)
    parser.add_argument("unit", nargs="?", help="its name; without it, the plan's are listed")
    parser.add_argument("--preset", choices=presets.NAMES, default="cpu")
    parser.add_argument("--data", help="a data set by name, or a folder or zip of images")
    parser.add_argument("--scale", type=float, default=1.0, help="times all steps and seeds")
    parser.add_argument("--seeds", type=int, default=0, help="of a row, at least")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    return parser.parse_args(arguments)


def main(given: argparse.Namespace) -> None:
    """Do what was asked for. Raises ValueError, OSError or runs.Diverged."""
    paper, root = import_module(f"ganzip.papers.{given.paper}"), runs.home()
    source = given.data or PAPERS[given.paper]
    units = paper.prepare(given.preset, source, given.scale, given.seeds)
    if given.unit is None:
        print("\n".join(unit.name for unit in units))
        return
    unit = runs.by_name(units, given.unit)
    with parallel.processes(runs.pick_device(given.device)) as device:
        bar = runs.watched(runs.in_order([unit]), root) if parallel.first() else nullcontext()
        with bar:
            folder = runs.perform(unit, paper.work, root, device=device)
        if parallel.first():
            print(folder)


if __name__ == "__main__":
    try:
        main(parse())
    except (ValueError, OSError, runs.Diverged, runs.CheckpointError) as error:
        print(f"ganzip.papers: {error}", file=sys.stderr)
        sys.exit(2)
