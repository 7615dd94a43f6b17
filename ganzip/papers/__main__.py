"""One training run and what it needs, from the command line, in one process or in several.

    python -m ganzip.papers nickel_dime nickel-dime-p90-seed0 --preset cpu --data digits
    python -m ganzip.papers nickel_dime teacher-seed0 --preset paper --processes 8

Without a unit it lists those of the plan. It ends with 2, and one line, where something is amiss.
``torchrun -m ganzip.papers`` does for ``--processes`` too, over several machines for instance.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from importlib import import_module

from ganzip import files, parallel, parameters, processes
from ganzip.units import (
    CheckpointError,
    Diverged,
    check_sharing,
    find_unit,
    in_order,
    perform,
    pick_device,
    progress_bar,
)

PAPERS = {"dcgan_kd": "digits", "sdakd": "photos", "nickel_dime": "digits"}


def parse(arguments: Sequence[str] | None = None) -> parameters.Command:
    """The command line's arguments."""
    parser = parameters.Parser("ganzip.papers", description="Do one unit and what it needs.")
    parser.add_argument("paper", choices=PAPERS)
    parser.add_argument("unit", nargs="?", help="its name; without it, the plan's are listed")
    parser.options(parameters.Command)
    return parameters.Command(**parser.check(parameters.Command, parser.parse_args(arguments)))


def main(given: parameters.Command) -> int:
    """Do what was asked for; returns the exit status. Raises ValueError, OSError, Diverged."""
    paper, root = import_module(f"ganzip.papers.{given.paper}"), files.runs_folder()
    source = given.data or PAPERS[given.paper]
    units = paper.prepare(given.preset, source, given.scale, given.seeds)
    if given.unit is None:
        print("\n".join(unit.name for unit in units))
        return 0
    unit = find_unit(units, given.unit)
    among = int(os.environ.get("WORLD_SIZE") or given.processes)
    check_sharing(unit, root, among)
    if among > 1 and "LOCAL_RANK" not in os.environ:
        same = {
            k: v for k, v in given.model_dump().items() if k not in ("paper", "unit", "processes")
        }
        options = [f"--{name}={value}" for name, value in same.items() if value is not None]
        return parallel.launch(among, "ganzip.papers", given.paper, given.unit, *options)
    with parallel.processes(pick_device(given.device)) as device:
        bar = progress_bar(in_order([unit]), root) if parallel.first() else nullcontext()
        with bar:
            folder = perform(unit, paper.work, root, device=device)
        if parallel.first():
            print(folder)
    return 0


if __name__ == "__main__":
    with processes.program("ganzip.papers"):
        parallel.end_together()
        try:
            sys.exit(main(parse()))
        except (ValueError, OSError, Diverged, CheckpointError) as error:
            parallel.tell(f"ganzip.papers: {error}")
            sys.exit(2)
