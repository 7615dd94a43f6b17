"""Every parameter of notebooks, command lines and make: its type, its range, what it means.

    globals().update(parameters.of_notebook("1_dcgan_kd", globals()))

A class below is what one of them takes, with its defaults. A value that does not fit is refused
before anything is loaded, in one line: the parameter, what was found, what is expected, a remedy.
"""

import argparse
import difflib
import math
import operator
import os
from collections.abc import Callable, Collection, Mapping
from numbers import Integral, Real
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal, NoReturn, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

MAX_CHARACTERS = 60  # of a value in an error
NEAR = 0.7  # likeness of a name that may have been meant
JUPYTER = {"In", "Out", "exit", "quit", "open", "get_ipython"}  # names of its own
CHECKED = "_parameters"  # in a notebook's namespace: which notebook's parameters were checked
TARGETS = ("width", "parameters", "multiply-adds", "latency")


class ParameterError(ValueError):
    """A parameter that does not exist, or whose value does not fit; the message is one line."""


# Types --------------------------------------------------------------------------------------------


def _number(value: Any) -> Any:
    """Numbers, also NumPy's, and texts of numbers; booleans are none."""
    if isinstance(value, bool) or not isinstance(value, Real | str):
        raise ValueError
    if isinstance(value, Integral):
        return operator.index(value)
    return value if isinstance(value, str) else float(value)


def _text(value: Any) -> str:
    """A text. A folder called 2024 comes from papermill as a number, which is as good as its text;
    1e3, True and None are not, for other texts give the same.
    """
    if isinstance(value, Integral) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if value is None or isinstance(value, bool | float):
        raise ValueError(
            "expected a text; give it in quotes, and to papermill by -r in place of -p"
        )
    if not isinstance(value, str):
        raise ValueError
    if len(value) > 4096 or not value.isprintable():
        raise ValueError("expected a text of one line without control characters; retype it")
    return value


def _check_sets(value: str) -> str:
    if value and not all(part.strip() for part in value.split(",")):
        raise ValueError("expected a name or path on each side of a comma; leave the comma out")
    return value


def _check_folder(value: str) -> str:
    """The path of a folder that is there, or can be made; "~" is the home folder."""
    if not value:
        return value
    try:
        path = Path(value).expanduser()
        place = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    except (OSError, RuntimeError) as error:
        raise ValueError(f"expected a folder ({error}); name another") from None
    if not place.is_dir():
        raise ValueError(f"expected a folder, and {place.name} is a file; name another")
    if not os.access(place, os.W_OK):
        raise ValueError(f"expected a folder, and {place} cannot be written to; name another")
    return str(path)


def _expand_home(path: str) -> str:
    """A path whose "~" is the home folder."""
    try:
        return str(Path(path).expanduser()) if path else path
    except RuntimeError as error:
        raise ValueError(f"expected a path ({error}); write it out") from None


def _check_device(device: str) -> str:
    """A device of this machine."""
    if device.startswith("cuda"):
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(device[5:] or 0) >= count:
            found = f"{count or 'no'} GPU{'s' * (count != 1)} that PyTorch can use"
            raise ValueError(f"expected a device of this machine, which has {found}; take auto")
    return device


def target_of(text: str) -> dict[str, float]:
    """A target as notebook 4 takes it, such as "width 0.25" or "parameters 500000", as a dict.

    Below 1 a number is a share of the teacher's; from 1 on it is a count or, of a latency,
    milliseconds. Raises ValueError.
    """
    kind, _, limit = text.strip().rpartition(" ")
    try:
        number = float(limit)
    except ValueError:
        number = math.nan
    if kind.strip() not in TARGETS or not 0 < number < math.inf:
        kinds = ", ".join(TARGETS)
        raise ValueError(
            f"expected one of {kinds}, and a number above 0; write it as in 'width 0.25'"
        )
    return {kind.strip(): number}


def _papers(value: Any) -> Any:
    """Names of papers, with commas between or in a list; nothing is all."""
    if isinstance(value, str):
        value = [name.strip() for name in value.split(",")] if value.strip() else []
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise ValueError
    return value


def _one_of(choices: Collection[str]) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    def check(names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in choices:
                raise ValueError(f"no paper {name!r}; {_choice(name, choices)}")
        return tuple(name for name in choices if name in (names or BATCHED))

    return check


Preset = Annotated[
    Literal["smoke", "cpu", "night", "gpu", "paper"], Field(description="how much is done")
]
PRESETS: tuple[str, ...] = get_args(get_args(Preset)[0])
Text = Annotated[str, BeforeValidator(_text), Field(title="a text")]
Data = Annotated[
    Text,
    AfterValidator(_check_sets),
    Field(
        title="a data set's name, or the path of a folder or zip of images",
        description="a data set by name, or a folder or zip of images; empty: each paper's own",
    ),
]
Scale = Annotated[
    float,
    BeforeValidator(_number),
    Field(ge=0.01, le=1000, allow_inf_nan=False, description="times steps and seeds"),
]
Whole = Annotated[int, BeforeValidator(_number)]
Seeds = Annotated[Whole, Field(ge=0, le=100, description="of a row, at least; 0: the preset's")]
Jobs = Annotated[Whole, Field(ge=0, le=256, description="units side by side, 0 for one a core")]
Processes = Annotated[Whole, Field(ge=1, le=64, description="of one unit, a GPU each")]
Minutes = Annotated[
    float, BeforeValidator(_number), Field(ge=0, le=100_000, allow_inf_nan=False)
]  # of training; 0 for the preset's
AnyDevice = Annotated[
    Text,
    Field(
        pattern=r"^(auto|cpu|cuda(:\d{1,2})?)$",
        title="auto, cpu, cuda or cuda:0, a GPU by its number",
        description="auto, cpu or cuda",
    ),
]
Device = Annotated[AnyDevice, AfterValidator(_check_device)]
Folder = Annotated[Text, AfterValidator(_check_folder), Field(title="the path of a folder")]
Name = Annotated[Text, Field(min_length=1, title="a name")]
File = Annotated[Text, AfterValidator(_expand_home), Field(title="the path of a file")]

Batched = Literal["dcgan_kd", "sdakd", "nickel_dime"]  # what a batch engine does
BATCHED: tuple[str, ...] = get_args(Batched)
OWN = "your_own_gan"
PAPERS = "a list of papers with commas between"
Papers = Annotated[
    tuple[str, ...],
    BeforeValidator(_papers),
    AfterValidator(_one_of(BATCHED)),
    Field(title=PAPERS, description=f"of {', '.join(BATCHED)}; empty: all"),
]
AllPapers = Annotated[
    tuple[str, ...],
    BeforeValidator(_papers),
    AfterValidator(_one_of((*BATCHED, OWN))),
    Field(title=PAPERS, description=f"of {', '.join(BATCHED)}, {OWN}; empty: all but the last"),
]


# What takes which ---------------------------------------------------------------------------------


class Schema(BaseModel):
    """Some parameters with their defaults; no others are taken."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Plan(Schema):
    """What decides which units there are."""

    preset: Preset = "cpu"
    data: Data = ""
    scale: Scale = 1.0
    seeds: Seeds = 0


class Batch(Plan):
    """``python -m ganzip.batch``."""

    papers: Papers = BATCHED
    jobs: Jobs = 0
    device: Device = "auto"
    minutes: Annotated[Minutes, Field(description="of run, which then runs no notebook")] = 0.0


class Keeping(Plan):
    """``python -m ganzip.report.keeping``."""

    papers: AllPapers = BATCHED


class Make(Plan):
    """make."""

    paper: AllPapers = BATCHED
    jobs: Jobs = 0
    to: File = ""
    bundle: File = ""
    weights: Annotated[bool, Field(title="0 or 1")] = False


class Workflow(Plan):
    """Snakemake's ``--config``."""

    papers: Papers = BATCHED
    device: AnyDevice = "auto"
    processes: Processes = 1


class Command(Plan):
    """``python -m ganzip.papers``."""

    paper: Batched
    unit: Name | None = None
    device: Device = "auto"
    processes: Annotated[Processes, Field(description="of torchrun, a GPU each")] = 1


class Unit(Plan):
    """``unit.ipynb``."""

    paper: Literal["dcgan_kd", "sdakd", "nickel_dime", "your_own_gan", "matrix"] = "dcgan_kd"
    unit: Name = "regular-d4-seed0"
    device: Device = "auto"
    processes: Processes = 1


class Start(Schema):
    """``0_start_here.ipynb``."""

    preset: Preset = "cpu"


class Paper(Plan):
    """``1_dcgan_kd.ipynb`` and ``3_nickel_dime.ipynb``."""

    data: Annotated[Data, Field(min_length=1)] = "digits"
    jobs: Jobs = 0
    device: Device = "auto"
    out: Folder = ""


class Photos(Paper):
    """``2_sdakd.ipynb``."""

    data: Annotated[Data, Field(min_length=1)] = "photos"


class Own(Plan):
    """``4_your_own_gan.ipynb``."""

    adapter: Name = "RealESRGAN-bicubic"
    weights: File = ""
    target: Annotated[
        Text,
        AfterValidator(lambda text: target_of(text) and text),
        Field(
            description=f"{', '.join(TARGETS)}, and a number: below 1 a share of the teacher's, "
            "else a count, of latency milliseconds"
        ),
    ] = "width 0.25"
    methods: Text = "mse, SDAKD, CAGC, DiME, NICKEL & DiME"
    minutes: Minutes = 0.0
    jobs: Jobs = 0
    device: Device = "auto"
    matrix: Preset | Literal[""] = ""
    out: Folder = ""


class Explore(Schema):
    """``5_explore.ipynb``."""

    preset: Preset = "cpu"
    paper: Annotated[
        Literal["dcgan_kd", "nickel_dime"],
        Field(title=", whose generators draw from noise; 2_sdakd.ipynb shows SDAKD's images"),
    ] = "nickel_dime"
    data: Data = ""
    scale: Scale = 1.0
    jobs: Jobs = 0
    device: Device = "auto"


NOTEBOOKS: dict[str, type[Schema]] = {
    "0_start_here": Start,
    "1_dcgan_kd": Paper,
    "2_sdakd": Photos,
    "3_nickel_dime": Paper,
    "4_your_own_gan": Own,
    "5_explore": Explore,
    "unit": Unit,
}

# Checks -------------------------------------------------------------------------------------------


def check(
    schema: type[Schema], given: Mapping[str, Any], spell: Callable[[str], str] = str
) -> dict[str, Any]:
    """All parameters of the schema, typed: the given ones, defaults for the others.

    ``spell`` is how whoever gave them writes a name: "--jobs", "JOBS". Raises ParameterError.
    """
    fields = schema.model_fields
    for name in given:
        if name not in fields:
            raise ParameterError(unknown_name(name, [spell(field) for field in fields]))
    try:
        return dict(schema(**given))
    except ValidationError as error:
        (first, *_) = error.errors(include_url=False)
    name = str(first["loc"][0])
    value, field = given.get(name), fields[name]
    reason = str(first.get("ctx", {}).get("error", "")) or _expectation(field, value)
    raise ParameterError(f"{spell(name)} is {_format_value(value)}; {reason}")


def of_notebook(name: str, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """The notebook's parameters, typed, out of its ``globals()``; raises ParameterError.

    An unknown one is an error, which papermill only logs. When the cell runs again, in JupyterLab,
    the namespace holds what other cells made, and unknown names are left alone.
    """
    schema = NOTEBOOKS[name]
    again = namespace.get(CHECKED) == name
    given = {
        key: value
        for key, value in namespace.items()
        if key in schema.model_fields
        or not (again or key.startswith("_") or key in JUPYTER or isinstance(value, ModuleType))
    }
    return check(schema, given) | {CHECKED: name}


def unknown_name(name: str, names: Collection[str]) -> str:
    """The line for a parameter that does not exist."""
    near = difflib.get_close_matches(name, names, 1, NEAR)
    hint = f", did you mean {near[0]}?" if near else ";"
    return f"unknown parameter {name!r}{hint} expected {', '.join(names)}"


def _expectation(field: FieldInfo, found: Any) -> str:
    """What a parameter may be, and what helps."""
    default = int(field.default) if field.annotation is bool else field.default
    usual = "give it" if field.is_required() else f"leave it out for {default!r}"
    limits = {k: getattr(m, k) for m in field.metadata for k in ("ge", "le") if hasattr(m, k)}
    if choices := _choices(field.annotation):
        return _choice(found, choices, field.title or f"; {usual}")
    if limits:
        kind = "a whole number" if field.annotation is int else "a number"
        return f"expected {kind} from {limits['ge']:g} to {limits['le']:g}; {usual}"
    return f"expected {field.title}; {usual}"


def _choices(annotation: Any) -> tuple[str, ...]:
    """The texts of a Literal, or of a union of such."""
    args = get_args(annotation)
    if args and all(isinstance(arg, str) for arg in args):
        return args
    return tuple(text for arg in args for text in _choices(arg))


def _choice(value: Any, choices: Collection[str], otherwise: str = "") -> str:
    near = difflib.get_close_matches(value, choices, 1, NEAR) if isinstance(value, str) else []
    line = f"expected one of {', '.join(name or repr(name) for name in choices)}"
    return f"{line}; did you mean {near[0]}?" if near else line + otherwise


def _format_value(value: Any) -> str:
    try:
        text = " ".join(repr(value).split())
    except Exception as error:  # a value's own doing
        text = f"a {type(value).__name__} ({type(error).__name__})"
    return text if len(text) <= MAX_CHARACTERS else f"{text[: MAX_CHARACTERS - 3]}..."


# Command lines ------------------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, after the name of its program."""

    def __init__(self, module: str, **more: Any):
        super().__init__(f"python -m {module}", allow_abbrev=False, **more)
        self.module = module

    def error(self, message: str) -> NoReturn:
        """Exit with 2."""
        self.exit(2, f"{self.module}: {message}\n")

    def options(self, schema: type[Schema]) -> None:
        """An option for each parameter that the schema has and the parser has not."""
        there = {action.dest for action in self._actions}
        for name, field in schema.model_fields.items():
            if name not in there:
                text = f"{field.description} (default: {field.default})".replace("%", "%%")
                self.add_argument(f"--{name}", help=text)

    def check(self, schema: type[Schema], line: argparse.Namespace) -> dict[str, Any]:
        """The schema's parameters out of what was parsed; exits with 2 where one does not fit."""
        given = {k: v for k, v in vars(line).items() if k in schema.model_fields}
        try:
            return check(schema, {k: v for k, v in given.items() if v is not None}, "--{}".format)
        except ParameterError as error:
            self.error(str(error))
