"""Runs whose figures are kept in the repository, and figures drawn again without training.

    python -m ganzip.report.keeping keep --preset cpu --data mnist --scale 2 --papers dcgan_kd
    python -m ganzip.report.keeping teachers --preset cpu --papers nickel_dime
    python -m ganzip.report.keeping figures

``figures/<paper>/<run>/`` holds what a notebook wrote, and ``run.zip``: the rows, manifests,
evaluations and pictures of its units, without data, weights and losses. ``run.json`` says in short
what the run was. Of a run that no page draws, rows and claims are enough. Of notebook 4, whose plan
hangs on the speed of a machine, it holds in the place of ``run.zip`` the pictures it drew.
The notebooks in ``notebooks/`` show the reference run of their paper, see :func:`reference`.
``figures/teachers/`` holds finished teachers, and judges, which a run takes instead of training.
"""

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
from typing import Any

import pandas as pd
import torch
from joblib import cpu_count
from matplotlib.figure import Figure
from torch import Tensor
from tqdm import tqdm

from ganzip import data, files, parameters, processes, zoo
from ganzip.parameters import OWN
from ganzip.report import figures
from ganzip.units import Unit, in_order, manifests
from ganzip.units.bundles import read_header
from ganzip.units.manifests import HISTORY, ROWS, WEIGHTS
from ganzip.units.plan import NAMES, PAPER_NOTEBOOKS, Request
from ganzip.units.transfer import evaluations, pack, read_request
from ganzip.units.unit import KEPT
from ganzip.zoo import folder

RUN = "run.zip"
SUMMARY = "run.json"
SO_FAR = "so-far.json"  # in its place, of a run that is not complete
REFERENCE = "reference"  # the tag of the cell that says which run a notebook shows
FIGURES = {"table.csv": "quality", "samples.pt": "samples", "unseen.pt": "unseen"}  # of notebook 4


class OlderPlan(RuntimeError):
    """A kept run that lacks units of today's plan: its figures stay as they were drawn."""


def places() -> list[Path]:
    """The folders of all kept runs that can be drawn again."""
    own = folder() / OWN / "cpu"
    return sorted([*(path.parent for path in folder().glob(f"*/*/{RUN}")), own])


def runs_of(paper: str) -> list[Path]:
    """The folders of a paper's kept runs, the reference first.

    It is the run of preset night where there is one, and of several the one that trained longest;
    only a run that can be drawn again is it.
    """

    def rank(place: Path) -> tuple[bool, bool, float]:
        its = summary(place)
        return (place / RUN).exists(), its["preset"] == zoo.MAIN, its["cpu_seconds"]

    places = sorted(path.parent for path in (folder() / paper).glob(f"*/{SUMMARY}"))
    return sorted(places, key=rank, reverse=True)


def reference(paper: str) -> Path:
    """The run that pages and notebooks speak of first; see :func:`runs_of`."""
    return runs_of(paper)[0]


def file_of(paper: str, file: str) -> Path:
    """A file of the reference run, or, of notebook 4, a file of its folder."""
    return (reference(paper) if paper in PAPER_NOTEBOOKS else folder() / paper) / file


def summary(place: Path) -> dict[str, Any]:
    """What a kept run was: what it was given, its units, their CPU seconds, and where it ran.

    Of a run that is not complete also how many units are planned.
    """
    whole = place / SUMMARY
    return json.loads((whole if whole.exists() else place / SO_FAR).read_text())


def summarise(bundle: Path) -> dict[str, Any]:
    """The same, from its bundle."""
    with zipfile.ZipFile(bundle) as entries:
        header = read_header(entries, bundle)
        units = [name for name in entries.namelist() if name.endswith(f"/{manifests.NAME}")]
        seconds = [json.loads(entries.read(name))["cpu_seconds"] for name in units]
    facts = {name: getattr(header, name) for name in ("preset", "data", "scale", "seeds")}
    facts |= {"units": len(units), "cpu_seconds": round(sum(seconds))}
    made_by = ("processor", "python", "torch", "numpy", "ganzip")
    return facts | {name: getattr(header, name) for name in made_by}


def keep(request: Request, root: Path, into: Path) -> list[Path]:
    """Copy what notebooks made of a finished run into ``into``, a folder a paper; returns those.

    Raises FileNotFoundError, before anything is copied, for a notebook that was not executed.
    """
    executed = {paper: request.folder(paper, root) for paper in request.papers}
    for paper, out in executed.items():
        if not (out / f"{NAMES[paper]}.ipynb").exists():
            raise FileNotFoundError(f"{out} has no executed notebook; run make reproduce first")
    places = []
    for paper, out in executed.items():
        place = into / paper / out.name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        _copy(out, place)
        if paper in PAPER_NOTEBOOKS:
            one = replace(request, papers=(paper,))
            pack(one, root, place / RUN, losses=False)
            _write_summary(place)
            if request.preset == zoo.MAIN:
                zoo.keep(one.units(), root, place / zoo.PLACE)
        places.append(place)
    return places


def keep_teachers(units: Sequence[Unit], root: Path, into: Path) -> list[Path]:
    """Copy the finished teachers of a plan, and their judges, into ``into``; returns their folders.

    Rows, evaluations and weights; in the place of older ones of the same preset and data. Raises
    FileNotFoundError where none is finished.
    """
    needs = [(role, need) for unit in units for role, need in unit.needs.items()]
    every = in_order(need for role, need in needs if role in ("teacher", "judge"))
    finished = [unit for unit in every if unit.has_weights(root)]
    if not finished:
        raise FileNotFoundError(f"no teacher of this plan is finished in {root}; train it first")
    found = []
    for unit in finished:
        manifest, place = unit.manifest(root), unit.folder(into)
        for older in place.parent.glob(f"{unit.name}-*"):
            its = json.loads((older / manifests.NAME).read_text())["config"]
            if all(its.get(name) == unit.config.get(name) for name in ("preset", "data")):
                shutil.rmtree(older)
        contents = {name: unit.read(root, name) for name in (ROWS, HISTORY, WEIGHTS)}
        contents[HISTORY] = evaluations(contents[HISTORY])
        manifest["files"] = {name: manifests.describe(its) for name, its in contents.items()}
        for name, content in (contents | {manifests.NAME: manifests.to_bytes(manifest)}).items():
            files.write(place / name, content)
        found.append(place)
    return found


def save_pictures(pictures: Mapping[str, Tensor], path: Path) -> None:
    """Write what a figure shows, images in [-1, 1] by label, as one file of 8 bits."""
    buffer = io.BytesIO()
    torch.save({label: data.to_uint8(images).cpu() for label, images in pictures.items()}, buffer)
    files.write(path, buffer.getvalue())


def figure_of(path: Path) -> Figure:
    """Draw a file of notebook 4 in ``FIGURES``: its table, or what :func:`save_pictures` wrote."""
    if path.suffix == ".csv":
        table, rows = pd.read_csv(path), pd.read_csv(path.with_name("rows.csv"))
        metric = table.columns[2]  # after method and paper
        return figures.ranking(table, metric, rows.loc[rows["metric"] == metric])[0]
    pixels = torch.load(path, weights_only=True)
    pictures = {label: data.to_float(images) for label, images in pixels.items()}
    if path.stem == "samples":
        return figures.sample_grid(pictures)
    sharpest = pictures.get("truth", pictures["teacher"])
    return figures.comparison(pictures, figures.busiest(sharpest, sharpest.shape[-1] // 4))


def redraw(place: Path) -> list[str]:
    """Draw the figures and tables of a kept run again; returns the tables that came out otherwise.

    Nothing is trained: raises OlderPlan for a run that lacks a unit of today's plan, RuntimeError
    where the notebook fails.
    """
    if place.parent.name == OWN:
        for file, name in FIGURES.items():
            figures.save(figure_of(place / file), place, name)
        return []
    with zipfile.ZipFile(place / RUN) as entries:
        request = read_request(entries, place / RUN)
    (paper,) = request.papers
    with tempfile.TemporaryDirectory() as root:
        out = request.folder(paper, Path(root))
        out.mkdir(parents=True)
        notebook = files.repository() / "notebooks" / f"{PAPER_NOTEBOOKS[paper]}.ipynb"
        options = [str(notebook), str(out / notebook.name), "-k", "python3", "--no-progress-bar"]
        options += ["-y", json.dumps(request.parameters())] if request.parameters() else []
        _run(["ganzip.batch", "merge", str(place.resolve() / RUN), "--anyhow"], root, place)
        _run(["papermill", *options], root, place)
        before = {path.name: path.read_bytes() for path in place.glob("*.csv")}
        new = _copy(out, place)
        _write_summary(place)
        if place == reference(paper):
            embed(out / notebook.name, notebook, place)
        return [
            path.name
            for path in new
            if path.suffix == ".csv" and path.read_bytes() != before.get(path.name)
        ]


def embed(executed: Path, notebook: Path, place: Path) -> None:
    """Make a notebook show a kept run: its outputs, and in a cell at the top how it was made."""
    import nbformat  # takes longer than the rest of this module

    book = nbformat.read(executed, as_version=4)
    cells = _without_reference(book.cells)
    its = summary(place)
    names = ("preset", "data", "scale", "seeds")
    usual = [its[name] for name in names] == ["cpu", "", 1.0, 0]
    settings = ", ".join(f"`{name}={its[name]!r}`" for name in names if its[name])
    text = (
        "**Outputs in the repository** are those of a run with "
        f"{'the parameters above' if usual else settings}: {its['units']} networks, "
        f"{its['cpu_seconds'] / 3600:.1f} CPU hours. With the parameters above the notebook "
        "needs no data and runs in 8 to 20 minutes on 2 cores."
    )
    cell = nbformat.v4.new_markdown_cell(text, metadata={"tags": [REFERENCE]}, id=REFERENCE)
    at = next(i for i, c in enumerate(cells) if "parameters" in c.metadata.get("tags", ()))
    cells = [c for c in cells if "injected-parameters" not in c.metadata.get("tags", ())]
    book.cells = [*cells[: at + 1], cell, *cells[at + 1 :]]
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    for count, cell in enumerate(code, 1):
        cell.execution_count = count
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = count
    nbformat.write(book, executed)
    tidy(executed)
    files.write(notebook, executed.read_bytes())


def trim(notebook: Path) -> None:
    """Take out of a notebook what nbval does not compare: pictures, and which run it shows."""
    import nbformat

    book = nbformat.read(notebook, as_version=4)
    book.cells = _without_reference(book.cells)
    for output in (output for cell in book.cells for output in cell.get("outputs", ())):
        for kind in [kind for kind in output.get("data", ()) if kind.startswith("image/")]:
            del output["data"][kind]
    nbformat.write(book, notebook)


def _without_reference(cells: Iterable[Any]) -> list[Any]:
    return [cell for cell in cells if REFERENCE not in cell.metadata.get("tags", ())]


def tidy(notebook: Path) -> None:
    """Outputs stay, progress bars shrink to their last line, the times of one machine go."""
    one_line = "--CoalesceStreamsPreprocessor.enabled=True"
    what = ("--log-level", "WARN", "--to", "notebook", "--inplace", one_line)
    processes.run("nbconvert", *what, str(notebook)).check_returncode()
    times = "metadata.papermill cell.metadata.papermill cell.metadata.execution"
    stay = ("--keep-output", "--keep-count", "--keep-id")
    processes.run("nbstripout", *stay, "--extra-keys", times, str(notebook)).check_returncode()


def _write_summary(place: Path) -> None:
    text = json.dumps(summarise(place / RUN), indent=1) + "\n"
    files.write(place / SUMMARY, text.encode())


def _run(module: Sequence[str], root: str, place: Path) -> None:
    """Run a Python module with its runs in ``root``, and without the data even where they are."""
    here = {k: v for k, v in os.environ.items() if k != "GANZIP_DATA"}
    here |= {"GANZIP_RUNS": root, "PYTHONPATH": str(files.repository())}
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    result = processes.run(*module, env=here, cwd=root, **both)
    if result.returncode:
        reason = (result.stderr or result.stdout).strip().splitlines()[-1]
        older = reason.endswith("not in the bundle")
        raise (OlderPlan if older else RuntimeError)(f"{place}: {reason}")


def _copy(out: Path, place: Path) -> list[Path]:
    """Copy a notebook's figures, tables and the pictures that it drew."""
    every = {path for kind in ("figures", "tables") for path in (out / kind).glob("[!.]*")}
    paths = sorted(path for path in every if path.suffix in (".png", ".csv", ".pt"))
    for path in paths:
        files.write(place / path.name, path.read_bytes())
    return [place / path.name for path in paths]


def redraw_all(places: Iterable[Path]) -> int:
    """Draw several kept runs, one a core; returns how many tables came out otherwise."""
    places, count = list(places), 0
    with ThreadPoolExecutor(cpu_count()) as pool:
        jobs = [pool.submit(redraw, place) for place in places]
        for place, its in zip(places, tqdm(jobs, unit="run"), strict=True):
            try:
                tables = its.result()
            except OlderPlan as error:
                tqdm.write(f"left as it was drawn: {error}")
                continue
            tqdm.write(
                f"{place}: {', '.join(tables) or 'all tables'} {'differ' if tables else 'equal'}"
            )
            count += len(tables)
    return count


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns the exit status."""
    parser = parameters.Parser("ganzip.report.keeping", description="Keep and draw again.")
    parser.add_argument("verb", choices=("keep", "teachers", "figures"))
    parser.options(parameters.Keeping)
    options = parser.parse_args(arguments)
    request = Request(**parser.check(parameters.Keeping, options))
    if options.verb == "figures":
        return min(1, redraw_all(places()))
    if options.verb == "teachers":
        kept = keep_teachers(request.units(), files.runs_folder(), files.repository() / KEPT)
    else:
        kept = keep(request, files.runs_folder(), folder())
    print("\n".join(map(str, kept)))
    return 0


if __name__ == "__main__":
    with processes.program("ganzip.report.keeping", RuntimeError):
        sys.exit(main())
