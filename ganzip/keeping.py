"""Runs whose figures are kept in the repository, and figures drawn again without training.

    python -m ganzip.keeping keep --preset cpu --data mnist --scale 2 --papers dcgan_kd
    python -m ganzip.keeping figures

``figures/<paper>/<run>/`` holds what a notebook wrote, the executed notebook, and ``run.zip``: the
rows, manifests, histories and pictures of its units, without data and weights. Of notebook 4, whose
plan hangs on the speed of a machine, it holds in the place of ``run.zip`` the pictures it drew.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from ganzip import batch, data, figures, files, parameters, processes, runs, zoo
from ganzip.batch import NOTEBOOKS, Given
from ganzip.parameters import OWN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RUN = "run.zip"
NAMES = {**NOTEBOOKS, OWN: "4_your_own_gan"}
DRAWN = {"table.csv": "quality", "samples.pt": "samples", "unseen.pt": "unseen"}  # of notebook 4


class OlderPlan(RuntimeError):
    """A kept run that lacks units of today's plan: its figures stay as they were drawn."""


def folder() -> Path:
    """Where kept runs are."""
    return zoo.folder()


def kept_runs() -> list[Path]:
    """The folders of all kept runs."""
    return sorted(path.parent for path in folder().glob("*/*/rows.csv"))


def keep(given: Given, root: Path, into: Path) -> list[Path]:
    """Copy what notebooks made of a finished run into ``into``, a folder a paper; returns those.

    Raises FileNotFoundError, before anything is copied, for a notebook that was not executed.
    """
    executed = {paper: given.folder(paper, root) for paper in given.papers}
    for paper, out in executed.items():
        if not (out / f"{NAMES[paper]}.ipynb").exists():
            raise FileNotFoundError(f"{out} has no executed notebook; run make reproduce first")
    places = []
    for paper, out in executed.items():
        place = into / paper / out.name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        _copied(out, place)
        alone = replace(given, papers=(paper,))
        if alone.parameters():  # with the defaults it is the one in notebooks/
            name = f"{NAMES[paper]}.ipynb"
            files.write(place / name, (out / name).read_bytes())
        if paper in NOTEBOOKS:
            batch.pack(alone, root, place / RUN)
            if given.preset == zoo.MAIN:
                zoo.keep(alone.units(), root, place / zoo.PLACE)
        places.append(place)
    return places


def save_pictures(pictures: Mapping[str, Tensor], path: Path) -> None:
    """Write what a figure shows, images in [-1, 1] by label, as one file of 8 bits."""
    buffer = io.BytesIO()
    torch.save({label: data.to_uint8(images).cpu() for label, images in pictures.items()}, buffer)
    files.write(path, buffer.getvalue())


def figure_of(path: Path) -> Figure:
    """Draw what notebook 4 wrote: its table, or pictures of :func:`save_pictures`, by ``DRAWN``."""
    if path.suffix == ".csv":
        table = pd.read_csv(path)
        metric = table.columns[2]  # after method and paper
        return figures.quality_against_cost(table, metric, ["latency, ms", "cpu seconds"])[0]
    held = torch.load(path, weights_only=True)
    pictures = {label: data.to_float(images) for label, images in held.items()}
    if path.stem == "samples":
        return figures.sample_grid(pictures)
    side, n = pictures["teacher"].shape[-1], len(pictures["teacher"])
    return figures.comparison(pictures, [(side // 3, side // 3, side // 4)] * n)


def redrawn(place: Path) -> list[str]:
    """Draw the figures and tables of a kept run again; returns the tables that came out otherwise.

    Nothing is trained: raises OlderPlan for a run that lacks a unit of today's plan, RuntimeError
    where the notebook fails.
    """
    if place.parent.name == OWN:
        for file, name in DRAWN.items():
            figures.save(figure_of(place / file), place, name)
        return []
    with zipfile.ZipFile(place / RUN) as held:
        given = batch.given_of(held, place / RUN)
    (paper,) = given.papers
    with tempfile.TemporaryDirectory() as root:
        out = given.folder(paper, Path(root))
        out.mkdir(parents=True)
        notebook = runs.repository() / "notebooks" / f"{NOTEBOOKS[paper]}.ipynb"
        written = [str(notebook), str(out / notebook.name), "-k", "python3", "--no-progress-bar"]
        written += ["-y", json.dumps(given.parameters())] if given.parameters() else []
        _run(["ganzip.batch", "merge", str(place.resolve() / RUN), "--anyhow"], root, place)
        _run(["papermill", *written], root, place)
        before = {path.name: path.read_bytes() for path in place.glob("*.csv")}
        new = _copied(out, place)
        return [
            path.name
            for path in new
            if path.suffix == ".csv" and path.read_bytes() != before.get(path.name)
        ]


def _run(module: Sequence[str], root: str, place: Path) -> None:
    """Run a Python module with its runs in ``root``, and without the data even where they are."""
    here = {k: v for k, v in os.environ.items() if k != "GANZIP_DATA"}
    here |= {"GANZIP_RUNS": root, "PYTHONPATH": str(runs.repository())}
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    done = processes.run(*module, env=here, cwd=root, **both)
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().splitlines()[-1]
        older = reason.endswith("not in the bundle")
        raise (OlderPlan if older else RuntimeError)(f"{place}: {reason}")


def _copied(out: Path, place: Path) -> list[Path]:
    """Copy a notebook's figures and tables."""
    found = [path for kind in ("figures", "tables") for path in sorted((out / kind).glob("[!.]*"))]
    for path in found:
        files.write(place / path.name, path.read_bytes())
    return [place / path.name for path in found]


def all_redrawn(places: Iterable[Path]) -> int:
    """Draw several kept runs, one a core; returns how many tables came out otherwise."""
    places, changed = list(places), 0
    with ThreadPoolExecutor(runs.cores()) as pool:
        drawn = [pool.submit(redrawn, place) for place in places]
        for place, its in zip(places, tqdm(drawn, unit="run"), strict=True):
            try:
                tables = its.result()
            except OlderPlan as lacking:
                tqdm.write(f"left as it was drawn: {lacking}")
                continue
            tqdm.write(
                f"{place}: {', '.join(tables) or 'all tables'} {'differ' if tables else 'equal'}"
            )
            changed += len(tables)
    return changed


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns the exit status."""
    parser = parameters.Parser("ganzip.keeping", description="Keep and draw again.")
    parser.add_argument("verb", choices=("keep", "figures"))
    parser.options(parameters.Keeping)
    its = parser.parse_args(arguments)
    given = Given(**parser.check(parameters.Keeping, its))
    if its.verb == "figures":
        return min(1, all_redrawn(kept_runs()))
    print("\n".join(map(str, keep(given, runs.home(), folder()))))
    return 0


if __name__ == "__main__":
    with processes.program("ganzip.keeping"):
        try:
            sys.exit(main())
        except (ValueError, OSError, RuntimeError) as error:
            print(f"ganzip.keeping: {error}", file=sys.stderr)
            sys.exit(2)
