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
import math
import re
import subprocess
import sys
import zipfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from fnmatch import fnmatch
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

from ganzip import budget, bundles, manifests, parallel, parameters, presets, runs
from ganzip import processes as lives
from ganzip.bundles import HEADER, KNOWN, BundleError
from ganzip.data import DataAbsent, DataError, set_name
from ganzip.files import sha256
from ganzip.manifests import HISTORY, ROWS, WEIGHTS, Manifest
from ganzip.runs import Demand, Run, State, Unit

NOTEBOOKS = {"dcgan_kd": "1_dcgan_kd", "sdakd": "2_sdakd", "nickel_dime": "3_nickel_dime"}
# Multiply-adds a second that an H100 may sustain: an assumption, printed as one.
SUSTAINED = 2e13
STATES = ("done", "running", "failed", "interrupted", "missing")
OTHER = "another configuration"


@dataclass(frozen=True)
class Given:
    """What is to be reproduced: a preset of some papers on a data set; "" is each paper's own."""

    preset: str = "cpu"
    data: str = ""
    scale: float = 1.0
    papers: tuple[str, ...] = tuple(NOTEBOOKS)
    seeds: int = 0  # of a row, at least

    def __post_init__(self):
        mine = {name: getattr(self, name) for name in parameters.Plan.model_fields}
        for name, value in parameters.check(parameters.Plan, mine).items():
            object.__setattr__(self, name, value)

    def units(self) -> list[Unit]:
        """The plans of all papers, the same that their notebooks make."""
        source = {"source": self.data} if self.data else {}
        least = {"seeds": self.seeds} if self.seeds else {}
        return [
            unit
            for paper in self.papers
            for unit in _module(paper).prepare(self.preset, **source, scale=self.scale, **least)
        ]

    def foreseen(self) -> tuple[list[Unit], list[str]]:
        """The plans to be counted, data here or not, and a line for each set that is not.

        Preset paper is counted for the sets that it is meant for, unless others are named.
        """
        units, notes = [], []
        for paper in self.papers:
            alone = replace(self, papers=(paper,))
            why = "" if self.data or self.preset != "paper" else "no data are named"
            if not why:
                try:
                    units += alone.units()
                    continue
                except (DataError, ImportError) as error:
                    if self.data and not isinstance(error, DataAbsent):
                        raise
                    why = str(error)
            units += _module(paper).foreseen(self.preset, self.data, self.scale, self.seeds)
            sets = presets.facts(paper, self.preset, self.data)
            meant = " and ".join(fact.name for fact in sets)
            notes.append(f"{paper} is counted for {meant}; name your images by DATA ({why})")
        return units, notes

    def folder(self, paper: str, root: Path) -> Path:
        """Where the paper's notebook puts its tables and figures."""
        return runs.output_folder(root, paper, self.preset, self.data, self.scale, self.seeds)

    def parameters(self) -> dict[str, Any]:
        """A notebook's parameters, where they differ from its own."""
        mine, usual = asdict(self), asdict(Given())
        return {k: v for k, v in mine.items() if k != "papers" and v != usual[k]}


GIVEN = [field.name for field in fields(Given)]


def _module(paper: str) -> Any:
    return import_module(f"ganzip.papers.{paper}")


# The plan, and its engine -------------------------------------------------------------------------


def plan(given: Given, root: Path) -> dict[str, Any]:
    """The plan as JSON, paths relative to ``root``: folders of units and of those that they need.

    Planning loads the data, and so finds what is amiss with them before anything is trained.
    """

    def at(path: Path) -> str:
        return path.relative_to(root).as_posix()

    units = {at(unit.folder(root)): unit for unit in given.units()}
    return {
        "parameters": given.parameters(),
        "units": {
            folder: {
                "paper": unit.paper,
                "unit": unit.name,
                "needs": [at(need.folder(root)) for need in unit.needs.values()],
            }
            for folder, unit in units.items()
        },
        "papers": {
            f"{at(given.folder(paper, root))}/{NOTEBOOKS[paper]}.ipynb": [
                folder for folder, unit in units.items() if unit.paper == paper
            ]
            for paper in given.papers
        },
    }


def engine(given: Given, root: Path, jobs: int, more: Sequence[str] = ()) -> int:
    """Run Snakemake on this machine under one bar over all units; returns its exit status.

    ``more`` are arguments of Snakemake's. What fails is told with its last step and a remedy, and
    the rest is done all the same.
    """
    units = given.units()
    for unit in runs.in_order(units):  # Snakemake believes every manifest
        runs.sound(unit, root)
    if given.preset in ("gpu", "paper"):
        print(foretold(progress(units, root), root, jobs), flush=True)
    workflow, log = runs.repository() / "workflow", root / "snakemake.log"
    root.mkdir(parents=True, exist_ok=True)
    # A file, for --config takes a folder called 007 for a number.
    runs.write(root / "snakemake.json", json.dumps(settings(given)).encode())
    its = ["--snakefile", str(workflow / "Snakefile"), "--cores", str(jobs)]
    its += ["--profile", str(workflow / "profiles" / "local")]
    its += ["--configfile", str(root / "snakemake.json"), "--directory", str(root), *more]
    with log.open("w") as out, runs.watched(units, root):
        code = lives.run("snakemake", *its, stdout=out, stderr=subprocess.STDOUT).returncode
    if code:
        told = failures(units, root) or ["every unit is done, but a notebook is not"]
        print("\n  ".join(["run again to go on; what failed:", *told]))
        print(f"Snakemake ended with {code}: {log}")
    return code


def budgeted(
    given: Given, root: Path, minutes: float, jobs: int, device: str, path: Path | None = None
) -> int:
    """Do within minutes what is worth most, and leave a bundle of it; returns the exit status.

    ``jobs`` units at a time, also on one GPU. No notebook runs: rows, histories, manifests and what
    figures show make the bundle, which ``merge`` takes in. The same call again goes on.
    """
    time = budget.Minutes.of(minutes)
    device = runs.pick_device(device)
    units = budget.by_worth(given.units())
    failed = budget.spend(time, units, work, root, demand, n_jobs=jobs, device=device)
    by_paper = {paper: [unit for unit in units if unit.paper == paper] for paper in given.papers}
    pictures = (call for paper, its in by_paper.items() for call in _module(paper).shown(its, root))
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


def work(run: Run) -> None:
    """Do one unit of any paper."""
    _module(run.unit.paper).work(run)


def demand(unit: Unit) -> Demand:
    """What one unit of any paper asks of a machine."""
    return _module(unit.paper).demand(unit)


def settings(given: Given) -> dict[str, Any]:
    """What Snakemake's configuration is."""
    return given.parameters() | {"papers": ",".join(given.papers)}


def together(unit: Unit, given: Given, processes: int, device: str) -> None:
    """One unit and what it needs in several processes by ``torchrun``, a GPU each.

    Raises ValueError where so many cannot share it, and runs.UnitsFailed with where the reason
    stands.
    """
    runs.check_sharing(unit, runs.home(), processes)
    options = (given.parameters() | {"device": device}).items()
    more = [f"--{name}={value}" for name, value in options]
    if code := parallel.launch(processes, "ganzip.papers", unit.paper, unit.name, *more):
        raise runs.UnitsFailed(f"{unit.name}: torchrun ended with {code}; its reason is above")


# How far it is ------------------------------------------------------------------------------------


def progress(units: Iterable[Unit], root: Path) -> pd.DataFrame:
    """How far each unit is: paper, unit, state, left (a share), what it asks, seconds it took."""
    lines = []
    for unit in units:
        state, asked = runs.state(unit, root), demand(unit)
        done = state.name == "done"
        lines.append(
            {
                "paper": unit.paper,
                "unit": unit.name,
                "state": state.name,
                "left": 0.0 if done else 1 - state.step / max(1, unit.config["steps"]),
                "multiply_adds": asked.multiply_adds,
                "seconds": unit.manifest(root)["wall_seconds"] if done else 0.0,
                "gigabytes": asked.kept / 1e9,
            }
        )
    return pd.DataFrame(lines)


def status(frame: pd.DataFrame) -> pd.DataFrame:
    """One line a paper: units in each state, hours, gigabytes of weights; of ``progress``.

    ``hours_left`` are hours of one process at the rate of the finished units, NaN before there are
    any; ``gpu_hours`` are those of all units of the plan if a GPU sustained ``SUSTAINED``.
    """
    lines = []
    for paper in dict.fromkeys(frame["paper"]):
        units = frame.loc[frame["paper"] == paper].to_dict("records")
        done = [unit for unit in units if unit["state"] == "done"]
        took, past = (sum(unit[k] for unit in done) for k in ("seconds", "multiply_adds"))
        left = sum(unit["left"] * unit["multiply_adds"] for unit in units)
        every = sum(unit["multiply_adds"] for unit in units)
        lines.append(
            {"paper": paper, "units": len(units)}
            | {name: sum(unit["state"] == name for unit in units) for name in STATES}
            | {
                "hours_left": left * took / past / 3600 if took and past else math.nan,
                "gpu_hours": every / SUSTAINED / 3600,
                "gigabytes": sum(unit["gigabytes"] for unit in units),
            }
        )
    return pd.DataFrame(lines)


def foretold(frame: pd.DataFrame, root: Path, jobs: int = 1) -> str:
    """What is to be done, before it begins, in words: units, time, disk; of ``progress``."""
    papers = status(frame).to_dict("records")
    done, units, hours, gpu, kept = (
        sum(paper[k] for paper in papers)
        for k in ("done", "units", "hours_left", "gpu_hours", "gigabytes")
    )
    lines = [f"{done} of {units} units are done"]
    if done < units and not math.isnan(hours):
        each = hours / jobs
        took = f"{60 * each:.0f} minutes" if each < 2 else f"{each:,.0f} hours"
        lines.append(f"about {took} of training left, {jobs} side by side, at the rate so far")
    if gpu > 0.1:
        lines.append(
            f"the whole plan takes {gpu:,.0f} GPU hours, by its multiply-adds to a factor of two, "
            f"if an H100 sustains {SUSTAINED:.0e} of them a second, which is an assumption"
        )
    # A unit at work has two checkpoints and a third being written, of weights and Adam's moments.
    disk = kept + 9 * jobs * max(frame["gigabytes"])
    lines.append(f"disk: {disk:.2g} GB of weights and checkpoints under {root}")
    return "\n".join(lines)


def failures(units: Iterable[Unit], root: Path) -> list[str]:
    """One line for each unit that failed or was killed: its last step, why, and the remedy."""
    out = []
    for unit in units:
        state = runs.state(unit, root)
        if state.name in ("failed", "interrupted"):
            step = f"{unit.paper} {unit.name}: step {state.step} of {unit.config['steps']}"
            out.append(f"{step}: {remedy(state)} (all of it: {unit.folder(root)})")
    return out


def remedy(state: State) -> str:
    """What happened to a unit that is not done, and what helps."""
    if state.name == "interrupted":
        return "stopped, or killed: if for its memory, take fewer JOBS. It goes on from there"
    if re.match(r"MemoryError|\S*OutOfMemoryError", state.error):
        return f"{state.error}; take fewer JOBS, or a machine with more memory"
    if "No space left" in state.error or "Disk quota" in state.error:
        return f"{state.error}; free some disk, or choose another folder with GANZIP_RUNS"
    return state.error  # ours say what helps


# Results that travel ------------------------------------------------------------------------------


def bundle(given: Given, root: Path, path: Path, *, weights: bool = False) -> int:
    """Pack what is done into a zip: units and what notebooks made of them.

    Of units manifests, rows, histories and what figures show; of the data their description and a
    few images. Weights and samples where asked for. Returns the number of units.
    """
    outputs = [file for paper in given.papers for file in _files(given.folder(paper, root), "**/*")]
    return pack(given, root, path, outputs, weights=weights)


def pack(
    given: Given,
    root: Path,
    path: Path,
    more: Iterable[Path] = (),
    *,
    weights: bool = False,
    losses: bool = True,
    without: Collection[Path] = (),
) -> int:
    """Pack what is done of a plan, what is known of its data, and more files of ``root``.

    losses: False leaves evaluations alone in the histories, which figures draw; losses are most of
    a bundle. without: files of ``shown/`` that stay here.
    """
    names = [HISTORY, ROWS, *([WEIGHTS, "samples/*"] if weights else [])]
    done = [unit for unit in given.units() if unit.done(root)]
    with bundles.writing(path) as out:
        for unit in done:
            told, folder = unit.manifest(root), unit.folder(root)
            place = f"{unit.paper}/units/{told['unit']}-{told['key']}"
            told["files"] = {
                name: file
                for name, file in told["files"].items()
                if any(fnmatch(name, pattern) for pattern in names)
            }
            content = {name: unit.read(root, name) for name in told["files"]}
            if not losses:
                content[HISTORY] = evaluations(content[HISTORY])
                sealed = {"size": len(content[HISTORY]), "sha256": sha256(content[HISTORY])}
                told["files"][HISTORY] = sealed
            out.add(f"{place}/{manifests.NAME}", manifests.written(told))
            for name, its in content.items():
                out.add(f"{place}/{name}", its)
            for file in [f for f in _files(folder, "shown/*.pt") if f not in without]:
                with suppress(ValueError):  # an altered one is drawn anew where its unit is
                    runs.shown(content := file.read_bytes())
                    out.add(f"{place}/shown/{file.name}", content)
        known = [file for name in _sets(given) for file in _files(root / KNOWN, f"{name}*")]
        for file in dict.fromkeys((*known, *more)):
            out.add(file.relative_to(root).as_posix(), file.read_bytes())
        out.close({**asdict(given), **runs.surroundings()})
    return len(done)


def evaluations(history: bytes) -> bytes:
    """A history without its losses."""
    head, *lines = history.decode().splitlines(keepends=True)
    return "".join([head, *(line for line in lines if ",validation," in line)]).encode()


def _files(folder: Path, pattern: str) -> list[Path]:
    return sorted(file for file in folder.glob(pattern) if file.is_file())


def _sets(given: Given) -> list[str]:
    """The names under which a run's data sets stay known."""
    return [set_name(name) for name in given.data.split(",") if name]


def merge(path: Path, *, anyhow: bool = False) -> tuple[list[str], list[str]]:
    """Take another machine's bundle into :func:`ganzip.runs.home`: the units taken, by name, and a
    line for each refused.

    A unit is taken whole, if this checkout plans one of the same configuration, by its hash; what
    is done here stays as it is. Tables and figures are taken where there are none and every unit of
    their paper is the bundle's. With ``anyhow`` a unit of another configuration stands for the one
    of its name, to show what older code made, a bundle of older code is taken, which names no
    hashes, and a unit that the plan has and the bundle has not is a line of the refused. Nothing is
    written before all was checked. Raises BundleError.
    """
    with bundles.opened(path) as bundle:
        given = _given(bundle.header, path)
        if bundle.header.format < bundles.FORMAT and not anyhow:
            raise BundleError(
                f"{path} is of format {bundle.header.format}, which names no hashes: make it again "
                f"with today's ganzip, or take it unchecked: python -m ganzip.batch merge {path} "
                "--anyhow"
            )
        return _merged(bundle, given, anyhow)


def given_of(held: zipfile.ZipFile, path: Path) -> Given:
    """What a bundle's run was given."""
    return _given(bundles.header_of(held, path), path)


def _given(header: bundles.Header, path: Path) -> Given:
    if unknown := [paper for paper in header.papers if paper not in NOTEBOOKS]:
        raise BundleError(
            f"{path}: {HEADER}: papers: found {unknown[0]:.40}, expected {', '.join(NOTEBOOKS)}"
        )
    return Given(**{name: getattr(header, name) for name in GIVEN})


def _merged(bundle: bundles.Bundle, given: Given, anyhow: bool) -> tuple[list[str], list[str]]:
    root = runs.home()
    runs.check_space(root, bundle.size)
    # First, for a run whose data are not here is planned by what is known.
    known = [name for name in bundle.known if not (root / name).exists()]
    taken: list[str] = []
    refused: list[str] = []
    try:
        for name in known:
            runs.write(root / name, bundle.known[name])
        ours = {(unit.paper, unit.name): unit for unit in given.units()}
        for packed, unit in _matched(bundle, ours, anyhow, refused):
            if _taken(bundle, packed, unit, root, refused):
                taken.append(unit.name)
    finally:
        if not taken:
            for name in known:
                (root / name).unlink(missing_ok=True)
    if anyhow:
        absent = [at for at, unit in ours.items() if not unit.done(root)]
        refused += [f"{paper} {name}: not in the bundle" for paper, name in absent]
    for paper in given.papers:
        place = given.folder(paper, root).relative_to(root).as_posix()
        its = {unit.key: unit for unit in ours.values() if unit.paper == paper}
        rows = {p.manifest.key: p.manifest.files.get(ROWS) for p in bundle.units if p.manifest}
        whole = all(rows.get(key) and _rows(unit, root) == rows[key] for key, unit in its.items())
        if whole and not any(line.startswith(f"{paper} ") for line in refused):
            for name in bundle.outputs:
                if name.startswith(f"{place}/") and not (root / name).exists():
                    runs.write(root / name, bundle.read(name))
    return taken, refused


def _rows(unit: Unit, root: Path) -> manifests.File | None:
    """Size and sha256 of a unit's rows, where it is done."""
    done = unit.done(root)
    return manifests.File(**unit.manifest(root)["files"][ROWS]) if done else None


def _matched(
    bundle: bundles.Bundle,
    ours: Mapping[tuple[str, str], Unit],
    anyhow: bool,
    refused: list[str],
) -> list[tuple[bundles.Packed, Unit]]:
    """Units of a bundle with those of the plan that they are; a line for each that is none."""
    found: dict[str, tuple[bundles.Packed, Unit]] = {}
    for packed in bundle.units:
        unit = ours.get((packed.paper, packed.name))
        fault = packed.fault or _fault(packed.manifest, unit)
        if unit is None or (fault and not (anyhow and fault.startswith(OTHER))):
            refused.append(f"{packed.paper} {packed.name}: {fault}")
        elif unit.key in found and fault:
            refused.append(f"{packed.paper} {packed.name}: another of that name is in the bundle")
        else:
            found[unit.key] = packed, unit
    return list(found.values())


def _fault(told: Manifest | None, unit: Unit | None) -> str:
    """Why a sound unit of a bundle is not taken, or nothing."""
    if told is not None and told.config.get("fingerprint") == runs.ABSENT:
        return "it was planned without its data"
    if unit is None or told is None:
        return "no unit of this checkout's plan has that name"
    if unit.key != told.key:
        mine, its = json.loads(json.dumps(dict(unit.config))), told.config
        both = [{k: (v,) for k, v in each.items()} for each in (mine, its)]
        differing = [k for k in {**mine, **its} if both[0].get(k) != both[1].get(k)]
        return f"{OTHER} ({', '.join(differing) or 'what it needs'}); use the same commit and data"
    return ""


def _taken(
    bundle: bundles.Bundle, packed: bundles.Packed, unit: Unit, root: Path, refused: list[str]
) -> bool:
    """Put a unit of a bundle where ours of that configuration is; whether there was a need to."""
    manifest = json.loads(bundle.read(packed.entries[manifests.NAME]))
    manifest.pop("stands_for", None)
    if manifest["key"] != unit.key:
        manifest["stands_for"] = unit.key
    contents = {
        name: partial(bundle.read, entry)
        for name, entry in packed.entries.items()
        if name != manifests.NAME
    }
    if not runs.sound(unit, root):
        runs.receive(unit, root, manifest, contents)
        return True
    here = unit.manifest(root)["files"]
    if WEIGHTS in here or WEIGHTS not in contents:
        return False
    if any(manifest["files"].get(name) != here[name] for name in (ROWS, HISTORY)):
        refused.append(
            f"{packed.paper} {packed.name}: done here with other rows, which are not those of its "
            "weights; delete its folder to take them both"
        )
        return False
    runs.receive(unit, root, manifest, {k: v for k, v in contents.items() if k not in here})
    return True


# The command line ---------------------------------------------------------------------------------


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
    jobs, root = asked.pop("jobs") or runs.cores(), runs.home()
    minutes, device = asked.pop("minutes"), asked.pop("device")
    given = Given(**asked)
    if its.verb == "run" and not minutes:
        return engine(given, root, jobs, more)
    if more:
        parser.error(f"unknown arguments: {' '.join(more)}")
    if its.verb == "run":
        return budgeted(given, root, minutes, jobs, device, its.to)
    if its.verb == "plan":
        print(json.dumps(plan(given, root)))
    elif its.verb == "status":
        units, notes = given.foreseen()
        found = progress(units, root)
        print(status(found).round(2).to_string(index=False))
        print("\n".join([foretold(found, root, jobs), *notes, *failures(units, root)]))
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
