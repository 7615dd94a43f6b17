"""One training run and what it needs, from the command line, in one process or in several.

    python -m ganzip.papers nickel_dime nickel-dime-p90-seed0 --preset cpu --data digits
    torchrun --nproc-per-node 8 -m ganzip.papers nickel_dime teacher-seed0 --preset paper

Without a unit it lists those of the plan. It ends with 2, and one line, where something is amiss.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from importlib import import_module

from ganzip import parallel, parameters, runs

PAPERS = {"dcgan_kd": "digits", "sdakd": "photos", "nickel_dime": "digits"}


def parse(arguments: Sequence[str] | None = None) -> parameters.Command:
    """The command line's arguments."""
    parser = parameters.Parser("ganzip.papers", description="Do one unit and what it needs.")
    parser.add_argument("paper", choices=PAPERS)
    parser.add_argument("unit", nargs="?", help="its name; without it, the plan's are listed")
    parser.options(parameters.Command)
    return parameters.Command(**parser.check(parameters.Command, parser.parse_args(arguments)))


def main(given: parameters.Command) -> None:
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
