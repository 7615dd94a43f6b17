"""Every kind of unit that the five plans have, at preset smoke: for the tests that try them all."""

import dataclasses
import functools
import hashlib
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn

from ganzip import data, features, presets
from ganzip.papers import dcgan_kd, matrix
from ganzip.papers import your_own_gan as own
from ganzip.report import tables
from ganzip.train import frozen
from ganzip.units import Run, Unit, in_order, perform
from ganzip.units import run as run_module
from tests.meta import Lite

PAPERS = {"dcgan_kd": "digits", "sdakd": "photos", "nickel_dime": "digits"}
FAMILIES = ("DCGAN", "StyleGAN2", "GCFSR", "RealESRGAN", "RealESRGAN-bicubic")


def kind(unit: Unit) -> tuple:
    """What decides which code a unit runs."""
    c = unit.config
    keys = ("method", "network", "adapter", "loss", "kernel", "kernels", "by_batch", "n2", "d2")
    return (unit.paper, *(str(c.get(k)) for k in keys), bool(c.get("alpha")), *sorted(unit.needs))


# Methods that serve a generator of noise in a way of their own, or that one alone.
OF_NOISE = {"cached", "GS", "StyleKD", "ITGC", "GCC", "NICKEL & DiME"}


def is_needed(unit: Unit) -> bool:
    """Of the matrix: every method on GCFSR, those of noise on StyleGAN2, a few on the others."""
    family, method = unit.config.get("adapter"), unit.config["method"]
    few = ("teacher", "common", "control", "mse")
    return (
        family in (None, "GCFSR") or method in few or (family == "StyleGAN2" and method in OF_NOISE)
    )


def kinds(patch: pytest.MonkeyPatch) -> list[tuple[Unit, Callable[[Run], None]]]:
    """One unit of each kind and what it needs, needs first, and the function that does it."""
    patch.setattr(own, "rates", lambda a, c, chosen, device: dict.fromkeys(
        (*chosen, "teacher", "answer"), 0.05))  # fmt: skip
    works = {name: import_module(f"ganzip.papers.{name}").work for name in PAPERS}
    works |= {"your_own_gan": own.work, "matrix": matrix.work}
    units = [
        unit
        for name, source in PAPERS.items()
        for unit in import_module(f"ganzip.papers.{name}").prepare("smoke", source)
    ]
    for name in FAMILIES:  # the matrix has the methods of this plan
        units += own.prepare("smoke", adapter=name, methods=("mse",), seeds=1)
    units += [unit for unit in matrix.prepare("smoke") if is_needed(unit)]
    first = {kind(unit): unit for unit in reversed(in_order(units))}
    return [(u, works[u.paper]) for u in in_order(reversed(list(first.values())))]


def few(kinds: list[tuple[Unit, Callable]]) -> list[tuple[Unit, Callable]]:
    """Of them one of each method, of each plan, of what teaches and is taught."""
    seen, found = set(), []
    for unit, _ in kinds:
        c = unit.config
        net = c.get("network") or c.get("adapter")
        kin = c["method"].split()[0].rstrip("123,")  # variants of a method run its code
        marks = {(kin, bool(c.get("alpha"))), (unit.paper, "teacher" in unit.needs)}
        if not marks <= seen and (unit.paper != own.PAPER or net == FAMILIES[-1]):
            seen |= marks
            found.append(unit)
    wanted = {unit.key for unit in in_order(found)}
    return [(unit, work) for unit, work in kinds if unit.key in wanted]


def short_dcgan(root: Path, **changed: Any) -> list[Unit]:
    """Paper A's units at preset smoke after two steps each, done in ``root``."""
    smoke = presets.dcgan_kd("smoke")
    recipes = {
        name: dataclasses.replace(getattr(smoke, name), steps=2)
        for name in ("mse_recipe", "joint_recipe", "teacher_recipe")
    }
    rows = ("regular", "letter", "other", "penalty", "cached", "joint", "warm")
    none: dict[str, Any] = {name: {} for name in rows}
    settings = {**none, **recipes, "judge_steps": 2, "n_images": 16, **changed}
    cfg = dataclasses.replace(smoke, **settings)
    units = dcgan_kd.plan(cfg, data.load("digits", size=16), "digits")
    for unit in units:
        perform(unit, dcgan_kd.work, root)
    return units


def made_up(values: dict[tuple, list[float]], width: Callable = lambda d: d) -> pd.DataFrame:
    """Rows of a run that never was: {(method, d or p, metric): one value a seed}."""
    rest = dict.fromkeys(tables.ROW, "") | {"steps": 1, "n_images": 1}
    return pd.DataFrame(
        [
            {**rest, "method": m, "width": width(d), "metric": k, "value": v, "seed": s}
            for (m, d, k), seeds in values.items()
            for s, v in enumerate(seeds)
        ]
    )


def digest(folder: Path) -> list[str]:
    """Hashes of what a finished unit is: weights, rows and history."""
    names = ("weights.safetensors", "rows.csv", "history.csv")
    return [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names]


def beside(unit: Unit, root: Path, new: Path) -> Path:
    """Make ``new`` a folder of runs where what a unit needs is done as in ``root``; its folder."""
    for need in in_order([unit])[:-1]:
        need.folder(new).parent.mkdir(parents=True, exist_ok=True)
        need.folder(new).symlink_to(need.folder(root))
    here, cache = new / unit.paper, root / unit.paper / "cache"
    here.mkdir(parents=True, exist_ok=True)
    if cache.exists():
        (here / "cache").symlink_to(cache)
    return unit.folder(new)


class Stopped(BaseException):
    """What ends a run in its middle, as a signal would."""


def stopping(patch: pytest.MonkeyPatch) -> None:
    """Every phase of more than one step ends in its middle when it is begun from its start.

    There, and at the end of a phase, are the only checkpoints: each takes as long as some steps.
    """
    whole, keep, kept = run_module.train, Run._checkpoint, set[int]()

    def checkpoint(run, phase, step, *rest):
        if step in kept:
            keep(run, phase, step, *rest)

    def train(players, batches, steps, *, seed=0, start=0, after=lambda step, terms: None):
        kept.clear()
        kept.update((steps // 2, steps))

        def then(step, terms):
            after(step, terms)
            if start == 0 and step == steps // 2:
                raise Stopped

        whole(players, batches, steps, seed=seed, start=start, after=then)

    patch.setattr(run_module, "train", train)
    patch.setattr(Run, "_checkpoint", checkpoint)


def stops(unit: Unit, work: Callable[[Run], None], root: Path) -> int:
    """Do a unit that stops in the middle of each of its phases; how often it had to go on."""
    count = 0
    with pytest.MonkeyPatch.context() as patch:
        stopping(patch)
        while not unit.done(root):
            try:
                perform(unit, work, root, checkpoint_seconds=0.0)
            except Stopped:
                count += 1
                torch.rand(count)  # what was drawn meanwhile is not to matter
    return count


@functools.cache
def lite(version: int, size: int, device: str) -> nn.Module:
    """A few frozen layers in the place of EfficientNet-Lite, whose own tests have the whole."""
    with features.without_draws():
        torch.manual_seed(version)
        return frozen(Lite()).to(device)


def clear_caches() -> None:
    """Forget what functions of the package remember, as a new process would."""
    for name, module in list(sys.modules.items()):
        if name.startswith("ganzip"):
            for thing in list(vars(module).values()):
                if hasattr(thing, "cache_clear"):
                    thing.cache_clear()
