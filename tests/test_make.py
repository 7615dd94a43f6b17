"""make's values: to the letter to Python, checked there; and one folder a run, named once."""

import json
import os
import re
import runpy
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

from ganzip import batch, device, parameters, reproduce
from ganzip.parameters import ParameterError
from ganzip.report import keeping
from ganzip.units import output_folder
from ganzip.units.plan import Request

ROOT = Path(__file__).resolve().parents[1]
VERBS = ("reproduce", "status", "bundle", "merge", "keep", "references", "smoke")
# Values that a shell, make, papermill or Snakemake would read in some way of its own.
ODD = [
    "my photos & more.zip", "two  blanks", "a;touch canary", "$(touch canary)",
    "$(shell touch canary)", "${shell touch canary}", "`touch canary`", "|touch canary", "$$HOME",
    "$HOME", "$@", "a'b", 'a"b', "a\\b", "a#b", "a*b?", "[a-z]", "{a,b}", "{0}", "%s", "~",
    "ä ß 日", "&& touch canary", "> canary", "x\ntouch canary", "-n", "--help", "a=b", "a:b",
    "2024", "1e3",
    "True", "null", "!!python/none", "- a", "@touch canary", "$(eval X=1)", "$(info x)",
]  # fmt: skip


@pytest.fixture
def make(tmp_path):
    """Runs make with a Python that only writes down what it is given; returns that."""
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / ".installed").touch()
    python = venv / "bin" / "python"
    python.write_text(
        f'#!/bin/sh\nenv -0 > "{tmp_path}/env"; printf "%s\\n" "$@" > "{tmp_path}/argv"'
    )
    python.chmod(python.stat().st_mode | stat.S_IXUSR)

    def run(*given, **environment):
        made = ["-s", "-f", str(ROOT / "Makefile"), f"VENV={venv}", "-o", str(venv / ".installed")]
        done = subprocess.run(
            ["make", *made, *given], cwd=tmp_path, env=os.environ | environment,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert not list(tmp_path.glob("*canary*")), "something ran"
        pairs = (tmp_path / "env").read_bytes().decode().split("\0")
        argv = (tmp_path / "argv").read_text().split()
        if argv[1] == "ganzip.processes":  # with which it ends with make
            assert int(argv[2]) > 1
            argv = ["-m", *argv[3:]]
        return dict(p.split("=", 1) for p in pairs if p), argv

    return run


def test_values_reach_python_to_the_letter(make):
    names = ("DATA", "JOBS", "TO", "SCALE", "PAPER", "GANZIP_RUNS")
    for i in range(0, len(ODD), 2):  # each as DATA; all pairs of values stand beside each other
        given = dict(zip(names, (ODD[i:] + ODD)[: len(names)], strict=True))
        environment, argv = make("status", *map("=".join, given.items()))
        assert {name: environment[name] for name in names} == given
        assert argv[-2:] == ["ganzip.reproduce", "status"]
        environment, _ = make("status", **given)
        assert {name: environment[name] for name in names} == given


@pytest.mark.parametrize("verb", VERBS)
def test_verbs_run_one_module(make, verb):
    environment, argv = make(verb, "SEEDS=3")
    assert argv[-2:] == ["ganzip.reproduce", "reproduce" if verb == "smoke" else verb]
    assert (environment["PRESET"] == "smoke") if verb == "smoke" else "PRESET" not in environment
    assert sorted(environment["MAKE_SET"].split()) == ["SEEDS", "VENV"]


@pytest.fixture
def given(monkeypatch):
    """Sets the variables that make sets, and those alone."""
    for name in reproduce.VARIABLES:
        monkeypatch.delenv(name, raising=False)

    def setting(**values):
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return setting


# What Python makes of them ------------------------------------------------------------------------

REFUSED = [
    (name, value)
    for name, values in {
        "PRESET": ["cpuu", "CPU", "cpu smoke"],
        "SCALE": ["nan", "inf", "-1", "0", "1e9", "2,5", "x", "$(x)"],
        "SEEDS": ["-1", "1.5", "x", "1000000"],
        "JOBS": ["-1", "x;touch canary", "1.5", "99999", "two"],
        "PAPER": ["dcgan", "nonesuch", "sdakd;ls", "*"],
        "DATA": [",", "a,", "a\nb"],
        "WEIGHTS": ["maybe", "2"],
        "MAKE_SET": ["PRESTE", "SEED", "data"],
    }.items()
    for value in values
]


@pytest.mark.parametrize(("name", "value"), REFUSED)
@pytest.mark.parametrize("verb", ["status", "reproduce"])
def test_what_does_not_fit_is_one_line_and_nothing_runs(name, value, verb, given, monkeypatch):
    for where, what in ((reproduce, "execute"), (batch, "run_snakemake"), (Request, "units")):
        monkeypatch.setattr(where, what, None)
    given(**{name: value})
    with pytest.raises(ParameterError) as error:
        reproduce.main(verb)
    line = str(error.value)
    assert line.isprintable() and "expected" in line and len(line) < 300
    assert line.startswith(f"unknown parameter {value!r}" if name == "MAKE_SET" else f"{name} is ")


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_an_error_is_one_line_of_the_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ganzip.reproduce", "status"])
    monkeypatch.setenv("JOBS", "-1")
    with pytest.raises(SystemExit) as stop:
        runpy.run_module("ganzip.reproduce", run_name="__main__")
    told = capsys.readouterr()
    expected = "ganzip: JOBS is '-1'; expected a whole number from 0 to 256; leave it out for 0\n"
    assert (stop.value.code, told.out, told.err) == (2, "", expected)


SAME = [  # make's values, and the folder of the run
    ({}, "cpu"), ({"DATA": "digits"}, "cpu"), ({"DATA": "mnist"}, "cpu-mnist"),
    ({"DATA": "faces.zip"}, "cpu-faces"), ({"DATA": "faces"}, "cpu-faces"),
    ({"DATA": "./faces/"}, "cpu-faces"), ({"DATA": "/a//faces/"}, "cpu-faces-4ff36b"),
    ({"DATA": "/a/faces"}, "cpu-faces-4ff36b"), ({"DATA": "/b/faces"}, "cpu-faces-5964f3"),
    ({"DATA": "/a/photos"}, None), ({"DATA": "photos.zip"}, None), ({"DATA": "/"}, None),
    ({"DATA": "2024"}, "cpu-2024"), ({"DATA": "faces.v1"}, "cpu-faces.v1"),
    ({"DATA": "my photos & more.zip"}, None), ({"DATA": ".."}, None), ({"DATA": "-n"}, None),
    ({"DATA": "a.zip,b"}, "cpu-a+b"), ({"DATA": "a.zip, b"}, "cpu-a+b"),
    ({"SCALE": "1.0"}, "cpu"), ({"SCALE": "1"}, "cpu"), ({"SCALE": "2"}, "cpu-x2"),
    ({"SCALE": "2.0"}, "cpu-x2"), ({"SCALE": "01.50"}, "cpu-x1.5"), ({"SCALE": "5e-1"}, "cpu-x0.5"),
    ({"SCALE": "0.3333333"}, "cpu-x0.3333333"), ({"SEEDS": "03"}, "cpu-s3"),
    ({"SEEDS": "0"}, "cpu"), ({"SEEDS": "3.0"}, "cpu-s3"), ({"PRESET": "smoke"}, "smoke"),
    ({"JOBS": "4"}, "cpu"), ({"PRESET": "gpu", "DATA": "mnist", "SCALE": "2", "SEEDS": "3"},
                             "gpu-mnist-x2-s3"),
]  # fmt: skip


def folder_of_notebook(path, given, root):
    """Where a notebook puts its tables, by its own line, with these parameters injected."""
    cells = nbformat.read(path, as_version=4).cells
    (line,) = re.findall(r"^folder = (Path\(.*)", "\n".join(c.source for c in cells), re.M)
    own = SimpleNamespace(PAPER=keeping.OWN)
    typed = parameters.of_notebook(path.stem, given)
    return eval(
        line, {"root": root, "Path": Path, "output_folder": output_folder, "own": own} | typed
    )


@pytest.mark.parametrize("paper", keeping.NAMES)
@pytest.mark.parametrize(("values", "name"), SAME, ids=lambda v: str(v))
def test_make_and_the_notebooks_name_one_folder(values, name, paper, given, monkeypatch, tmp_path):
    given(**values, PAPER=paper, GANZIP_RUNS=str(tmp_path))
    seen = []

    def execute(notebook, out, given):
        expected = folder_of_notebook(notebook, json.loads(json.dumps(given)), tmp_path)
        for kind in ("tables", "figures"):
            (expected / kind).mkdir(parents=True)
        seen.append((out, expected))

    monkeypatch.setattr(reproduce, "execute", execute)
    monkeypatch.setattr(reproduce, "find_spec", lambda name: None)
    assert reproduce.main("reproduce") == 0
    ((out, expected),) = seen
    assert out.parent == expected and expected.parent == tmp_path / paper
    if name is not None:
        assert expected.name == name
    assert re.fullmatch(r"[\w.+-]+", expected.name) and not expected.name.endswith(("-", "."))


def test_the_verbs_of_batch_are_given_the_same(given, monkeypatch, tmp_path):
    told = []
    monkeypatch.setattr(batch, "do", lambda *what, weights: told.append((*what, weights)) or 0)
    given(GANZIP_RUNS=str(tmp_path), DATA="my photos & more.zip", SCALE="1.0")
    assert reproduce.main("status") == 0
    request = Request(data="my photos & more.zip")
    assert told.pop() == ("status", request, device.default_jobs("cpu"), None, False)
    given(WEIGHTS="1", PAPER="sdakd", DATA="photos")
    reproduce.main("bundle")
    assert told[0][:2] == ("bundle", Request(papers=("sdakd",)))
    assert told.pop()[3:] == (Path("ganzip-cpu.zip"), True)
    given(TO="~/x.zip")
    reproduce.main("bundle")
    assert told.pop()[3] == Path.home() / "x.zip"
    with pytest.raises(ParameterError, match="FROM names no bundle"):
        reproduce.main("merge")
    given(FROM="x.zip")
    reproduce.main("merge")
    assert (told[0][0], told.pop()[3]) == ("merge", Path("x.zip"))
    given(PAPER="your_own_gan")
    with pytest.raises(ParameterError, match="PAPER is your_own_gan; expected of dcgan_kd"):
        reproduce.main("status")


def test_snakemake_is_given_texts_as_texts(monkeypatch, tmp_path):
    io = pytest.importorskip("snakemake.common.configfile")
    monkeypatch.setattr(Request, "units", lambda _: [])

    def run(*command, **_):
        calls.append(command)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(batch.processes, "run", run)
    calls = []
    for value in [*ODD, "007", "1.50"]:
        if value.isprintable():
            given = Request("smoke", value, 2.0, ("sdakd",), 3)
            assert batch.run_snakemake(given, tmp_path, 2) == 0
            file = calls[-1][calls[-1].index("--configfile") + 1]
            found = parameters.check(parameters.Workflow, io.load_configfile(file))
            assert (found["data"], found["papers"], found["seeds"]) == (value, ("sdakd",), 3)
