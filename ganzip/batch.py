"""All papers' units as one plan: for a batch engine, for whoever waits, for another machine.

    python -m ganzip.batch run --jobs 4
    python -m ganzip.batch run --preset gpu --minutes 8 --jobs 8 --device cuda --to results.zip
    python -m ganzip.batch status --preset paper
    python -m ganzip.batch bundle results.zip
    python -m ganzip.batch merge results.zip

The engine is Snakemake with ``workflow/Snakefile``: one papermill job a unit of
:func:`ganzip.units.plan.make_plan`. With ``--minutes`` none is needed: plain Python does what is
worth most (``budget``).
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ganzip import files, parameters, processes
from ganzip.device import default_jobs
from ganzip.units import budget
from ganzip.units.plan import Request, demand, paper_module, work
from ganzip.units.pool import pick_device, progress_bar
from ganzip.units.status import failures, forecast, progress, status
from ganzip.units.transfer import bundle, merge, pack
from ganzip.units.unit import in_order, verify_unit


def run_snakemake(request: Request, root: Path, jobs: int, more: Sequence[str] = ()) -> int:
    """Run Snakemake on this machine under one bar over all units; returns its exit status.

    ``more`` are arguments of Snakemake's. What fails is told with its last step and a remedy, and
    the rest is done all the same.
    """
    units = request.units()
    for unit in in_order(units):  # Snakemake believes every manifest
        verify_unit(unit, root)
    if request.preset in ("gpu", "paper"):
        print(forecast(progress(units, root), root, jobs), flush=True)
    workflow, log = files.repository() / "workflow", root / "snakemake.log"
    root.mkdir(parents=True, exist_ok=True)
    # A file, for --config takes a folder called 007 for a number.
    config = request.parameters() | {"papers": ",".join(request.papers)}
    files.write(root / "snakemake.json", json.dumps(config).encode())
    options = ["--snakefile", str(workflow / "Snakefile"), "--cores", str(jobs)]
    options += ["--profile", str(workflow / "profiles" / "local")]
    options += ["--configfile", str(root / "snakemake.json"), "--directory", str(root), *more]
    with log.open("w") as out, progress_bar(units, root):
        code = processes.run("snakemake", *options, stdout=out, stderr=subprocess.STDOUT).returncode
    if code:
        lines = failures(units, root) or ["every unit is done, but a notebook is not"]
        print("\n  ".join(["run again to go on; what failed:", *lines]))
        print(f"Snakemake ended with {code}: {log}")
    return code


def run_within(
    request: Request, root: Path, minutes: float, jobs: int, device: str, path: Path | None = None
) -> int:
    """Do within minutes what is worth most, and leave a bundle of it; returns the exit status.

    ``jobs`` units at a time, also on one GPU. No notebook runs: rows, histories, manifests and what
    figures show make the bundle, which ``merge`` takes in. The same call again goes on.
    """
    schedule = budget.Schedule.of(minutes)
    units = budget.order_by_worth(request.units())
    failed = budget.spend(schedule, units, work, root, demand, n_jobs=jobs, device=device)
    pictures = (
        call
        for paper in request.papers
        for call in paper_module(paper).figure_calls([u for u in units if u.paper == paper], root)
    )
    for line in budget.draw(pictures, schedule.kill + (schedule.end - schedule.kill) / 3):
        print(line)
    print(budget.summarize(units, root, failed))
    path = path or Path(f"ganzip-{request.folder(request.papers[0], root).name}.zip")
    overflow = budget.find_overflow(units, root)
    print(size_line(path, pack(request, root, path, without=overflow)))
    if overflow:
        print(
            f"{len(overflow)} files of what figures show have no room in it and stay under {root}"
        )
    return 1 if failed else 0


def size_line(path: Path, count: int) -> str:
    """What a bundle of so many units has become."""
    return f"{path}: {count} units, {path.stat().st_size / 1e6:.1f} MB"


def do(
    verb: str,
    request: Request,
    jobs: int,
    file: Path | None,
    *,
    weights: bool = False,
    anyhow: bool = False,
) -> int:
    """Tell the status, or write or take in the bundle ``file``; returns the exit status."""
    root = files.runs_folder()
    if verb == "status" or file is None:
        units, notes = request.outline()
        frame = progress(units, root)
        print(status(frame).round(2).to_string(index=False))
        print("\n".join([forecast(frame, root, jobs), *notes, *failures(units, root)]))
    elif verb == "bundle":
        print(size_line(file, bundle(request, root, file, weights=weights)))
    else:
        names, refusals = merge(file, anyhow=anyhow)
        print(f"{len(names)} units taken in, {len(refusals)} refused", *refusals, sep="\n")
        return 1 if refusals else 0
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns the exit status."""
    parser = parameters.Parser("ganzip.batch", description="Run, tell and carry.")
    parser.add_argument("verb", choices=("run", "status", "bundle", "merge"))
    parser.add_argument("file", nargs="?", type=Path, help="the bundle")
    parser.options(parameters.Batch)
    parser.add_argument("--to", type=Path, help="the bundle that run leaves, with --minutes")
    parser.add_argument("--weights", action="store_true", help="bundle weights and samples too")
    parser.add_argument("--anyhow", action="store_true", help="merge what other code made too")
    line, more = parser.parse_known_args(arguments)
    values = parser.check(parameters.Batch, line)
    jobs, root = values.pop("jobs"), files.runs_folder()
    minutes, device = values.pop("minutes"), pick_device(values.pop("device"))
    jobs = jobs or default_jobs(device)
    request = Request(**values)
    if line.verb == "run" and not minutes:
        return run_snakemake(request, root, jobs, more)
    if more:
        parser.error(f"unknown arguments: {' '.join(more)}")
    if line.verb == "run":
        return run_within(request, root, minutes, jobs, device, line.to)
    if line.verb != "status" and line.file is None:
        parser.error(f"{line.verb} needs the path of a bundle")
    return do(line.verb, request, jobs, line.file, weights=line.weights, anyhow=line.anyhow)


if __name__ == "__main__":
    with processes.program("ganzip.batch", ImportError):
        sys.exit(main())
