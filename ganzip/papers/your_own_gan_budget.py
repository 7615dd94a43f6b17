"""A GAN of one's own: what presets ask for, widths that fit a target, steps that fit a budget."""

from __future__ import annotations

import bisect
import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ganzip import files, metrics
from ganzip.device import cpu_threads
from ganzip.distil import compose, family, views
from ganzip.distil.compose import METHODS
from ganzip.distil.family import Adapter, AdapterError
from ganzip.distil.setup import Phase
from ganzip.measure import cost
from ganzip.methods import nickel_dime
from ganzip.papers import perceptual
from ganzip.papers.your_own_gan_data import setup_of
from ganzip.parameters import TARGETS
from ganzip.taps import taps
from ganzip.train import Batch, frozen, train

PAPER = "your_own_gan"
GRID = 64  # widths are tried in such parts of 1
LEAST = 4  # steps below which nothing is learnt
MARGIN = 0.7  # of a budget that is planned: side by side, processes slow each other down


@dataclass(frozen=True, kw_only=True)
class Effort:
    """The numbers of a preset.

    minutes: the whole budget. teacher: the teacher's share of it where it is trained first;
    critic: where only its discriminator is.
    """

    name: str
    minutes: float
    seeds: int = 2
    count: Mapping[str, int]  # squares cut out of photos
    cached: int = 4096  # pairs of "cached"
    n_images: int  # generated images a metric sees
    judge_steps: int
    trial: int  # steps by which a start is judged
    moments: int  # batches of the teacher's images in DiME's moments
    passes: int
    teacher: float = 0.3
    critic: float = 0.08


EFFORTS = {
    "smoke": Effort(
        name="smoke", minutes=1 / 3, seeds=1, count={"train": 8, "test": 6}, cached=64, n_images=64,
        judge_steps=20, trial=1, moments=1, passes=2,
    ),
    "cpu": Effort(
        name="cpu", minutes=8, count={"train": 160, "test": 32}, n_images=1500, judge_steps=600,
        trial=8, moments=16, passes=15,
    ),
    "night": Effort(
        name="night", minutes=120, count={"train": 1000, "test": 100}, n_images=2000,
        judge_steps=2000, trial=50, moments=64, passes=30,
    ),
    "gpu": Effort(
        name="gpu", minutes=25, count={"train": 4000, "test": 100}, n_images=10_000,
        judge_steps=4000, trial=100, moments=64, passes=50,
    ),
    "paper": Effort(
        name="paper", minutes=24 * 60, count={"train": 20_000, "test": 150}, cached=1_000_000,
        n_images=50_000, judge_steps=10_000, trial=1000, moments=512, passes=50,
    ),
}  # fmt: skip


def fit_width(adapter: Adapter, target: Mapping[str, float], device: str = "cpu") -> float:
    """The largest width, in 64ths, that fits; ``target`` is the width itself or a limit.

    {"width": 0.25}; {"parameters": 0.1} is a share of the teacher's, {"parameters": 500000} a
    number; "multiply-adds" and "latency" (milliseconds) alike. The width that fits a latency is
    kept in the run folder, as another measurement would give another. Raises AdapterError, which
    names the smallest reachable, where nothing fits.
    """
    if len(target) != 1 or next(iter(target)) not in TARGETS:
        raise AdapterError(
            f"target is {dict(target)}; expected one of {', '.join(TARGETS)}, as in "
            '{"parameters": 0.1}, a share of the teacher\'s, or a number'
        )
    ((kind, limit),) = target.items()
    if kind == "width":
        family.build(adapter, float(limit))
        return float(limit)
    if kind != "latency":
        return widest(adapter, kind, limit, device)
    asked = [family.fingerprint(adapter), kind, limit, device]
    path = kept_path("width", adapter, asked)
    with suppress(OSError, ValueError):  # absent or torn: measured anew
        return float(json.loads(path.read_bytes()))
    width = widest(adapter, kind, limit, device)
    files.write(path, json.dumps(width).encode())
    return width


def widest(adapter: Adapter, kind: str, limit: float, device: str) -> float:
    """The largest width, in 64ths, whose cost of a kind is within a limit; see ``fit_width``."""
    example = adapter.example().to(device)

    def cost_of(G: nn.Module) -> float:
        if kind == "parameters":
            return metrics.params(G)
        if kind == "multiply-adds":
            return metrics.macs(G.to(device), example)
        return 1000 * cost.pass_seconds({"": G.to(device)}, example, 5)[""]

    def of(n: int) -> float:
        try:
            return cost_of(adapter.generator(n / GRID))
        except ValueError:  # a width that leaves no channel
            return -1.0

    full = cost_of(adapter.full())
    most = limit * full if limit < 1 else limit
    least = next(n for n in range(1, GRID + 1) if of(n) >= 0)
    if (smallest := of(least)) > most:
        raise AdapterError(
            f"{adapter.name}: no width has {kind} of {most:,.6g} or less; the smallest reachable "
            f"is {smallest:,.6g} ({smallest / full:.4f} of the teacher's {full:,.6g}) at width "
            f"{least}/{GRID}"
        )
    return (bisect.bisect_right(range(GRID + 1), most, lo=least + 1, key=of) - 1) / GRID


def kept_path(what: str, adapter: Adapter, key: Sequence[Any]) -> Path:
    """Where something that was measured is kept, so that a second call plans the same units."""
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:12]
    return files.runs_folder() / PAPER / f"{what}-{adapter.name}-{digest}.json"


def rates(
    adapter: Adapter, common: Mapping[str, Any], methods: Sequence[str], device: str
) -> dict[str, float]:
    """Seconds of a step of every method, and of the "teacher" and its "answer", on this machine.

    A step of each is taken once and its time kept in the run folder.
    """
    key = [common["networks"], common["width"], common["batch"], common["size"], device]
    path = kept_path("rates", adapter, key)
    seconds: dict[str, float] = {}
    with suppress(OSError, ValueError):  # absent or torn: measured anew
        seconds = {str(k): float(v) for k, v in json.loads(path.read_bytes()).items()}
    wanted = [m for m in (*methods, "teacher", "answer") if m not in seconds]
    if wanted:
        with torch.random.fork_rng(), cpu_threads(1):
            seconds |= stopwatch(adapter, common, wanted, torch.device(device))
        files.write(path, json.dumps(seconds, indent=1).encode())
    return seconds


def stopwatch(
    adapter: Adapter, c: Mapping[str, Any], wanted: Sequence[str], device: torch.device
) -> dict[str, float]:
    """Take two steps of each method, of which the second counts, on networks without training."""
    a = adapter
    cond = a.example(a.batch).to(device)
    real = torch.rand(a.batch, a.channels, a.size, a.size, device=device) * 2 - 1
    T, D = frozen(a.full()).to(device), frozen(a.critic()).to(device)
    last = views.four_layers(a)[-1]
    with torch.no_grad(), taps(T, [last]) as activations:
        T(cond[:2])
    shown = activations[last][:1].expand(a.batch, -1, -1, -1)
    batch, stored = Batch(cond, real, real, shown), None if a.latent else views.StoredTeacher()
    if stored:
        stored.synthesis.images = real

    now = partial(metrics.clock, device.type == "cuda")

    def target() -> nickel_dime.Moments:
        with torch.no_grad():
            return nickel_dime.moments(perceptual.lite_embedding(c["lite"], str(device))(real))

    setup = setup_of(
        a, {**c, "ema": 0.5, "seed": 0, "steps": 3}, device, lambda _: batch,
        lambda name, make: make().to(device), T=T, D=D, target=target, stored_teacher=stored,
    )  # fmt: skip
    spent: list[float] = []

    def fit(phase: Phase) -> None:
        train(phase.players, lambda _: batch, 1)
        start = now()
        train(phase.players, lambda _: batch, 2, start=1)
        spent.append(phase.share * (now() - start))

    found: dict[str, float] = {}
    for method in wanted:
        spent.clear()
        if method == "answer":
            with torch.no_grad():
                start = now()
                T(cond[:2])
                spent.append((now() - start) / 2)
        elif method == "teacher" and a.weights is not None:
            batch = Batch(real, real, real)
            fit(compose.critic(setup, a.critic().to(device)))
        elif method == "teacher":
            batch = Batch(cond, real, real)
            whole = dataclasses.replace(setup, fresh=lambda: a.full().to(device))
            compose.distil(whole, compose.REGULAR, fit)
        else:
            batch = Batch(cond, real, real, shown)
            compose.distil(setup, METHODS[method], fit)
        found[method] = round(sum(spent), 4)
    return found


def divide(
    adapter: Adapter,
    effort: Effort,
    measured: Mapping[str, float],
    methods: Sequence[str],
    seeds: int,
    budget: float,
    *,
    given: bool,
    jobs: int,
) -> dict[str, int]:
    """Steps of the teacher and of every method, which all take the same time.

    budget: seconds. First come, one after the other, the teacher and what all have in common; then
    students side by side, ``jobs`` at a time. Raises AdapterError for a budget, if it was asked
    for, that leaves fewer than four steps.
    """
    share = effort.critic if adapter.weights is not None else effort.teacher
    taught = max(LEAST, int(share * budget / measured["teacher"]))
    answers = 0.0 if adapter.latent else sum(effort.count.values()) * measured["answer"]
    trials = (1 + len(adapter.starts) + len(adapter.students)) * effort.trial * measured["control"]
    measuring = 3 * sum(measured[m] for m in methods) + 10
    first = taught * measured["teacher"] + answers + trials + measuring
    each = (budget - first) * jobs * MARGIN / (len(methods) * seeds) - 3
    steps = {name: int(each / measured[name]) for name in methods}
    short = [name for name, n in steps.items() if n < LEAST]
    if short and given:
        need = (LEAST * max(measured[m] for m in methods) + 3) * len(methods) * seeds
        minutes = (need / jobs / MARGIN + measuring + answers + trials) / (1 - share) / 60
        raise AdapterError(
            f"a budget of {budget / 60:g} minutes leaves {', '.join(short)} fewer than {LEAST} "
            f"steps; take {minutes:.1f} minutes or more, fewer methods or fewer seeds"
        )
    return {"teacher": taught} | {name: max(LEAST, n) for name, n in steps.items()}
