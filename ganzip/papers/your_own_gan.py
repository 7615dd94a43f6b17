"""A GAN of one's own, compressed within a budget by every method of the three papers that can.

The teacher and its family are described by an adapter. What is planned depends on how fast the
machine is: a few steps of each method are measured once and the rates kept in the run folder, so
that a second call plans the same units.

    units = your_own_gan.prepare("cpu", adapter="RealESRGAN", target={"width": 0.25})
    perform_all(units, your_own_gan.work, files.runs_folder())
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import math
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, cast

import pandas as pd
import torch
from torch import Tensor, nn

from ganzip import data, export, features, files, losses, metrics, parameters, presets, prune, zoo
from ganzip._compat import optional
from ganzip.device import cores, cpu_threads
from ganzip.distil import compose, family, views
from ganzip.distil.compose import CONTROL, METHODS, Phase, Setup
from ganzip.distil.family import Adapter, AdapterError
from ganzip.distil.recipe import Recipe
from ganzip.measure import cost, judging
from ganzip.measure.images import images_of, logits_of, noise
from ganzip.measure.rows import Number, rows
from ganzip.methods import gan, nickel_dime
from ganzip.papers import adapters
from ganzip.papers import nickel_dime as paper_c
from ganzip.papers import super_resolution as sr
from ganzip.papers import your_own_gan_data as examples
from ganzip.papers import your_own_gan_rows as measure
from ganzip.parameters import TARGETS
from ganzip.taps import taps
from ganzip.train import Batch, frozen, step_seed, train
from ganzip.units import (
    Run,
    Unit,
    code_hash,
    find_units,
    in_order,
    load_network,
)

PAPER = "your_own_gan"
CHOICE = ("mse", "SDAKD", "CAGC", "DiME", "NICKEL & DiME")  # serve any generator, at little cost
EMA = 0.998  # of the average of G, where there are steps enough for it, see ``train.memory``
LITE = (0, 2, 4, 10)  # blocks of EfficientNet-Lite0 in the place of VGG16's four maps
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

# The plan -----------------------------------------------------------------------------------------


def prepare(
    preset: str = "cpu",
    source: str = "",
    scale: float = 1.0,
    *,
    adapter: str | Adapter = "RealESRGAN",
    target: Mapping[str, float] | None = None,
    minutes: float = 0.0,
    methods: Collection[str] = CHOICE,
    seeds: int = 0,
    device: str = "cpu",
) -> list[Unit]:
    """The units that compress a generator within a budget, what is needed first.

    source: what ``data.load`` (noise) or ``data.photos`` (images) finds; empty for the embedded
    set. target: see ``family.fitting``; None is a quarter of the channels. minutes: by the
    clock, 0 for the preset's; ``scale`` multiplies them. methods: of ``compose.METHODS``, () for
    all that can serve; the control is always there. seeds: 0 for the preset's. Raises AdapterError
    and DataError.
    """
    presets.check(preset, scale, seeds)
    effort = EFFORTS[preset]
    a = adapter if isinstance(adapter, Adapter) else adapters.load(adapter, preset=preset)
    family.check(a)
    width = fitting(a, target or {"width": 0.25}, device)
    chosen = served(a, methods)
    seen = sight(a, effort, source)
    common = settings(a, adapter, effort, width, seen)
    measured, seeds = rates(a, common, chosen, device), seeds or effort.seeds
    budget = 60 * (minutes or effort.minutes) * presets.times(1000, scale) / 1000
    steps = divided(a, effort, measured, chosen, seeds, budget, given=bool(minutes))
    return plan(a, effort, common, seen, steps, seeds)


def served(adapter: Adapter, methods: Collection[str]) -> list[str]:
    """The methods asked for that can serve, the control first. Raises AdapterError."""
    refused = compose.refusals(adapter)
    for name in methods:
        if name not in METHODS:
            raise AdapterError(f"no method {name!r}; there are {', '.join(METHODS)}")
        if name in refused:
            raise AdapterError(f"{adapter.name}: {name} {refused[name]}; leave it out")
    return [
        m for m in METHODS if m not in refused and (m == CONTROL or not methods or m in methods)
    ]


@dataclass(frozen=True)
class Sight:
    """The data: what all units' configurations say of them, and the judge's unit where one is."""

    source: str
    config: Mapping[str, Any]
    judge: Unit | None = None


def sight(adapter: Adapter, effort: Effort, source: str, *, paper: str = PAPER) -> Sight:
    """Load the data; raises DataError."""
    if adapter.latent:
        source, cache = source or "digits", files.runs_folder() / "cache"
        images = data.load(source, size=adapter.size, channels=adapter.channels, cache=cache)
        found = judging.settings(images, effort.name, effort.n_images) | {"size": adapter.size}
        judge = judging.unit(paper, found, images, effort.judge_steps, source, batch=64)
        return Sight(source, found | {"mask": paper_c.content(images)}, judge)
    pieces = sr.load_pieces(source or "photos")
    span = adapter.span or adapter.size
    sr.check_sizes(pieces, span)
    shape = {"size": adapter.size, "square": adapter.size, "span": span}
    found = {"data": pieces.name, "fingerprint": pieces.fingerprint, "preset": effort.name}
    found |= {"precision": presets.precision(effort.name)}
    more = {"channels": adapter.channels, "mask": "everything", "n_images": effort.count["test"]}
    return Sight(pieces.source, {**found, **shape, **more, "count": dict(effort.count)})


def settings(
    adapter: Adapter, named: str | Adapter, effort: Effort, width: float, seen: Sight
) -> dict[str, Any]:
    """What all units of a generator share."""
    return dict(seen.config) | {
        "adapter": named if isinstance(named, str) else adapter.name,
        "networks": family.fingerprint(adapter),
        "width": width,
        "latent": adapter.latent,
        "batch": adapter.batch,
        "lr": adapter.lr,
        "d_lr": adapter.d_lr,
        "betas": list(adapter.betas),
        "dime": 10.0 if adapter.latent else 1.0,
        "langevin": 5,
        "lite": 32 if adapter.size <= 32 else 64,
    }


def plan(
    adapter: Adapter,
    effort: Effort,
    common: Mapping[str, Any],
    seen: Sight,
    steps: Mapping[str, int],
    seeds: int,
    *,
    paper: str = PAPER,
    teacher: Unit | None = None,
) -> list[Unit]:
    """Every unit: the judge, the teacher, what students have in common, students.

    steps: of every method, and of "teacher". teacher: a unit that has the teacher's G and D.
    """
    presets.check_units(len(steps) * seeds, 1.0, seeds)
    judge = {} if seen.judge is None else {"judge": seen.judge}

    def unit(method: str, needs: Mapping[str, Unit], n: int, seed: int = 0, **own: Any) -> Unit:
        slug = re.sub("[^a-z0-9]+", "-", f"{adapter.name} {method}".lower()).strip("-")
        config = {**common, "method": method, "seed": seed, "steps": n, "ema": EMA, **own}
        config["code"] = code_of(method)
        return Unit(paper, f"{slug}-seed{seed}", config, {**judge, **needs}, n, seen.source)

    teacher = teacher or unit("teacher", {}, steps["teacher"])
    own = {"trial": effort.trial, "moments": effort.moments, "passes": effort.passes}
    shared = unit("common", {"teacher": teacher}, effort.trial, **own)
    needs = {"teacher": teacher, "common": shared}
    cached = {"cached": {"pairs": effort.cached}}
    students = [
        unit(method, needs, n, seed, **cached.get(method, {}))
        for method, n in steps.items()
        if method != "teacher"
        for seed in range(seeds)
    ]
    return in_order([*judge.values(), teacher, shared, *students])


@cache
def code_of(method: str) -> str:
    """Hash of what decides a method's result beside its settings."""
    return code_hash(gan, *(METHODS[method].modules if method in METHODS else ()))


# Target and budget --------------------------------------------------------------------------------


def fitting(adapter: Adapter, target: Mapping[str, float], device: str = "cpu") -> float:
    """The largest width that fits a target of ``parameters.TARGETS``; raises AdapterError."""
    if len(target) != 1 or next(iter(target)) not in TARGETS:
        raise AdapterError(
            f"target is {dict(target)}; expected one of {', '.join(TARGETS)}, as in "
            '{"parameters": 0.1}, a share of the teacher\'s, or a number'
        )
    (kind,) = target
    example = adapter.example().to(device)
    counts: dict[str, Callable[[nn.Module], float]] = {
        "parameters": metrics.params,
        "multiply-adds": lambda G: metrics.macs(G.to(device), example),
        "latency": lambda G: cost.pass_seconds({"": G.to(device)}, example, 5)[""],
    }
    return family.fitting(adapter, target, counts.get(kind, metrics.params))


def rates(
    adapter: Adapter, common: Mapping[str, Any], methods: Sequence[str], device: str
) -> dict[str, float]:
    """Seconds of a step of every method, and of the "teacher" and its "answer", on this machine.

    A step of each is taken once and its time kept in the run folder.
    """
    key = [common["networks"], common["width"], common["batch"], common["size"], device]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:12]
    path = files.runs_folder() / PAPER / f"rates-{adapter.name}-{digest}.json"
    known: dict[str, float] = {}
    with suppress(OSError, ValueError):  # absent or torn: measured anew
        known = {str(k): float(v) for k, v in json.loads(path.read_bytes()).items()}
    wanted = [m for m in (*methods, "teacher", "answer") if m not in known]
    if wanted:
        with torch.random.fork_rng(), cpu_threads(1):
            known |= stopwatch(adapter, common, wanted, torch.device(device))
        files.write(path, json.dumps(known, indent=1).encode())
    return known


def stopwatch(
    adapter: Adapter, c: Mapping[str, Any], wanted: Sequence[str], device: torch.device
) -> dict[str, float]:
    """Take two steps of each method, of which the second counts, on networks without training."""
    a = adapter
    cond = a.example(a.batch).to(device)
    real = torch.rand(a.batch, a.channels, a.size, a.size, device=device) * 2 - 1
    T, D = frozen(a.full()).to(device), frozen(a.critic()).to(device)
    last = views.four_layers(a)[-1]
    with torch.no_grad(), taps(T, [last]) as seen:
        T(cond[:2])
    shown = seen[last][:1].expand(a.batch, -1, -1, -1)
    batch, stored = Batch(cond, real, real, shown), None if a.latent else views.StoredTeacher()
    if stored:
        stored.synthesis.images = real

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()

    def target() -> nickel_dime.Moments:
        with torch.no_grad():
            return nickel_dime.moments(embedding(c, device)(real))

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
            players = compose.critic(setup, a.critic().to(device))
            fit(Phase("", players, 1.0, {}, setup.draw))
        elif method == "teacher":
            batch = Batch(cond, real, real)
            whole = dataclasses.replace(setup, fresh=lambda: a.full().to(device))
            compose.distil(whole, compose.REGULAR, fit)
        else:
            batch = Batch(cond, real, real, shown)
            compose.distil(setup, METHODS[method], fit)
        found[method] = round(sum(spent), 4)
    return found


def divided(
    adapter: Adapter,
    effort: Effort,
    measured: Mapping[str, float],
    methods: Sequence[str],
    seeds: int,
    budget: float,
    *,
    given: bool,
) -> dict[str, int]:
    """Steps of the teacher and of every method, which all take the same time.

    budget: seconds. First come, one after the other, the teacher and what all have in common; then
    students side by side, one a core. Raises AdapterError for a budget, if it was asked for, that
    leaves fewer than four steps.
    """
    share = effort.critic if adapter.weights is not None else effort.teacher
    taught = max(LEAST, int(share * budget / measured["teacher"]))
    answers = 0.0 if adapter.latent else sum(effort.count.values()) * measured["answer"]
    trials = (1 + len(adapter.starts)) * effort.trial * measured["control"]
    measuring = 3 * sum(measured[m] for m in methods) + 10
    first = taught * measured["teacher"] + answers + trials + measuring
    each = (budget - first) * cores() * MARGIN / (len(methods) * seeds) - 3
    steps = {name: int(each / measured[name]) for name in methods}
    short = [name for name, n in steps.items() if n < LEAST]
    if short and given:
        need = (LEAST * max(measured[m] for m in methods) + 3) * len(methods) * seeds
        minutes = (need / cores() / MARGIN + measuring + answers + trials) / (1 - share) / 60
        raise AdapterError(
            f"a budget of {budget / 60:g} minutes leaves {', '.join(short)} fewer than {LEAST} "
            f"steps; take {minutes:.1f} minutes or more, fewer methods or fewer seeds"
        )
    return {"teacher": taught} | {name: max(LEAST, n) for name, n in steps.items()}


# Work ---------------------------------------------------------------------------------------------


def work(run: Run, adapter: Adapter | None = None) -> None:
    """Train one unit, measure it, and finish it.

    adapter: one that has neither a family's name nor a file: ``functools.partial(work, adapter=a)``
    is then what ``perform_all`` is given.
    """
    method = run.config["method"]
    if method == "judge":
        own = measure.labels(run.unit) | {"method": "real"}
        judging.work(run, judging.image_numbers, own, accurate=False)
        return
    a = adapter or named(run.unit)
    train_one = {"teacher": train_teacher, "common": take_common}.get(method, train_student)
    train_one(run, a)


def train_teacher(run: Run, a: Adapter) -> None:
    """The teacher or, where its weights are given, its discriminator against it."""
    c, state = run.config, family.teacher_state(a)
    setup = setup_of(a, c, run.device, examples.batches(run, a, None), run.new)

    def critic(width: float = 1.0, name: str = "D") -> nn.Module:
        D = run.new(name, lambda: a.critic(width))
        if a.d_weights is not None:
            D.load_state_dict(a.d_weights())
        return D

    if state is not None:
        T, D = family.filled(a, state).to(run.device), critic()
        players = setup.recipe.paced(compose.critic(setup, D), c["steps"])
        run.train(players, answered(run, a, T), c["steps"], {"D": D})
        found = {"D": D}
    else:
        setup = dataclasses.replace(
            setup, fresh=lambda: run.new("G", lambda: a.generator(1.0)), critic=critic
        )
        trained = compose.distil(setup, compose.REGULAR, phases(run, a, setup.recipe))
        assert trained.D is not None
        found = {"D": trained.D, "G": trained.G}
    number = Number("parameters of D", metrics.params(found["D"]))
    run.finish(found, rows(run, [number], measure.labels(run.unit)))


def recipe_of(a: Adapter, c: Mapping[str, Any]) -> Recipe:
    """How a unit's networks are trained."""
    return Recipe(
        steps=c["steps"], lr=c["lr"], d_lr=c["d_lr"], betas=tuple(c["betas"]), cosine=True,
        decay=c["ema"], step_decay=c["ema"], gamma=a.gamma, mask=c["mask"], langevin=c["langevin"],
        moment_batch=c["batch"],
    )  # fmt: skip


def setup_of(
    a: Adapter,
    c: Mapping[str, Any],
    device: torch.device,
    draw: Callable[[int], Batch],
    new: Callable[[str, Callable[[], Any]], Any],
    *,
    start: Mapping[str, Tensor] | None = None,
    T: nn.Module | None = None,
    D: nn.Module | None = None,
    target: Callable[[], nickel_dime.Moments] = compose.absent,
    stored_teacher: nn.Module | None = None,
) -> Setup:
    """What a method is handed: networks of the adapter, made by ``new``.

    start: the first weights of a student, None for those of a new one. T, D: the frozen teacher's.
    target: moments of the teacher's images.
    """

    def fresh() -> nn.Module:
        return new("G", lambda: family.build(a, c["width"]))

    def cut(wide: nn.Module) -> nn.Module:
        z = torch.randn(256, a.latent, generator=torch.Generator().manual_seed(0))
        scores = prune.style_scale(wide, z.to(device))
        return prune.cut(wide, fresh(), prune.keep(scores, round(1 - c["width"], 6)))

    def kernels(G: nn.Module) -> list[nickel_dime.Kernel]:
        kernel = nickel_dime.Kernel("efflite0", embedding(c, device), 1.0, target())
        torch.manual_seed(step_seed(c["seed"], "gap"))
        with torch.no_grad():
            gap = nickel_dime.dime(kernel, G(draw(0).cond)).item()
        return [dataclasses.replace(kernel, weight=c["dime"] / gap)]

    def truth(step: int) -> Batch:
        batch = draw(step)
        return dataclasses.replace(batch, target=batch.real)

    return Setup(
        adapter=a, recipe=recipe_of(a, c), width=c["width"], device=device, draw=draw, new=new,
        truth=None if a.latent else truth,
        fresh=fresh,
        student=lambda: fresh() if start is None else load_network(fresh(), start, "G"),
        cut=cut, critic=lambda width, name: new(name, lambda: a.critic(width)),
        judge=lambda: copy.deepcopy(cast(nn.Module, D)).train().requires_grad_(True),
        kernels=kernels, distance=lambda: distance(a.size, str(device)),
        maps=lambda: maps(a.size, str(device)), T=T or nn.Identity(),
        stored_teacher=stored_teacher,
    )  # fmt: skip


@lru_cache(maxsize=2)
def distance(size: int, device: str) -> losses.Distance:
    """The perceptual distance: relative L1 of three maps of EfficientNet-Lite0."""
    found = features.lite_maps(0, LITE[:3], size=size, device=device).extract
    return losses.perceptual(found, [1 / 3] * 3, relative=True)


@lru_cache(maxsize=2)
def maps(size: int, device: str) -> Callable[[Tensor], list[Tensor]]:
    """The four maps that OMGD and DCD compare."""
    return features.lite_maps(0, LITE, size=size, device=device).extract


def answered(run: Run, a: Adapter, T: nn.Module) -> Callable[[int], Batch]:
    """Batches in which the teacher's image is what is given."""
    known = examples.batches(run, a, T)

    def batch(step: int) -> Batch:
        found = known(step)
        return Batch(gan.target(found), found.real)

    return batch


def train_student(run: Run, a: Adapter) -> None:
    """A student by its method."""
    c, device = run.config, run.device
    T = examples.teacher_of(run.unit, run.root, a).to(device)
    start, stored = run.weights_of("common"), None if a.latent else views.StoredTeacher()
    source = examples.batches(run, a, T, stored)

    def target() -> nickel_dime.Moments:
        first, second = (start[f"moments.{k}"].to(device) for k in ("first", "second"))
        return nickel_dime.Moments(first, second, 0)

    D = critic_of(run.unit.needs["teacher"], run.root, a).to(device)
    setup = setup_of(
        a, c, device, source, run.new, start=start, T=T, D=D, target=target, stored_teacher=stored
    )
    found = compose.distil(setup, METHODS[c["method"]], phases(run, a, setup.recipe))
    quality = measure.quality_rows(run, a, found.G, c["method"])
    run.finish({"G": found.G} | ({} if found.D is None else {"D": found.D}), quality)


def phases(run: Run, a: Adapter, recipe: Recipe) -> Callable[[Phase], None]:
    """The function that trains one phase of a unit after the other; the last has what is left."""
    left = [recipe.steps]

    def fit(phase: Phase) -> None:
        last = phase.name == "train"
        steps = left[0] if last else max(1, round(phase.share * recipe.steps))
        left[0] -= steps
        show = examples.sampler(run, a, phase.nets["average"]) if last else None
        players = recipe.paced(phase.players, steps)
        run.train(players, phase.draw, steps, phase.nets, phase=phase.name, samples=show)

    return fit


def take_common(run: Run, a: Adapter) -> None:
    """What all students have in common, once.

    The start: of all first weights that the family knows, those with which a trial of a few steps
    ends nearest to the teacher's images. The teacher's moments, its scores, and what both cost.
    """
    c, device = run.config, run.device
    T = examples.teacher_of(run.unit, run.root, a).to(device)
    source = examples.batches(run, a, T)
    errors, best, first = [], math.inf, None
    trial = setup_of(a, {**c, "steps": c["trial"]}, device, source, run.new)
    trial = dataclasses.replace(trial, recipe=dataclasses.replace(trial.recipe, decay=None))

    def fit(phase: Phase) -> None:
        train(trial.recipe.paced(phase.players, c["trial"]), source, c["trial"])

    for name in ("random", *a.starts):
        S = trial.fresh()
        if name in a.starts:
            a.starts[name](T, S)
        before = {key: value.clone() for key, value in S.state_dict().items()}
        compose.distil(dataclasses.replace(trial, student=lambda S=S: S), METHODS["mse"], fit)
        batch = source(c["trial"])  # one that no step has seen
        with features.evaluating(S):
            error = (S(batch.cond) - gan.target(batch)).square().mean().item()
        errors.append(Number(f"error after the trial, {name}", error))
        if error < best:
            best, first = error, before
    assert first is not None
    S = family.build(a, c["width"]).to(device)
    S.load_state_dict(first)
    embed = embedding(c, device)
    torch.manual_seed(step_seed(c["seed"], "moments"))
    with torch.no_grad():
        parts = [embed(gan.target(source(step))).cpu() for step in range(c["moments"])]
    whole = nickel_dime.global_moments(parts)
    found = rows(run, errors, measure.labels(run.unit), method="start")
    found += measure.quality_rows(run, a, T, "teacher") + measure.quality_rows(run, a, S, "start")
    if not a.latent:
        found += measure.quality_rows(run, a, measure.Enlarged(a.size), "input")
    found += measure.cost_rows(run, a, {"teacher": T, "student": S})
    moments = {"first": whole.first, "second": whole.second}
    run.finish({"G": S, "moments": moments}, found)


# Networks -----------------------------------------------------------------------------------------


def critic_of(unit: Unit, root: Path, a: Adapter, width: float = 1.0) -> nn.Module:
    """The frozen discriminator that a unit keeps."""
    return frozen(load_network(a.critic(width), unit.weights(root), "D"))


def student_of(unit: Unit, root: Path, adapter: Adapter | None = None) -> nn.Module:
    """The trained student of a finished unit, frozen."""
    a = adapter or named(unit)
    net = family.build(a, unit.config["width"])
    return frozen(load_network(net, unit.weights(root), "G"))


def embedding(c: Mapping[str, Any], device: torch.device) -> Callable[[Tensor], Tensor]:
    """What DiME compares images through: EfficientNet-Lite0, which never measures."""
    return _lite(c["lite"], str(device)).extract


@lru_cache(maxsize=2)
def _lite(size: int, device: str) -> features.Features:
    return features.efficientnet_lite(0, size=size, device=device)


def target_of(text: str) -> dict[str, float]:
    """A target as notebooks have it: "width 0.25", "parameters 500000". Raises AdapterError."""
    try:
        return parameters.target_of(text)
    except ValueError as error:
        raise AdapterError(f"target is {text!r}; {error}") from None


def chosen_methods(text: str) -> list[str]:
    """Methods as notebooks have them, with commas between; "all" and nothing are all."""
    names = [name.strip() for name in re.split(r",(?!C\)|1\))", text) if name.strip()]
    return [] if names == ["all"] else names


OVERVIEW = {name: name for name in ("method", "steps")}


def best(frame: pd.DataFrame, units: Sequence[Unit]) -> Unit:
    """The student to take: the best seed of the method that is recommended."""
    (method, _), metric = measure.choice(frame), measure.quality(frame)
    rows = frame.loc[(frame["method"] == method) & (frame["metric"] == metric)]
    key = rows.sort_values("value")["unit_key"].iloc[0]
    return next(unit for unit in units if unit.key == key)


def unseen(a: Adapter, source: str = "", side: int = 256) -> tuple[Tensor, Tensor | None]:
    """Something that no network was trained on: noise, or an input made of a piece of a photo.

    With the input comes the piece itself, of ``side`` pixels where the generator takes any size.
    """
    if a.latent:
        return noise(8, a.latent), None
    pieces = sr.load_pieces(source or "photos")
    held = data.cut_photos(pieces.photos, pieces.manifest, "test")
    piece = max(held, key=lambda image: min(image.shape[1:]))
    side = min(side, min(piece.shape[1:])) // 32 * 32 if a.factor else a.size
    top, left = ((n - side) // 2 for n in piece.shape[1:])
    truth = data.to_float(piece[None, :, top : top + side, left : left + side])
    if a.channels == 1:
        truth = truth.mean(1, keepdim=True)
    return a.given(truth, torch.Generator().manual_seed(0)), truth


def samples(
    units: Sequence[Unit], root: Path, method: str, adapter: Adapter | None = None, n: int = 8
) -> Tensor:
    """n held-out images of a method's first seed, of the "teacher", or the "input" enlarged."""
    shared = next(unit for unit in units if unit.config["method"] == "common")
    a, run = adapter or named(shared), Run(shared, root)
    if a.latent:
        cond = noise(n, a.latent)
    else:
        cond, _, wanted = examples.held_out(run, a)
        if method in ("teacher", "input"):
            return {"teacher": wanted, "input": measure.Enlarged(a.size)(cond)}[method][:n]
    if method == "teacher":
        return images_of(teacher(shared, root, a), cond[:n])
    (first, *_) = find_units(units, method=method, seed=0)
    return images_of(student_of(first, root, a), cond[:n])


def named(unit: Unit) -> Adapter:
    """The adapter that a unit's configuration names."""
    return adapters.load(unit.config["adapter"], preset=unit.config["preset"])


def pass_costs(passes: Mapping[str, Callable[[], object]], count: int) -> pd.DataFrame:
    """Seconds of each call on one thread as costs: the median of ``count`` calls, in turns."""
    with cpu_threads(1):
        seconds = metrics.latency(passes, count)
    lines = {"method": list(seconds), "value": list(seconds.values())}
    return pd.DataFrame(lines).assign(quantity="pass of an unseen input", unit="s")


def teacher(unit: Unit, root: Path, adapter: Adapter | None = None) -> nn.Module:
    """The frozen teacher of a student."""
    return examples.teacher_of(unit, root, adapter or named(unit))


def enlarged(cond: Tensor, truth: Tensor) -> Tensor:
    """The input as an image of the truth's size."""
    return measure.Enlarged(truth.shape[-1])(cond)


def session(path: Path) -> Callable[[Tensor], Tensor]:
    """An ONNX file as a function, run by onnxruntime on one thread."""
    onnxruntime = optional("onnxruntime", export.REMEDY)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    found = onnxruntime.InferenceSession(str(path), options)
    return lambda x: torch.from_numpy(found.run(None, {"input": x.numpy()})[0])


def card(unit: Unit, root: Path, adapter: Adapter | None = None) -> export.Card:
    """What a student's file says of it: ``export.save(path, student_of(...), card(...))``."""
    a, width = adapter or named(unit), unit.config["width"]
    given = {"noise": bool(a.latent), "width": width, "teacher": a.name}
    return zoo.card(unit, root, a.arguments(width), a.example(), **given)


def logits(
    unit: Unit, root: Path, adapter: Adapter | None = None, n: int = 297
) -> dict[str, Tensor]:
    """Logits for held-out real images and for the unit's own, by its D or else its teacher's.

    Empty for the judge and for the teacher, whose D alone may be what was trained.
    """
    if unit.config["method"] in ("judge", "teacher"):
        return {}
    a, run, c = adapter or named(unit), Run(unit, root), unit.config
    G = examples.teacher_of(unit, root, a) if c["method"] == "common" else student_of(unit, root, a)
    own = c["method"] not in ("mse", "cached", "common")
    width = c["width"] if c["method"] in ("naive (C,C)", "SDAKD") else 1.0
    D = critic_of(unit if own else unit.needs["teacher"], root, a, width)
    if a.latent:
        real = data.to_float(judging.load_images(run, "test").pixels[:n])
        cond = noise(len(real), a.latent)
    else:
        cond, real, _ = examples.held_out(run, a)
    return {"real": logits_of(D, real, n), "generated": logits_of(D, images_of(G, cond), n)}
