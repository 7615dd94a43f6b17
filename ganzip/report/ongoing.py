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
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from ganzip import data, export, files, parameters, processes, zoo
from ganzip.measure import results_and_costs
from ganzip.papers import nickel_dime, nickel_dime_rows, sdakd_claims
from ganzip.report import bars, enlargements, figures, keeping, tables
from ganzip.report.claims import claims_table
from ganzip.units import manifests, read_rows
from ganzip.units.plan import Request
from ganzip.units.transfer import pack
from ganzip.units.unit import read_figure_data

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PACKED, ROWS, CURVES = "so-far.zip", "rows.csv", "so-far"
# What tells networks apart, and what is shown of them, by paper.
BY = {
    "dcgan_kd": ["method", "width"],
    "nickel_dime": ["method", "width"],
    "sdakd": ["network", "method", "width"],
}
SHOWN = {
    "dcgan_kd": ["IS", "FD-[^ ]+"],
    "nickel_dime": [
        *("FD-[^ ]+", "FD-[^ ]+ last", "FD-[^ ]+ best"),
        *("precision-[^ ]+", "recall-[^ ]+", "top probability-[^ ]+"),
    ],
    "sdakd": ["KID-[^ ]+ test mean", "PSNR test mean"],
}

MEASURE = {"nickel_dime": "FD", "sdakd": "KID"}  # what claims are about, by paper


def runs_of(paper: str) -> list[Path]:
    """The folders of a paper's runs that are kept and not complete."""
    return sorted(path.parent for path in (keeping.folder() / paper).glob(f"*/{keeping.SO_FAR}"))


def keep(request: Request, root: Path, into: Path) -> list[Path]:
    """Pack what is done of a plan into ``into``, a folder a paper; returns the runs' folders.

    Raises ValueError, before anything is written, where nothing is done or everything is.
    """
    plans = {paper: replace(request, papers=(paper,)) for paper in request.papers}
    units = {paper: plan.units() for paper, plan in plans.items()}
    done = {paper: [u for u in its if u.done(root)] for paper, its in units.items()}
    for paper, its in done.items():
        n = len(units[paper])
        if len(its) in (0, n):
            remedy = "make keep" if its else "python -m ganzip.batch run"
            raise ValueError(f"{paper}: {len(its)} of {n} units are done, expected some; {remedy}")
    places = []
    for paper, plan in plans.items():
        place = into / paper / plan.folder(paper, root).name
        place.mkdir(parents=True, exist_ok=True)
        if paper == "sdakd":
            enlargements.restorations(units[paper], root)
        pack(plan, root, place / PACKED, losses=False)
        rows = read_rows(done[paper], root)
        if paper == "nickel_dime":
            rows = pd.concat([rows, nickel_dime.legibility(done[paper], root)])
        tables.save(rows, place / ROWS)
        facts = keeping.summarise(place / PACKED) | {"planned": len(units[paper])}
        files.write(place / keeping.SO_FAR, (json.dumps(facts, indent=1) + "\n").encode())
        zoo.keep(units[paper], root, place / zoo.PLACE)
        places.append(place)
    return places


def table(place: Path) -> pd.DataFrame:
    """What is measured so far, a line a method and width: "mean ± std" and how many seeds."""
    frame = pd.read_csv(place / ROWS, low_memory=False)
    by = BY[place.parent.name]
    columns = []
    for pattern in SHOWN[place.parent.name]:
        its = frame.loc[frame["metric"].str.fullmatch(pattern)]
        for metric, rows in its.groupby("metric", sort=False):
            found = rows.groupby(by, sort=False)["value"].agg(["mean", "std"])
            columns.append(found.add_prefix(f"{metric}_"))
    seeds = its.groupby(by, sort=False)["seed"].nunique().rename("seeds")
    whole = pd.concat([*columns, seeds], axis=1).reset_index()
    return tables.with_spread(tables.tidy(whole))


def reached(place: Path) -> pd.DataFrame:
    """The bars of the paper's preset night, and what the run has reached."""
    return bars.table(place.parent.name, pd.read_csv(place / ROWS, keep_default_na=False))


def verdicts(place: Path) -> pd.DataFrame:
    """The claims that have two seeds or more on every side: claim, published, ours, verdict.

    None of a paper whose claims ask for more than rows.
    """
    frame, _ = results_and_costs(pd.read_csv(place / ROWS, keep_default_na=False))
    paper, found = place.parent.name, claims_table([])
    if paper in MEASURE:
        metrics = frame["metric"].str.extract(f"^({MEASURE[paper]}-[^ ]+)").dropna()[0]
        distance = str(metrics.iloc[0])
        if paper == "sdakd":
            found = claims_table(sdakd_claims.claims(frame, distance))
        else:
            recall = distance.replace(MEASURE[paper], "recall", 1)
            found = claims_table(nickel_dime_rows.claims(frame, distance, recall))
    tested = ~found["ours"].str.contains(r"\(1 seed\)|no runs")
    return found.loc[tested.astype(bool)].reset_index(drop=True)


def course(place: Path) -> pd.DataFrame:
    """Evaluations over training of a run of paper C's students, see ``evaluations`` there."""
    parts = []
    with zipfile.ZipFile(place / PACKED) as held:
        for name in held.namelist():
            if name.endswith(f"/{manifests.NAME}"):
                config = json.loads(held.read(name))["config"]
                if config.get("p") and "scores" in config:
                    history = held.read(name.replace(manifests.NAME, manifests.HISTORY))
                    parts.append(
                        nickel_dime_rows.evaluations(pd.read_csv(io.BytesIO(history)), config)
                    )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def figure_of(place: Path) -> Figure | None:
    """A figure of what there is: of paper A distance against d; of paper C distance and recall
    over training, students of the extreme rate; of paper B faces by GCFSR's networks.

    None where none of them is done.
    """
    if place.parent.name == "sdakd":
        with zipfile.ZipFile(place / PACKED) as held:
            names = [n for n in held.namelist() if n.endswith("/shown/restorations.pt")]
            if not names:
                return None
            _, pixels = read_figure_data(held.read(names[0]))
        given, *answers = pixels
        order = [given, *(["photo"] if "photo" in answers else []), *answers]
        name, _, factor = given.partition(", ")
        called = {given: name, "photo": "truth"}
        shown = {called.get(label, label): data.to_float(pixels[label]) for label in order}
        return figures.sample_grid(shown, title=f"GCFSR, test faces, reduced {factor}")
    if place.parent.name == "dcgan_kd":
        frame = pd.read_csv(place / ROWS, keep_default_na=False)
        frame = frame.loc[frame["method"].isin(["regular", "mse"])]
        distance = frame["metric"].loc[frame["metric"].str.fullmatch("FD-[^ ]+")].unique()
        if set(frame["method"]) < {"regular", "mse"}:
            return None
        teacher = place / zoo.PLACE / f"{zoo.TEACHER}.safetensors"
        d = export.card(teacher).training["d"] if teacher.exists() else None
        frame = frame.astype({"width": float})
        return figures.metric_against_d(frame, *distance, teacher_d=d)[0]
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
    request = Request(**parser.check(parameters.Keeping, parser.parse_args(arguments)))
    print("\n".join(map(str, keep(request, files.runs_folder(), keeping.folder()))))
    return 0


if __name__ == "__main__":
    with processes.program("ganzip.report.ongoing", RuntimeError):
        sys.exit(main())
