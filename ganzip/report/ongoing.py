"""Runs that are not complete: what their networks say so far, and which come along.

    python -m ganzip.report.ongoing --preset night --data mnist --papers nickel_dime

A night, or a week, is long to wait for a first look. The networks that are done are packed into
``figures/<paper>/<run>/so-far.zip``, with their rows and the networks themselves in 16 bits; the
paper's page shows them until the run is complete and ``keeping`` takes its place.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pandas as pd

from ganzip import files, parameters, processes, zoo
from ganzip.report import figures, keeping, tables
from ganzip.units import manifests, read_rows
from ganzip.units.plan import Request
from ganzip.units.transfer import pack

PACKED, ROWS, CURVES = "so-far.zip", "rows.csv", "so-far"
# What tells networks apart, and what is shown of them, by paper.
BY = {
    "dcgan_kd": ["method", "width"],
    "nickel_dime": ["method", "width"],
    "sdakd": ["network", "method", "width"],
}
SHOWN = {
    "dcgan_kd": ["IS", "FD-[^ ]+"],
    "nickel_dime": ["FD-[^ ]+", "FD-[^ ]+ best", "precision-[^ ]+", "recall-[^ ]+"],
    "sdakd": ["KID-[^ ]+ test mean", "PSNR test mean"],
}


def runs_of(paper: str) -> list[Path]:
    """The folders of a paper's runs that are kept and not complete."""
    return sorted(path.parent for path in (keeping.folder() / paper).glob(f"*/{keeping.SO_FAR}"))


def keep(given: Request, root: Path, into: Path) -> list[Path]:
    """Pack what is done of a plan into ``into``, a folder a paper; returns the runs' folders.

    Raises ValueError, before anything is written, where nothing is done or everything is.
    """
    plans = {paper: Request(**{**vars(given), "papers": (paper,)}) for paper in given.papers}
    done = {paper: sum(u.done(root) for u in plan.units()) for paper, plan in plans.items()}
    for paper, plan in plans.items():
        n = len(plan.units())
        if done[paper] in (0, n):
            remedy = "make keep" if done[paper] else "python -m ganzip.batch run"
            raise ValueError(
                f"{paper}: {done[paper]} of {n} units are done, expected some; {remedy}"
            )
    places = []
    for paper, plan in plans.items():
        units = plan.units()
        place = into / paper / plan.folder(paper, root).name
        place.mkdir(parents=True, exist_ok=True)
        pack(plan, root, place / PACKED, losses=False)
        ready = [unit for unit in units if unit.done(root)]
        frame = read_rows(ready, root)
        tables.save(frame, place / ROWS)
        facts = keeping.summarise(place / PACKED) | {"planned": len(units)}
        files.write(place / keeping.SO_FAR, (json.dumps(facts, indent=1) + "\n").encode())
        zoo.keep(units, root, place / zoo.PLACE)
        places.append(place)
    return places


def table(place: Path) -> pd.DataFrame:
    """What is measured so far, a line a method and width: mean, its spread, how many seeds."""
    frame = pd.read_csv(place / ROWS, low_memory=False)
    by = BY[place.parent.name]
    columns = {}
    for pattern in SHOWN[place.parent.name]:
        its = frame.loc[frame["metric"].str.fullmatch(pattern)]
        for metric in its["metric"].unique():
            columns[metric] = its.loc[its["metric"] == metric].groupby(by, sort=False)["value"]

    def text(values: pd.Series) -> str:
        numbers = values.tolist()
        more = f" ± {tables.short(stdev(numbers))}" if len(numbers) > 1 else ""
        return tables.short(fmean(numbers)) + more

    found = pd.DataFrame({name: group.agg(text) for name, group in columns.items()}).fillna("")
    seeds = next(iter(columns.values())).count()
    return found.assign(seeds=seeds.reindex(found.index)).reset_index()


def course(place: Path) -> pd.DataFrame:
    """Evaluations over training of a run of paper C: method, p, seed, step, metric, value."""
    parts = [pd.DataFrame(columns=["method", "p", "seed", "step", "metric", "value"])]
    with zipfile.ZipFile(place / PACKED) as held:
        for name in held.namelist():
            if not name.endswith(f"/{manifests.NAME}"):
                continue
            c = json.loads(held.read(name))["config"]
            frame = pd.read_csv(
                io.BytesIO(held.read(name.replace(manifests.NAME, manifests.HISTORY)))
            )
            if c.get("p") and "scores" in c:
                frame = frame.rename(columns={"term": "metric"}).drop(columns="player")
                parts.append(frame.assign(method=c["method"], p=c["p"], seed=c["seed"]))
    return pd.concat(parts if len(parts) == 1 else parts[1:], ignore_index=True)


def curves(place: Path) -> Any:
    """A figure of paper C: distance and recall over training, students of the extreme rate.

    None where no student is done.
    """
    found = course(place)
    if found.empty:
        return None
    students = found.loc[found["p"] == found["p"].max()]
    metrics = [m for m in students["metric"].unique() if m.startswith(("FD-", "FID", "recall"))]
    return figures.by_method(students, "step", metrics)[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns the exit status."""
    parser = parameters.Parser(
        "ganzip.report.ongoing", description="Keep what is done of a long run."
    )
    parser.options(parameters.Keeping)
    given = Request(**parser.check(parameters.Keeping, parser.parse_args(arguments)))
    print("\n".join(map(str, keep(given, files.runs_folder(), keeping.folder()))))
    return 0


if __name__ == "__main__":
    with processes.program("ganzip.report.ongoing"):
        try:
            sys.exit(main())
        except (ValueError, OSError, RuntimeError) as error:
            print(f"ganzip.report.ongoing: {error}", file=sys.stderr)
            sys.exit(2)
