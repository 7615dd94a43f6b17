"""Every kind of unit of all five plans on a device that is not the CPU, see ``tests.meta``."""

from importlib import import_module

import pytest

from ganzip import runs
from ganzip.papers import matrix
from ganzip.papers import your_own_gan as own
from tests.meta import Meta

PAPERS = {"dcgan_kd": "digits", "sdakd": "photos", "nickel_dime": "digits"}
FAMILIES = ("DCGAN", "StyleGAN2", "GCFSR", "RealESRGAN")


@pytest.fixture
def meta(monkeypatch):
    return Meta(monkeypatch)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("GANZIP_RUNS", str(tmp_path))
    return tmp_path


def kind(unit: runs.Unit) -> tuple:
    """What decides which code a unit runs."""
    c = unit.config
    keys = ("method", "network", "adapter", "loss", "kernel", "kernels", "by_batch", "n2", "d2")
    return (unit.paper, *(str(c.get(k)) for k in keys), *sorted(unit.needs))


def is_needed(unit: runs.Unit) -> bool:
    """Of the matrix every method on one family of noise and one of images, a few on the others."""
    both, few = ("StyleGAN2", "GCFSR"), ("teacher", "common", "control", "mse")
    return unit.config.get("adapter") in (None, *both) or unit.config["method"] in few


def plans(patch: pytest.MonkeyPatch) -> list[tuple[runs.Unit, object]]:
    """The units of all five plans at preset smoke, one of each kind with what it needs."""
    patch.setattr(own, "rates", lambda a, c, chosen, device: dict.fromkeys(
        (*chosen, "teacher", "answer"), 0.05))  # fmt: skip
    works = {name: import_module(f"ganzip.papers.{name}").work for name in PAPERS}
    works |= {"your_own_gan": own.work, "matrix": matrix.work}
    units = [
        unit
        for name, source in PAPERS.items()
        for unit in import_module(f"ganzip.papers.{name}").prepare("smoke", source)
    ]
    for name in FAMILIES:  # the matrix has all methods of this plan
        units += own.prepare("smoke", adapter=name, methods=("mse", "SDAKD"), seeds=1)
    units += [unit for unit in matrix.prepare("smoke") if is_needed(unit)]
    first = {kind(unit): unit for unit in reversed(runs.in_order(units))}
    return [(u, works[u.paper]) for u in runs.in_order(reversed(list(first.values())))]


def test_every_kind_of_unit_trains_and_is_measured_there(meta, root, monkeypatch, capsys):
    units = plans(monkeypatch)
    failed = []
    for unit, work in units:
        try:
            meta.work(unit, work, root)
        except KeyError as error:
            failed.append(f"{unit.paper} {unit.name}: needs {error}")
        except Exception as error:
            at = error.__traceback__
            while at and at.tb_next:
                at = at.tb_next
            failed.append(f"{unit.paper} {unit.name}: {type(error).__name__} {str(error)[:150]}")
    with capsys.disabled():
        print(f"\n{len(units)} kinds of units on the meta device, {meta.steps} steps")
    assert not failed, "\n".join(failed)
    assert len(units) >= 60
