"""The matrix of the three papers: every method on every network family that it can serve.

One teacher, one data set, one number of steps and the same seeds for all methods of a family, which
no paper has side by side. Teachers are those of the papers' own runs, trained where there are none.

    units = matrix.prepare("cpu")
    perform_all(units, matrix.work, files.runs_folder())
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pandas as pd
from torch import Tensor

from ganzip import presets
from ganzip.distil.compose import CONTROL, METHODS, refusals
from ganzip.distil.family import Adapter
from ganzip.measure.rows import pick
from ganzip.papers import adapters, dcgan_kd, nickel_dime, sdakd
from ganzip.papers import your_own_gan as own
from ganzip.papers import your_own_gan_rows as measure
from ganzip.report import tables
from ganzip.report.claims import verdict
from ganzip.units import Run, Unit, find_units, in_order, read_rows

PAPER = "matrix"
PAPERS: dict[str, ModuleType] = {m.PAPER: m for m in (dcgan_kd, nickel_dime)} | {"sdakd": sdakd}
LEVELS = ("teacher", "start")
DASH = "-"


@dataclass(frozen=True, kw_only=True)
class Family:
    """A column of the matrix: who teaches, and what a student is and gets."""

    adapter: Adapter
    teacher: Unit
    width: float
    steps: int
    seeds: int


# Students' widths; steps and seeds by preset.
WIDTHS = {"DCGAN": 0.25, "StyleGAN2": 0.25, "GCFSR": 0.25, "RealESRGAN": 0.25}
STEPS: dict[str, dict[str, tuple[int, int]]] = {
    "smoke": dict.fromkeys(WIDTHS, (5, 1)),
    "cpu": {"DCGAN": (400, 2), "StyleGAN2": (50, 2), "GCFSR": (30, 2), "RealESRGAN": (24, 2)},
    "night": {
        "DCGAN": (2000, 3),
        "StyleGAN2": (500, 3),
        "GCFSR": (200, 3),
        "RealESRGAN": (150, 3),
    },
    "gpu": {"DCGAN": (5000, 3), "StyleGAN2": (500, 3), "GCFSR": (500, 3), "RealESRGAN": (500, 3)},
    "paper": {
        "DCGAN": (50_000, 3),
        "StyleGAN2": (625_000, 3),
        "GCFSR": (175_000, 3),
        "RealESRGAN": (2_800_000, 3),
    },
}

# The plan -----------------------------------------------------------------------------------------


def prepare(preset: str = "cpu", source: str = "", scale: float = 1.0) -> list[Unit]:
    """Every unit of the matrix, what is needed first, the papers' teachers among them.

    source: for all families alike; empty for the embedded sets.
    """
    presets.check(preset, scale)
    effort = dataclasses.replace(
        own.EFFORTS[preset], minutes=0.0, **({"moments": 8} if preset == "cpu" else {})
    )
    units: list[Unit] = []
    for family in families(preset, source, scale).values():
        a = family.adapter
        dataset = own.load_dataset(a, effort, source, paper=PAPER)
        common = own.settings(a, a.name, effort, family.width, dataset)
        steps = dict.fromkeys(own.methods_for(a, ()), family.steps)
        units += own.plan(
            a, effort, common, dataset, steps, family.seeds, paper=PAPER, teacher=family.teacher
        )
    return in_order(units)


def families(preset: str, source: str = "", scale: float = 1.0) -> dict[str, Family]:
    """The columns, each with the teacher of its paper's run at the preset."""
    a, b, c = (
        module.prepare(preset, **({"source": source} if source else {}))
        for module in (dcgan_kd, sdakd, nickel_dime)
    )
    regular = presets.dcgan_kd(preset)
    taught = {
        "DCGAN": pick(a, method="regular", d=regular.teacher_d),
        "StyleGAN2": next(iter(find_units(c, method="teacher"))),
    }
    for name in ("GCFSR", "RealESRGAN"):
        (taught[name],) = find_units(b, method="teacher", network=name)
    found = {}
    for name, unit in taught.items():
        steps, seeds = STEPS[preset][name]
        found[name] = Family(
            adapter=adapter_of(unit, name),
            teacher=unit,
            width=WIDTHS[name],
            steps=presets.times(steps, scale),
            seeds=presets.times(seeds, scale),
        )
    return found


def adapter_of(teacher: Unit, name: str) -> Adapter:
    """The adapter of a family whose teacher is a unit of a paper."""
    c = teacher.config
    if name == "DCGAN":
        return adapters.dcgan_adapter(c["d"], c["size"], c["channels"])
    if name == "StyleGAN2":
        net = {"size": c["size"], **c["net"]}
        sizes = c["latent"], c["layers"], c["group"]
        return adapters.stylegan2_adapter(net, *sizes, d_net=c.get("d_net"))
    if name == "GCFSR":
        return adapters.gcfsr_adapter(c["net"], tuple(c["factors"]))
    return adapters.realesrgan_adapter(c["net"]["blocks"], c["size"], c["d_width"])


def work(run: Run) -> None:
    """Train one unit, of the matrix or of the paper whose teacher it is."""
    if run.unit.paper in PAPERS:
        PAPERS[run.unit.paper].work(run)
    elif run.config["method"] == "judge":
        own.work(run)
    else:
        own.work(run, adapter_of(run.unit.needs["teacher"], run.config["adapter"]))


def logits(unit: Unit, root: Path) -> dict[str, Tensor]:
    """Logits for real images and for the unit's own, as ``your_own_gan.logits`` gives them."""
    if unit.paper in PAPERS:
        return PAPERS[unit.paper].logits(unit, root)
    if "teacher" not in unit.needs:  # a judge
        return {}
    return own.logits(unit, root, adapter_of(unit.needs["teacher"], unit.config["adapter"]))


# The table ----------------------------------------------------------------------------------------


def rows(units: list[Unit], root: Path) -> pd.DataFrame:
    """The rows of the matrix's own units."""
    return read_rows([unit for unit in units if unit.paper == PAPER], root)


def by_family(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows by family, in the order of the papers."""
    return {name: frame.loc[frame["network"] == name] for name in WIDTHS}


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Method by family: mean ± sd of one metric a family, lower is better everywhere.

    The teacher, the untrained start and the control come first; a dash where a method cannot serve,
    see ``footnotes``.
    """
    columns = {}
    for name, mine in by_family(frame).items():
        metric = measure.quality(mine)
        scores = mine.loc[mine["metric"] == metric]

        def cell(method: str, scores: pd.DataFrame = scores) -> str:
            values = scores.loc[scores["method"] == method, "value"].tolist()
            return tables.spread(values).partition(" (")[0] if values else DASH

        seeds = scores.loc[scores["method"] == CONTROL, "seed"].nunique()
        columns[f"{name}, {metric}, {seeds} seeds"] = cell
    lines = [(method, "") for method in LEVELS]
    lines += [(name, method.paper) for name, method in METHODS.items()]
    cells: Mapping[str, Callable[[str], str]] = columns
    return pd.DataFrame(
        [
            {"method": method, "paper": paper} | {key: of(method) for key, of in cells.items()}
            for method, paper in lines
        ]
    )


def footnotes(preset: str = "cpu") -> pd.DataFrame:
    """Why a method cannot serve a family: family, method, reason."""
    return pd.DataFrame(
        [
            {"family": name, "method": method, "reason": reason}
            for name, family in families(preset).items()
            for method, reason in refusals(family.adapter).items()
        ]
    )


def against_control(frame: pd.DataFrame) -> pd.DataFrame:
    """Method by family: the verdict on "better than the control", from the seeds."""
    lines = []
    for method in list(METHODS)[1:]:  # the control is the first
        line = {"method": method, "paper": METHODS[method].paper}
        for name, mine in by_family(frame).items():
            scores = mine.loc[mine["metric"] == measure.quality(mine)]
            ours = tables.values(scores, method=method)
            its = tables.values(scores, method=CONTROL)
            line[name] = verdict(ours, its, higher_is_better=False) if ours else DASH
        lines.append(line)
    return pd.DataFrame(lines)
