"""All papers' units as one plan: for a batch engine, for whoever waits, for another machine.

    python -m ganzip.batch run --jobs 4
    python -m ganzip.batch run --preset gpu --minutes 8 --jobs 8 --device cuda --to results.zip
    python -m ganzip.batch status --preset paper
    python -m ganzip.batch bundle results.zip
    python -m ganzip.batch merge results.zip

The engine is Snakemake with ``workflow/Snakefile``: one papermill job a unit of :func:`plan`. With
``--minutes`` none is needed: plain Python does what is worth most (``budget``).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ganzip import files, parameters
from ganzip import processes as lives
from ganzip.device import cores
from ganzip.units import budget
from ganzip.units.plan import Request, demand, make_plan, paper_module, work
from ganzip.units.pool import pick_device, progress_bar
from ganzip.units.status import failures, forecast, progress, status
from ganzip.units.transfer import bundle, merge, pack
from ganzip.units.unit import in_order, is_sound


def engine(given: Request, root: Path, jobs: int, more: Sequence[str] = ()) -> int:
    """Run Snakemake on this machine under one bar over all units; returns its exit status.

    ``more`` are arguments of Snakemake's. What fails is told with its last step and a remedy, and
    the rest is done all the same.
    """
    units = given.units()
    for unit in in_order(units):  # Snakemake believes every manifest
        is_sound(unit, root)
    if given.preset in ("gpu", "paper"):
        print(forecast(progress(units, root), root, jobs), flush=True)
    workflow, log = files.repository() / "workflow", root / "snakemake.log"
    root.mkdir(parents=True, exist_ok=True)
    # A file, for --config takes a folder called 007 for a number.
    files.write(root / "snakemake.json", json.dumps(settings(given)).encode())
    its = ["--snakefile", str(workflow / "Snakefile"), "--cores", str(jobs)]
    its += ["--profile", str(workflow / "profiles" / "local")]
    its += ["--configfile", str(root / "snakemake.json"), "--directory", str(root), *more]
    with log.open("w") as out, progress_bar(units, root):
        code = lives.run("snakemake", *its, stdout=out, stderr=subprocess.STDOUT).returncode
    if code:
        told = failures(units, root) or ["every unit is done, but a notebook is not"]
        print("\n  ".join(["run again to go on; what failed:", *told]))
        print(f"Snakemake ended with {code}: {log}")
    return code


def budgeted(
    given: Request, root: Path, minutes: float, jobs: int, device: str, path: Path | None = None
) -> int:
    """Do within minutes what is worth most, and leave a bundle of it; returns the exit status.

    ``jobs`` units at a time, also on one GPU. No notebook runs: rows, histories, manifests and what
    figures show make the bundle, which ``merge`` takes in. The same call again goes on.
    """
    time = budget.Minutes.of(minutes)
    device = pick_device(device)
    units = budget.by_worth(given.units())
    failed = budget.spend(time, units, work, root, demand, n_jobs=jobs, device=device)
    by_paper = {paper: [unit for unit in units if unit.paper == paper] for paper in given.papers}
    pictures = (
        call for paper, its in by_paper.items() for call in paper_module(paper).shown(its, root)
    )
    for line in budget.show(pictures, time.kill + (time.end - time.kill) / 3):
        print(line)
    print(budget.told(units, root, failed))
    path = path or Path(f"ganzip-{given.folder(given.papers[0], root).name}.zip")
    without = budget.left_out(units, root)
    count = pack(given, root, path, without=without)
    size = path.stat().st_size / 1e6
    print(f"{path}: {count} units, {size:.1f} MB")
    if without:
        print(f"{len(without)} files of what figures show have no room in it and stay under {root}")
    return 1 if failed else 0


def settings(given: Request) -> dict[str, Any]:
    """What Snakemake's configuration is."""
    return given.parameters() | {"papers": ",".join(given.papers)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns the exit status."""
    parser = parameters.Parser("ganzip.batch", description="Plan, run, tell and carry.")
    parser.add_argument("verb", choices=("run", "plan", "status", "bundle", "merge"))
    parser.add_argument("file", nargs="?", type=Path, help="the bundle")
    parser.options(parameters.Batch)
    parser.add_argument("--to", type=Path, help="the bundle that run leaves, with --minutes")
    parser.add_argument("--weights", action="store_true", help="bundle weights and samples too")
    parser.add_argument("--anyhow", action="store_true", help="merge what other code made too")
    its, more = parser.parse_known_args(arguments)
    asked = parser.check(parameters.Batch, its)
    jobs, root = asked.pop("jobs") or cores(), files.runs_folder()
    minutes, device = asked.pop("minutes"), asked.pop("device")
    given = Request(**asked)
    if its.verb == "run" and not minutes:
        return engine(given, root, jobs, more)
    if more:
        parser.error(f"unknown arguments: {' '.join(more)}")
    if its.verb == "run":
        return budgeted(given, root, minutes, jobs, device, its.to)
    if its.verb == "plan":
        print(json.dumps(make_plan(given, root)))
    elif its.verb == "status":
        units, notes = given.foreseen()
        found = progress(units, root)
        print(status(found).round(2).to_string(index=False))
        print("\n".join([forecast(found, root, jobs), *notes, *failures(units, root)]))
    elif its.file is None:
        parser.error(f"{its.verb} needs the path of a bundle")
    elif its.verb == "bundle":
        count = bundle(given, root, its.file, weights=its.weights)
        print(f"{its.file}: {count} units, {its.file.stat().st_size / 1e6:.1f} MB")
    else:
        taken, refused = merge(its.file, anyhow=its.anyhow)
        print(f"{len(taken)} units taken in, {len(refused)} refused")
        print("\n".join(refused), end="\n" if refused else "")
        return 1 if refused else 0
    return 0


if __name__ == "__main__":
    with lives.program("ganzip.batch"):
        try:
            sys.exit(main())
        except (ValueError, OSError, ImportError) as error:
            print(f"ganzip.batch: {error}", file=sys.stderr)
            sys.exit(2)
