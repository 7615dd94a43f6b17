"""Every kind of unit of all five plans: on a device that is not the CPU, and after other units."""

import hashlib
import traceback
from contextlib import suppress

import pytest
import torch
from torch import Tensor, nn

from ganzip import features, metrics
from ganzip.units import Run, Unit, in_order
from tests.meta import Meta, quick
from tests.plans import clear_caches, few, kinds


@pytest.fixture(scope="module")
def units(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANZIP_RUNS", str(tmp_path_factory.mktemp("plans")))
        yield kinds(patch)


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_kinds_train_and_are_measured_on_the_meta_device(every, units, tmp_path, monkeypatch):
    chosen = units if every else few(units)
    meta, failed = Meta(monkeypatch), []
    for unit, work in chosen:
        try:
            with quick():
                meta.work(unit, work, tmp_path)
        except Exception as error:
            at = traceback.extract_tb(error.__traceback__)[-1]
            failed.append(f"{unit.paper} {unit.name}: {error!r:.200} at {at.filename}:{at.lineno}")
    assert not failed, "\n".join(failed)
    assert len(units) >= 60 and len(chosen) >= 25 and meta.steps > len(chosen)
    print(f"{len(chosen)} of {len(units)} kinds of units on the meta device, {meta.steps} steps")


class Enough(Exception):
    """A unit that no other needs was begun in all of its phases."""


class Starts:
    """Units that train for no step and keep random weights: what they would have started from."""

    def __init__(self, patch: pytest.MonkeyPatch, root):
        self.root, self.weights, self.seen = root, {}, []
        self.needed: set[str] = set()
        patch.setattr(Run, "train", lambda *a, **k: self._train(*a, **k))
        patch.setattr(Run, "finish", lambda *a: self._finish(*a))
        patch.setattr(Unit, "weights", lambda unit, root: self.weights[unit.key])
        patch.setattr(features, "embed", lambda by, x, *_: torch.rand(len(x), 8) + x.mean())
        patch.setattr(metrics, "latency", lambda passes, *_, **__: dict.fromkeys(passes, 1.0))

    def of(self, unit: Unit, work) -> str:
        """Hash of what the unit's networks and first batches are, phase by phase."""
        self.seen = []
        run = Run(unit, self.root)
        run.folder.mkdir(parents=True, exist_ok=True)
        with suppress(Enough):
            work(run)
        return hashlib.sha256(repr(self.seen).encode()).hexdigest()

    def _train(self, run, players, batches, steps, networks, **_):
        for name, net in networks.items():
            self.seen += [(name, key, _bits(x)) for key, x in net.state_dict().items()]
        torch.manual_seed(0)
        batch = batches(0)
        fields = (batch.cond, batch.real, batch.target, batch.features)
        self.seen += [_bits(x) for x in fields if x is not None]
        run.steps_done += steps
        if run.steps_done >= run.config["steps"] and run.unit.key not in self.needed:
            raise Enough

    def _finish(self, run, networks, rows):
        seeded = torch.Generator().manual_seed(int(run.unit.key[:7], 16))
        for name, part in networks.items():
            state = part.state_dict() if isinstance(part, nn.Module) else part
            for key, x in state.items():
                like = 0.05 * torch.rand(x.shape, generator=seeded) if x.is_floating_point() else x
                self.weights.setdefault(run.unit.key, {})[f"{name}.{key}"] = like.to(x.dtype)


def _bits(x: Tensor) -> str:
    return hashlib.sha256(x.detach().contiguous().numpy().tobytes()).hexdigest()


# Those that a cache or a store stands behind; ``python -m tests.same_bits`` trains all kinds.
HISTORY = ("realesrgan-sdakd-c14", "itgc-p90", "gcfsr-nickel-dime")


def test_no_unit_starts_from_what_was_drawn_before(units, tmp_path, monkeypatch):
    works = {unit.key: work for unit, work in units}
    some = [u for u, _ in units if u.paper != "dcgan_kd" and any(n in u.name for n in HISTORY)]
    plan = in_order(some)
    starts, first = Starts(monkeypatch, tmp_path), {}
    starts.needed = {need.key for unit in plan for need in unit.needs.values()}
    for unit in plan:  # caches on the disk are empty, those in memory too
        clear_caches()
        first[unit.key] = starts.of(unit, works[unit.key])
    torch.manual_seed(1234)
    again = {unit.key: starts.of(unit, works[unit.key]) for unit in plan}
    differing = [f"{u.paper} {u.name}" for u in plan if again[u.key] != first[u.key]]
    assert not differing
    assert len(set(first.values())) >= 5
