"""What make does with notebooks: ``python -m ganzip.reproduce reproduce``, and make's other verbs.

What is asked for comes through the environment (``PRESET``, ``DATA``, ...), so that no shell reads
it, and is checked before anything else.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ganzip import batch, files, parameters, processes
from ganzip._compat import optional
from ganzip.device import default_jobs
from ganzip.parameters import BATCHED, OWN, ParameterError
from ganzip.units.plan import NAMES, Request
from ganzip.units.pool import pick_device

# make's variables and the parameters that they are.
VARIABLES = {
    **{name.upper(): name for name in ("preset", "data", "scale", "seeds", "paper", "jobs", "to")},
    **{"FROM": "bundle", "WEIGHTS": "weights"},
}
# Others that a command line of make may set.
OTHER_VARIABLES = "PYTHON VENV GANZIP_RUNS GANZIP_DATA GANZIP_WEIGHTS GANZIP_TEACHERS".split()


def read_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """make's parameters, typed; empty ones have their defaults. Raises ParameterError.

    ``MAKE_SET`` lists the variables that make's command line set: a misspelt one is an error.
    """
    names = [*VARIABLES, *OTHER_VARIABLES]
    for name in environment.get("MAKE_SET", "").split():
        if name not in names and not name.startswith("MAKE"):
            raise ParameterError(parameters.unknown_name(name, names))
    variables = {field: name for name, field in VARIABLES.items()}
    given = {field: value for field, name in variables.items() if (value := environment.get(name))}
    values = parameters.check(parameters.Make, given, lambda field: variables[field])
    # make's help calls every paper's embedded set "digits".
    if values["data"] == "digits" or (values["data"], values["paper"]) == ("photos", ("sdakd",)):
        values["data"] = ""
    return values


def reproduce(request: Request, jobs: int = 0) -> int:
    """Every notebook into the folder of its run; returns the exit status.

    With ``jobs``, and where Snakemake is installed, it does the work; else the notebooks do it
    themselves. Notebook 4 always does.
    """
    by_engine = jobs and find_spec("snakemake") and OWN not in request.papers
    if by_engine and (code := batch.run_snakemake(request, files.runs_folder(), jobs)):
        return code
    for paper in request.papers:
        notebook, out = place(request, paper)
        print(f"{_short(notebook)} -> {_short(out.parent)}", flush=True)
        if not by_engine:
            execute(notebook, out, request.parameters() | ({"jobs": jobs} if jobs else {}))
        for folder in (out.parent / "figures", out.parent / "tables"):
            names = sorted(file.name for file in folder.iterdir())
            print(f"{_short(folder)}:", *names, "", sep="\n", flush=True)
    return 0


def keep(request: Request, jobs: int = 0) -> int:
    """Reproduce, and keep what came out in figures/; at the defaults also two notebooks."""
    from ganzip.report import keeping  # what counts a plan needs no matplotlib

    if code := reproduce(request, jobs):
        return code
    at_defaults, notebooks = not request.parameters(), files.repository() / "notebooks"
    if at_defaults and OWN in request.papers:
        notebook, out = place(request, OWN)
        keeping.tidy(out)
        shutil.copy(out, notebook)
    print(*keeping.keep(request, files.runs_folder(), keeping.folder()), sep="\n")
    for name in ("unit", "0_start_here") if at_defaults else ("0_start_here",):
        execute(notebooks / f"{name}.ipynb", notebooks / f"{name}.ipynb")
        keeping.tidy(notebooks / f"{name}.ipynb")
    return 0


def references() -> int:
    """Execute at smoke what nbval replays, into tests/notebooks/."""
    from ganzip.report import keeping

    os.environ["GANZIP_RUNS"] = str(files.runs_folder().resolve() / "nbval")
    shutil.rmtree(files.runs_folder(), ignore_errors=True)
    for notebook in sorted((files.repository() / "notebooks").glob("*.ipynb")):
        out = files.repository() / "tests" / "notebooks" / notebook.name
        execute(notebook, out, {"preset": "smoke"})
        keeping.trim(out)
        keeping.tidy(out)
    notebooks = str(files.repository() / "tests" / "notebooks")
    processes.run("ruff", "format", "-q", notebooks).check_returncode()
    return 0


def place(request: Request, paper: str) -> tuple[Path, Path]:
    """A paper's notebook, and where it is executed to: beside its tables and figures."""
    name = f"{NAMES[paper]}.ipynb"
    out = request.folder(paper, files.runs_folder()) / name
    return files.repository() / "notebooks" / name, out


def execute(notebook: Path, out: Path, values: Mapping[str, Any] | None = None) -> None:
    """Execute a notebook, its outputs shown as they come; ``values`` are parameters of it.

    Raises RuntimeError with the last line of its error.
    """
    papermill = optional("papermill", "python -m ganzip.batch run --minutes 30 does without")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        papermill.execute_notebook(
            notebook,
            out,
            dict(values or {}),
            kernel_name="python3",
            progress_bar=False,
            stdout_file=sys.stdout,
            stderr_file=sys.stderr,
        )
    except papermill.PapermillExecutionError as error:
        raise RuntimeError(f"{error.ename}: {error.evalue} (whole traceback: {out})") from None


def _short(path: Path) -> str:
    """A path from the working directory on, where it is below."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def main(verb: str) -> int:
    """Do what make was asked for; returns the exit status."""
    values = read_environment(os.environ)
    papers = values["paper"]
    request = Request(values["preset"], values["data"], values["scale"], papers, values["seeds"])
    if verb in ("reproduce", "keep"):
        return {"reproduce": reproduce, "keep": keep}[verb](request, values["jobs"])
    if verb == "references":
        return references()
    if verb == "merge" and not values["bundle"]:
        raise ParameterError("FROM names no bundle; expected make merge FROM=ganzip-cpu.zip")
    if OWN in papers:
        raise ParameterError(f"PAPER is {','.join(papers)}; expected of {', '.join(BATCHED)}")
    run = request.folder(papers[0], Path()).name
    file = {"bundle": values["to"] or f"ganzip-{run}.zip", "merge": values["bundle"]}.get(verb)
    jobs = values["jobs"] or default_jobs(pick_device("auto"))
    return batch.do(verb, request, jobs, file and Path(file), weights=values["weights"])


if __name__ == "__main__":
    with processes.program("ganzip", RuntimeError, ImportError, subprocess.CalledProcessError):
        sys.exit(main(sys.argv[1]))
