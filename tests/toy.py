"""A small real unit of work for the tests of ``units``."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from unittest import mock

import torch
from torch import nn
from torch.optim import Adam

from ganzip.measure.rows import Number, rows
from ganzip.train import Batch, Player, step_seed
from ganzip.units import Demand, Run, Unit
from ganzip.units import plan as plan_module
from ganzip.units.plan import PAPER_NOTEBOOKS


def unit(steps=60, seed=0, **config):
    return Unit("toy", f"line-seed{seed}", {"steps": steps, "seed": seed, "wait": 0.0, **config})


def plan() -> list[Unit]:
    """A teacher and two students of it."""
    teacher = unit(steps=4, data="line", preset="smoke")
    own = {**teacher.config, "steps": 8, "teacher": True, "betas": (0.5, 0.9)}
    return [
        teacher,
        *(
            Unit("toy", f"student-seed{seed}", own | {"seed": seed}, {"teacher": teacher})
            for seed in (1, 2)
        ),
    ]


@contextlib.contextmanager
def planned(prepare: Callable[[], list[Unit]] = plan) -> Iterator[None]:
    """Inside the ``with`` block "toy" is a paper of that plan."""
    paper = SimpleNamespace(
        prepare=lambda preset, **_: prepare(), demand=lambda unit: Demand(unit.config["steps"], 40)
    )
    with (
        mock.patch.object(plan_module, "paper_module", lambda name: paper),
        mock.patch.dict(PAPER_NOTEBOOKS, {"toy": "9_toy"}),
    ):
        yield


def work(run: Run) -> None:
    """Fit a noisy line with a network that has batch statistics, so that all state matters."""
    import time

    torch.manual_seed(step_seed(run.config["seed"], -1))
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))
    if run.config.get("teacher"):
        with torch.no_grad():
            net[3].bias += run.weights_of("teacher")["net.3.bias"]  # pyright: ignore

    def terms(batch: Batch):
        time.sleep(run.config["wait"])
        if run.config.get("crash_at") == len(run.history):
            raise MemoryError("as asked")
        scale = float("nan") if run.config.get("nan") else 1.0
        return {
            "square": scale * (net(batch.cond) - batch.cond.sum(1, keepdim=True)).square().mean()
        }

    def batches(step: int) -> Batch:
        return Batch(torch.randn(16, 4))

    player = Player("net", Adam(net.parameters(), 1e-2), terms)
    run.train(
        [player],
        batches,
        run.config["steps"],
        {"net": net},
        samples=lambda: torch.zeros(2, 1, 4, 4),
    )
    of = {"data": "line", "method": "line", "preset": "smoke", **run.config}
    where = {"paper": "toy", "table": "lines", "network": "line", "width": 1}
    bias = Number("bias", net[3].bias.item())  # pyright: ignore
    run.finish({"net": net}, rows(replace(run, unit=replace(run.unit, config=of)), [bias], where))
