"""Every kind of unit that the five plans have, at preset smoke: for the tests that try them all."""

import dataclasses
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from ganzip import data, presets
from ganzip.papers import dcgan_kd, matrix
from ganzip.papers import your_own_gan as own
from ganzip.units import Run, Unit, in_order, perform

PAPERS = {"dcgan_kd": "digits", "sdakd": "photos", "nickel_dime": "digits"}
FAMILIES = ("DCGAN", "StyleGAN2", "GCFSR", "RealESRGAN")


def kind(unit: Unit) -> tuple:
    """What decides which code a unit runs."""
    c = unit.config
    keys = ("method", "network", "adapter", "loss", "kernel", "kernels", "by_batch", "n2", "d2")
    return (unit.paper, *(str(c.get(k)) for k in keys), *sorted(unit.needs))


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


def clear_caches() -> None:
    """Forget what functions of the package remember, as a new process would."""
    for name, module in list(sys.modules.items()):
        if name.startswith("ganzip"):
            for thing in list(vars(module).values()):
                if hasattr(thing, "cache_clear"):
                    thing.cache_clear()
