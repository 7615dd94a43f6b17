"""What notebooks and command lines take: typed, in range, refused in one line before any data."""

import ast
import math
import types
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest

from ganzip import batch, parameters, presets
from ganzip.papers import __main__ as command
from ganzip.parameters import BATCHED, NOTEBOOKS, ParameterError
from ganzip.report import keeping
from ganzip.units.plan import PAPER_NOTEBOOKS, Request

ROOT = Path(__file__).resolve().parents[1]


class Odd:
    """A value whose repr is of several lines, or fails."""

    def __init__(self, shown=None):
        self.shown = shown

    def __repr__(self):
        return self.shown or {}["nothing"]


NAN, INF = math.nan, math.inf
NO_NUMBER = ["", "x", "2,5", "nan", True, False, None, [], [1], {}, b"2", 1j, NAN, INF, -INF, Odd()]
NO_TEXT = [True, False, None, 1.5, NAN, [], ["cpu"], {}, b"cpu", Odd("a\nb")]
NO_TEXT += ["a\nb", "a\0", "\x1b[2J"]
# By the kind of a parameter: what is accepted, with what becomes of it, and what is refused.
KINDS = {
    "preset": (
        {name: name for name in presets.NAMES},
        ["", "CPU", "cpuu", "cpu ", "huge", 0, 1, *NO_TEXT],
    ),
    "scale": (
        {1: 1.0, 1.5: 1.5, "2": 2.0, " 0.5 ": 0.5, 0.01: 0.01, 1000: 1000.0, np.float32(2): 2.0},
        [*NO_NUMBER, 0, -1, 1e9, 1e-9, 10**400, "1e9", "-1", "0"],
    ),
    "seeds": (
        {0: 0, 2.0: 2, 3: 3, "3": 3, "03": 3, 100: 100, np.int64(4): 4},
        [*NO_NUMBER, 1.5, -1, 101, 10**30, "1.5", "-1", "1e3", "0x3"],
    ),
    "jobs": ({0: 0, 4: 4, "4": 4, 256: 256}, [*NO_NUMBER, -1, 1.5, 10**6, "many"]),
    "minutes": ({0: 0.0, 30: 30.0, "0.5": 0.5}, [*NO_NUMBER, -1, 1e9]),
    "processes": ({1: 1, "2": 2, 64: 64}, [*NO_NUMBER, 0, -1, 1.5, 1000]),
    "device": (
        {"auto": "auto", "cpu": "cpu"},
        ["tpu", "gpu", "cuda:x", "cuda:-1", "cuda:99", "CPU", "", 0, *NO_TEXT],
    ),
    "data": (
        {"mnist": "mnist", 2024: "2024", "2024": "2024", "/a/b c & d.zip": "/a/b c & d.zip"}
        | {"ä;b$c": "ä;b$c", "a.zip,b": "a.zip,b", Path("/a/b"): "/a/b", np.int64(7): "7"},
        [",", "a,", ",b", "a,,b", " ", "x" * 5000, *NO_TEXT],
    ),
    "out": (
        {"": "", "~/x": str(Path.home() / "x"), "a/b": "a/b", 2024: "2024"},
        ["/dev/null", "/dev/null/x", "~nobody-here/x", *NO_TEXT],
    ),
    "unit": ({"teacher-seed0": "teacher-seed0"}, ["", *NO_TEXT]),
    "adapter": ({"DCGAN": "DCGAN", "my_gan.py:adapter": "my_gan.py:adapter"}, ["", *NO_TEXT]),
    "weights": ({"": "", "~/a.pt": str(Path.home() / "a.pt")}, ["~nobody-here/a.pt", *NO_TEXT]),
    "target": (
        {"width 0.25": "width 0.25", "latency 1e-3": "latency 1e-3"},
        ["", "width", "0.25", "widht 0.2", "width 0", "width -1", "parameters nan", *NO_TEXT],
    ),
    "methods": ({"all": "all", "": "", "mse": "mse"}, NO_TEXT),
    "matrix": ({"": "", "smoke": "smoke"}, ["cpuu", "all", 1, *NO_TEXT]),
    "paper": ({"dcgan_kd": "dcgan_kd"}, ["", "dcgan", "stylegan", 1, *NO_TEXT]),
}
CASES = [(notebook, name) for notebook, taken in NOTEBOOKS.items() for name in taken.model_fields]
EACH = pytest.mark.parametrize(("notebook", "name"), CASES, ids=lambda text: text)


def refusal(schema, name, value):
    """The one line that a value is refused with; None where it is accepted."""
    try:
        parameters.check(schema, {name: value})
    except ParameterError as error:
        return str(error)
    return None


def in_order(line, name):
    """Whether an error is one line: the parameter, what was found, what is expected, a remedy."""
    found, _, more = line.partition("; ")
    return (
        found.startswith(f"{name} is ")
        and more.startswith(("expected ", "no paper "))
        and more.count(";") + more.count("did you mean") >= 1
        and line.isprintable()
        and len(line) < 300
    )


@EACH
def test_what_fits_is_accepted_and_typed(notebook, name):
    for value, expected in KINDS[name][0].items():
        found = parameters.check(NOTEBOOKS[notebook], {name: value})[name]
        assert (type(found), found) == (type(expected), expected), value


@EACH
def test_what_does_not_fit_is_refused_in_one_line(notebook, name):
    for value in KINDS[name][1]:
        line = refusal(NOTEBOOKS[notebook], name, value)
        assert line is not None and in_order(line, name), (value, line)


def test_refusals_name_what_was_meant():
    paper = NOTEBOOKS["1_dcgan_kd"]
    assert "did you mean cpu?" in str(refusal(paper, "preset", "cpuu"))
    assert refusal(NOTEBOOKS["5_explore"], "paper", "sdakd")  # it has no noise to walk through
    with pytest.raises(ParameterError, match="unknown parameter 'sclae', did you mean scale?"):
        parameters.check(paper, {"sclae": 2})


def test_a_gpu_that_is_not_here_is_refused_where_it_is_needed(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    unit = NOTEBOOKS["unit"]
    assert "which has no GPUs that PyTorch can use; take auto" in str(
        refusal(unit, "device", "cuda")
    )
    assert refusal(parameters.Workflow, "device", "cuda") is None  # planned here, trained elsewhere
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert refusal(unit, "device", "cuda") is None is refusal(unit, "device", "cuda:0")
    assert "which has 1 GPU that" in str(refusal(unit, "device", "cuda:1"))


# Notebooks ----------------------------------------------------------------------------------------


def cells(notebook):
    found = nbformat.read(ROOT / "notebooks" / f"{notebook}.ipynb", as_version=4).cells
    return [cell for cell in found if cell.cell_type == "code"]


def begun(notebook, **given):
    """A notebook's namespace after the parameters, the injected ones, and the cell after them."""
    namespace = {"In": [], "get_ipython": None}
    exec(cells(notebook)[0].source, namespace)
    namespace |= given
    exec(cells(notebook)[1].source, namespace)
    return namespace


def test_every_notebook_is_known():
    assert {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} == set(NOTEBOOKS)
    assert tuple(PAPER_NOTEBOOKS) == BATCHED


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_the_parameters_cell_is_the_schema(notebook):
    first, second, *_ = cells(notebook)
    assert "parameters" in first.metadata.tags
    assert f'parameters.of_notebook("{notebook}", globals())' in second.source
    lines = [node for node in ast.parse(first.source).body if isinstance(node, ast.AnnAssign)]
    cell = {
        ast.unparse(line.target): (ast.unparse(line.annotation), ast.literal_eval(line.value))
        for line in lines
        if line.value is not None
    }
    schema = NOTEBOOKS[notebook].model_fields
    assert cell.keys() == schema.keys() and len(lines) == len(first.source.splitlines())
    for name, (kind, default) in cell.items():
        assert kind == type(default).__name__ == type(schema[name].default).__name__, name
        assert default == schema[name].default, name
        assert name in KINDS


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_a_wrong_or_unknown_parameter_stops_a_notebook_before_it_loads_anything(notebook):
    for given in ({"preset": "cpuu"}, {"presett": "cpu"}, {"preset": None}):
        with pytest.raises(ParameterError):
            begun(notebook, **given)
    modules = [v for v in begun(notebook).values() if isinstance(v, types.ModuleType)]
    light = {f"ganzip.{name}" for name in ("parameters", "presets", "files", "report.show")}
    assert {module.__name__ for module in modules} <= light  # no data, no paper


# Command lines ------------------------------------------------------------------------------------

COMMANDS = {
    "ganzip.batch": (lambda *given: batch.main(["status", *given]), parameters.Batch),
    "ganzip.report.keeping": (lambda *given: keeping.main(["keep", *given]), parameters.Keeping),
    "ganzip.papers": (lambda *given: command.parse(["dcgan_kd", *given]), parameters.Command),
}
OPTIONS = [
    (module, name)
    for module, (_, schema) in COMMANDS.items()
    for name in schema.model_fields
    if name not in ("paper", "unit")
]
NO_PAPERS = ["nonesuch", "sdakd,nonesuch", "sdakd,,dcgan_kd", "DCGAN_KD"]


@pytest.mark.parametrize(("module", "name"), OPTIONS)
def test_command_lines_refuse_in_one_line_before_planning(module, name, capsys, monkeypatch):
    monkeypatch.setattr(Request, "units", None)
    bad = NO_PAPERS if name == "papers" else [v for v in KINDS[name][1] if isinstance(v, str)]
    for value in bad:
        with pytest.raises(SystemExit) as stop:
            COMMANDS[module][0](f"--{name}={value}")
        told = capsys.readouterr().err
        assert stop.value.code == 2 and told.count("\n") == 1
        assert told.startswith(f"{module}: --{name} is ") and "expected" in told, told
    for wrong in ([f"--{name}"], [f"--{name}ness=1"], ["--nonesuch"]):
        with pytest.raises(SystemExit) as stop:
            COMMANDS[module][0](*wrong)
        assert stop.value.code == 2 and capsys.readouterr().err.count("\n") == 1


def test_a_plan_is_checked_however_it_is_made():
    loose: Any = Request
    assert loose(data=2024, scale="2").data == "2024"
    for wrong in ({"scale": math.nan}, {"preset": "cpuu"}, {"seeds": -1}, {"data": "a,"}):
        with pytest.raises(ParameterError):
            loose(**wrong)
    makers: list[Any] = [presets.dcgan_kd, presets.sdakd, presets.nickel_dime]
    for make in makers:
        for wrong in ({"scale": math.inf}, {"scale": 1e9}, {"scale": 0}, {"seeds": -1}):
            with pytest.raises(ParameterError):
                make("smoke", **wrong)
