"""One training run and what it needs, from the command line, in one process or in several.

    python -m ganzip.papers nickel_dime nickel-dime-p90-seed0 --preset cpu --data digits
    python -m ganzip.papers nickel_dime teacher-seed0 --preset paper --processes 8

Without a unit it lists those of the plan. It ends with 2, and one line, where something is amiss.
``torchrun -m ganzip.papers`` does for ``--processes`` too, over several machines for instance.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext

from ganzip import files, parallel, parameters, processes
from ganzip.units import (
    CheckpointError,
    Diverged,
    UnitsFailed,
    check_sharing,
    find_unit,
    in_order,
    perform,
    pick_device,
    progress_bar,
)
from ganzip.units.plan import Request, together, work


def parse(arguments: Sequence[str] | None = None) -> parameters.Command:
    """The command line's arguments."""
    parser = parameters.Parser("ganzip.papers", description="Do one unit and what it needs.")
    parser.add_argument("paper", choices=parameters.BATCHED)
    parser.add_argument("unit", nargs="?", help="its name; without it, the plan's are listed")
    parser.options(parameters.Command)
    return parameters.Command(**parser.check(parameters.Command, parser.parse_args(arguments)))


def main(given: parameters.Command) -> None:
    """Do what was asked for. Raises ValueError, OSError, Diverged, UnitsFailed."""
    request = Request(given.preset, given.data, given.scale, (given.paper,), given.seeds)
    units, root = request.units(), files.runs_folder()
    if given.unit is None:
        print("\n".join(unit.name for unit in units))
        return
    unit = find_unit(units, given.unit)
    among = int(os.environ.get("WORLD_SIZE") or given.processes)
    if among > 1 and "LOCAL_RANK" not in os.environ:
        together(unit, request, among, given.device)
        return
    check_sharing(unit, root, among)
    with parallel.processes(pick_device(given.device)) as device:
        bar = progress_bar(in_order([unit]), root) if parallel.first() else nullcontext()
        with bar:
            folder = perform(unit, work, root, device=device)
        if parallel.first():
            print(folder)


if __name__ == "__main__":
    with processes.program("ganzip.papers"):
        parallel.end_together()
        try:
            main(parse())
        except (ValueError, OSError, Diverged, CheckpointError, UnitsFailed) as error:
            parallel.tell(f"ganzip.papers: {error}")
            sys.exit(2)
