"""The matrix of the three papers: every method on every network family that it can serve.

One teacher, one data set, one number of steps and the same seeds for all methods of a family, which
no paper has side by side. Teachers are those of the papers' own runs, trained where there are none.

    units = matrix.prepare("cpu")
    perform_all(units, matrix.work, files.runs_folder())
"""

import dataclasses
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
from ganzip.units import Run, Unit, in_order, read_rows

PAPER = "matrix"
PAPERS: dict[str, ModuleType] = {m.PAPER: m for m in (dcgan_kd, nickel_dime)} | {"sdakd": sdakd}
LEVELS = ("teacher", "start")
DASH = "-"


WIDTH = 0.25  # of all students
FAMILIES = ("DCGAN", "StyleGAN2", "GCFSR", "RealESRGAN")
STEPS = {  # of a family's students, and seeds, by preset
    "smoke": ((5, 5, 5, 5), 1),
    "cpu": ((400, 50, 30, 24), 2),
    "night": ((2000, 500, 200, 150), 3),
    "gpu": ((5000, 500, 500, 500), 3),
    "paper": ((50_000, 625_000, 175_000, 2_800_000), 3),
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
    units, (steps, seeds) = list[Unit](), STEPS[preset]
    for teacher, n in zip(teachers(preset, source), steps, strict=True):
        a = adapter_of(teacher)
        dataset = own.load_dataset(a, effort, WIDTH, source, paper=PAPER)
        each = dict.fromkeys(own.methods_for(a, ()), presets.times(n, scale))
        count = presets.times(seeds, scale)
        units += own.plan(a, effort, dataset, each, count, paper=PAPER, teacher=teacher)
    return in_order(units)


def teachers(preset: str, source: str = "") -> list[Unit]:
    """The teachers of the papers' runs at the preset, in the order of ``FAMILIES``."""
    a, b, c = (
        module.prepare(preset, **({"source": source} if source else {}))
        for module in (dcgan_kd, sdakd, nickel_dime)
    )
    return [
        pick(a, method="regular", d=presets.dcgan_kd(preset).teacher_d),
        pick(c, method="teacher"),
        *(pick(b, method="teacher", network=name) for name in FAMILIES[2:]),
    ]


def adapter_of(teacher: Unit) -> Adapter:
    """The adapter of a family whose teacher is a unit of a paper."""
    c = teacher.config
    if teacher.paper == dcgan_kd.PAPER:
        return adapters.dcgan_adapter(c["d"], c["size"], c["channels"])
    if teacher.paper == nickel_dime.PAPER:
        net = {"size": c["size"], **c["net"]}
        sizes = c["latent"], c["layers"], c["group"]
        return adapters.stylegan2_adapter(net, *sizes, d_net=c.get("d_net"))
    if c["network"] == "GCFSR":
        return adapters.gcfsr_adapter(c["net"], tuple(c["factors"]))
    return adapters.realesrgan_adapter(c["net"]["blocks"], c["size"], c["d_width"])


def work(run: Run) -> None:
    """Train one unit, of the matrix or of the paper whose teacher it is."""
    if run.unit.paper in PAPERS:
        PAPERS[run.unit.paper].work(run)
    elif run.config["method"] == "judge":
        own.work(run)
    else:
        own.work(run, adapter_of(run.unit.needs["teacher"]))


def logits(unit: Unit, root: Path) -> dict[str, Tensor]:
    """Logits for real images and for the unit's own, as ``your_own_gan.logits`` gives them."""
    if unit.paper in PAPERS:
        return PAPERS[unit.paper].logits(unit, root)
    if "teacher" not in unit.needs:  # a judge
        return {}
    return own.logits(unit, root, adapter_of(unit.needs["teacher"]))


# The table ----------------------------------------------------------------------------------------


def rows(units: list[Unit], root: Path) -> pd.DataFrame:
    """The rows of the matrix's own units."""
    return read_rows([unit for unit in units if unit.paper == PAPER], root)


def by_family(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows by family, in the order of the papers."""
    return {name: frame.loc[frame["network"] == name] for name in FAMILIES}


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Method by family: mean ± sd of one metric a family, lower is better everywhere.

    The teacher, the untrained start and the control come first; a dash where a method cannot serve,
    see ``footnotes``.
    """
    names = [*LEVELS, *METHODS]
    papers = [METHODS[name].paper if name in METHODS else "" for name in names]
    found = pd.DataFrame({"method": names, "paper": papers})
    for name, mine in by_family(frame).items():
        metric = measure.quality(mine)
        scores = mine.loc[mine["metric"] == metric].groupby("method")
        cells = {m: tables.spread(x.tolist()).partition(" (")[0] for m, x in scores["value"]}
        seeds = scores["seed"].nunique().get(CONTROL, 0)
        found[f"{name}, {metric}, {seeds} seeds"] = [cells.get(m, DASH) for m in names]
    return found


def footnotes(preset: str = "cpu") -> pd.DataFrame:
    """Why a method cannot serve a family: family, method, reason."""
    return pd.DataFrame(
        [
            {"family": name, "method": method, "reason": reason}
            for name, teacher in zip(FAMILIES, teachers(preset), strict=True)
            for method, reason in refusals(adapter_of(teacher)).items()
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
            line[name] = verdict(ours, its, higher_is_better=False) if len(ours) else DASH
        lines.append(line)
    return pd.DataFrame(lines)
