"""What make does with notebooks: ``python -m ganzip.reproduce reproduce``, and make's other verbs.

What is asked for comes through the environment (``PRESET``, ``DATA``, ...), so that no shell reads
it, and is checked before anything else.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ganzip import batch, files, parameters, processes
from ganzip.parameters import ParameterError
from ganzip.report import keeping
from ganzip.report.keeping import NAMES, OWN
from ganzip.units.plan import Request

# make's variables and the parameters that they are.
VARIABLES = {
    **{name.upper(): name for name in ("preset", "data", "scale", "seeds", "paper", "jobs", "to")},
    **{"FROM": "bundle", "WEIGHTS": "weights"},
}
# Others that a command line of make may set.
MORE = ("PYTHON", "VENV", "GANZIP_RUNS", "GANZIP_DATA", "GANZIP_WEIGHTS")


def asked(environment: Mapping[str, str]) -> dict[str, Any]:
    """make's parameters, typed; empty ones have their defaults. Raises ParameterError.

    ``MAKE_SET`` lists the variables that make's command line set: a misspelt one is an error.
    """
    known = [*VARIABLES, *MORE]
    for name in environment.get("MAKE_SET", "").split():
        if name not in known and not name.startswith("MAKE"):
            raise ParameterError(parameters.unknown_name(name, known))
    spelt = {field: name for name, field in VARIABLES.items()}
    given = {field: value for field, name in spelt.items() if (value := environment.get(name))}
    found = parameters.check(parameters.Make, given, lambda field: spelt[field])
    # make's help calls every paper's embedded set "digits".
    if found["data"] == "digits" or (found["data"], found["paper"]) == ("photos", ("sdakd",)):
        found["data"] = ""
    return found


def reproduce(given: Request, jobs: int = 0) -> int:
    """Every notebook into the folder of its run; returns the exit status.

    With ``jobs``, and where Snakemake is installed, it does the work; else the notebooks do it
    themselves. Notebook 4 always does.
    """
    by_engine = jobs and find_spec("snakemake") and OWN not in given.papers
    if by_engine and (code := batch.run_snakemake(given, files.runs_folder(), jobs)):
        return code
    for paper in given.papers:
        notebook, out = place(given, paper)
        print(f"{_short(notebook)} -> {_short(out.parent)}", flush=True)
        if not by_engine:
            execute(notebook, out, given.parameters() | ({"jobs": jobs} if jobs else {}))
        for folder in (out.parent / "figures", out.parent / "tables"):
            names = sorted(file.name for file in folder.iterdir())
            print(f"{_short(folder)}:", *names, "", sep="\n", flush=True)
    return 0


def keep(given: Request, jobs: int = 0) -> int:
    """Reproduce, and keep what came out in figures/; at the defaults also two notebooks."""
    if code := reproduce(given, jobs):
        return code
    usual, notebooks = not given.parameters(), files.repository() / "notebooks"
    if usual and OWN in given.papers:
        notebook, out = place(given, OWN)
        keeping.tidy(out)
        shutil.copy(out, notebook)
    print(*keeping.keep(given, files.runs_folder(), keeping.folder()), sep="\n")
    for name in ("unit", "0_start_here") if usual else ("0_start_here",):
        execute(notebooks / f"{name}.ipynb", notebooks / f"{name}.ipynb")
        keeping.tidy(notebooks / f"{name}.ipynb")
    return 0


def references() -> int:
    """Execute at smoke what nbval replays, into tests/notebooks/."""
    os.environ["GANZIP_RUNS"] = str(files.runs_folder().resolve() / "nbval")
    shutil.rmtree(files.runs_folder(), ignore_errors=True)
    for notebook in sorted((files.repository() / "notebooks").glob("*.ipynb")):
        kept = files.repository() / "tests" / "notebooks" / notebook.name
        execute(notebook, kept, {"preset": "smoke"})
        keeping.tidy(kept)
    return _module("ruff", "format", "-q", files.repository() / "tests" / "notebooks")


def place(given: Request, paper: str) -> tuple[Path, Path]:
    """A paper's notebook, and where it is executed to: beside its tables and figures."""
    name = f"{NAMES[paper]}.ipynb"
    return files.repository() / "notebooks" / name, given.folder(paper, files.runs_folder()) / name


def execute(notebook: Path, out: Path, given: Mapping[str, Any] | None = None) -> None:
    """Execute a notebook, its outputs shown as they come; ``given`` are parameters of it.

    Raises RuntimeError with the last line of its error.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        papermill.execute_notebook(
            notebook,
            out,
            dict(given or {}),
            kernel_name="python3",
            progress_bar=False,
            stdout_file=sys.stdout,
            stderr_file=sys.stderr,
        )
    except PapermillExecutionError as error:
        raise RuntimeError(f"{error.ename}: {error.evalue} (whole traceback: {out})") from None


def _module(name: str, *arguments: str | Path) -> int:
    done = processes.run(name, *map(str, arguments))
    done.check_returncode()
    return done.returncode


def _short(path: Path) -> str:
    """A path from the working directory on, where it is below."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def main(verb: str) -> int:
    """Do what make was asked for; returns the exit status."""
    its = asked(os.environ)
    papers = its["paper"]
    given = Request(its["preset"], its["data"], its["scale"], papers, its["seeds"])
    if verb in ("reproduce", "keep"):
        return {"reproduce": reproduce, "keep": keep}[verb](given, its["jobs"])
    if verb == "references":
        return references()
    if verb == "merge" and not its["bundle"]:
        raise ParameterError("FROM names no bundle; expected make merge FROM=ganzip-cpu.zip")
    run = given.folder(papers[0], Path()).name
    file = {"bundle": its["to"] or f"ganzip-{run}.zip", "merge": its["bundle"]}.get(verb)
    command = [verb] if file is None else [verb, file]
    options = given.parameters() | {"papers": ",".join(papers), "jobs": its["jobs"]}
    command += [f"--{name}={value}" for name, value in options.items()]
    return batch.main(command + ["--weights"] * its["weights"])


if __name__ == "__main__":
    with processes.program("ganzip"):
        try:
            sys.exit(main(sys.argv[1]))
        except (ValueError, OSError, RuntimeError, subprocess.CalledProcessError) as error:
            print(f"ganzip: {error}", file=sys.stderr)
            sys.exit(2)
