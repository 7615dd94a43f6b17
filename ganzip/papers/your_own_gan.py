"""A GAN of one's own, compressed within a budget by every method of the three papers that can.

The teacher and its family are described by an adapter. What is planned depends on how fast the
machine is: a few steps of each method are measured once and the rates kept in the run folder, so
that a second call plans the same units.

    units = your_own_gan.prepare("cpu", adapter="RealESRGAN-bicubic", target={"width": 0.25})
    perform_all(units, your_own_gan.work, files.runs_folder())
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from ganzip import data, export, features, files, metrics, presets, zoo
from ganzip.device import cpu_threads, default_jobs
from ganzip.distil import compose, family, views
from ganzip.distil.compose import CONTROL, METHODS
from ganzip.distil.family import Adapter, AdapterError
from ganzip.distil.recipe import Recipe
from ganzip.distil.setup import Phase
from ganzip.measure import judging
from ganzip.measure.images import images_of, logits_of, noise
from ganzip.measure.rows import Number, rows
from ganzip.methods import gan, nickel_dime
from ganzip.papers import adapters, perceptual
from ganzip.papers import nickel_dime as paper_c
from ganzip.papers import super_resolution as sr
from ganzip.papers import your_own_gan_data as examples
from ganzip.papers import your_own_gan_rows as measure
from ganzip.papers.your_own_gan_budget import EFFORTS, PAPER, Effort, divide, fit_width, rates
from ganzip.papers.your_own_gan_data import (
    adapter_of,
    critic_of,
    setup_of,
    student_of,
    teacher_of,
)
from ganzip.train import step_seed, train
from ganzip.units import Run, Unit, code_hash, find_units, in_order

CHOICE = ("mse", "SDAKD", "CAGC", "DiME", "NICKEL & DiME")  # serve any generator, at little cost
EMA = 0.998  # of the average of G, where there are steps enough for it, see ``train.memory``


# The plan -----------------------------------------------------------------------------------------


def prepare(
    preset: str = "cpu",
    source: str = "",
    scale: float = 1.0,
    *,
    adapter: str | Adapter = sr.PLAIN,
    target: Mapping[str, float] | None = None,
    minutes: float = 0.0,
    methods: Collection[str] = CHOICE,
    seeds: int = 0,
    device: str = "cpu",
) -> list[Unit]:
    """The units that compress a generator within a budget, what is needed first.

    source: what ``data.load`` (noise) or ``data.photos`` (images) finds; empty for the embedded
    set. target: see ``fit_width``; None is a quarter of the channels. minutes: by the
    clock, 0 for the preset's; ``scale`` multiplies them. methods: of ``compose.METHODS``, () for
    all that can serve; the control is always there. seeds: 0 for the preset's. Raises AdapterError
    and DataError.
    """
    presets.check(preset, scale, seeds)
    effort = EFFORTS[preset]
    a = adapter if isinstance(adapter, Adapter) else adapters.load(adapter, preset=preset)
    family.check(a)
    width = fit_width(a, target or {"width": 0.25}, device)
    chosen = methods_for(a, methods)
    named = adapter if isinstance(adapter, str) else ""
    dataset = load_dataset(a, effort, width, source, name=named)
    measured, seeds = rates(a, dataset.config, chosen, device), seeds or effort.seeds
    budget = 60 * (minutes or effort.minutes) * presets.times(1000, scale) / 1000
    jobs = default_jobs(device)
    steps = divide(a, effort, measured, chosen, seeds, budget, given=bool(minutes), jobs=jobs)
    return plan(a, effort, dataset, steps, seeds)


def methods_for(adapter: Adapter, methods: Collection[str]) -> list[str]:
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
class Dataset:
    """The data: what all units' configurations say of them, and the judge's unit where one is.

    config: also what they say of the generator.
    """

    source: str
    config: Mapping[str, Any]
    judge: Unit | None = None


def load_dataset(
    a: Adapter, effort: Effort, width: float, source: str, *, name: str = "", paper: str = PAPER
) -> Dataset:
    """Load the data for students of a width; raises DataError.

    name: what finds the adapter, where it is not its own.
    """
    own = {
        "adapter": name or a.name,
        "networks": family.fingerprint(a),
        "width": width,
        "size": a.size,
        "latent": a.latent,
        "batch": a.batch,
        "lr": a.lr,
        "d_lr": a.d_lr,
        "betas": list(a.betas),
        "dime": 10.0 if a.latent else 1.0,
        "langevin": 5,
        "lite": 32 if a.size <= 32 else 64,
    }
    if a.latent:
        source, cache = source or "digits", files.runs_folder() / "cache"
        images = data.load(source, size=a.size, channels=a.channels, cache=cache)
        found = judging.settings(images, effort.name, effort.n_images) | {"size": a.size}
        judge = judging.unit(paper, found, images, effort.judge_steps, source, batch=64)
        return Dataset(source, found | own | {"mask": paper_c.content(images)}, judge)
    pieces = sr.load_pieces(source or "photos")
    span = a.span or a.size
    sr.check_sizes(pieces, span)
    own |= {"data": pieces.name, "fingerprint": pieces.fingerprint, "preset": effort.name}
    own |= {"pairs": True}  # of images and truth: before it, kernel distances had a bias
    own |= {"precision": presets.precision(effort.name), "square": a.size, "span": span}
    own |= {"channels": a.channels, "mask": "everything", "n_images": effort.count["test"]}
    return Dataset(pieces.source, {**own, "count": dict(effort.count)})


def plan(
    adapter: Adapter,
    effort: Effort,
    dataset: Dataset,
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
    judge = {} if dataset.judge is None else {"judge": dataset.judge}

    def unit(method: str, needs: Mapping[str, Unit], n: int, seed: int = 0, **own: Any) -> Unit:
        slug = re.sub("[^a-z0-9]+", "-", f"{adapter.name} {method}".lower()).strip("-")
        config = {**dataset.config, "method": method, "seed": seed, "steps": n, "ema": EMA, **own}
        modules = METHODS[method].modules if method in METHODS else ()
        config["code"] = code_hash(gan, *modules)  # what decides beside the settings
        return Unit(paper, f"{slug}-seed{seed}", config, {**judge, **needs}, n, dataset.source)

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
    a = adapter or adapter_of(run.unit)
    train_one = {"teacher": train_teacher, "common": take_common}.get(method, train_student)
    train_one(run, a)


def train_teacher(run: Run, a: Adapter) -> None:
    """The teacher or, where its weights are given, its discriminator against it."""
    c, state = run.config, family.teacher_state(a)
    T = None if state is None else family.load_teacher(a, state).to(run.device)
    setup = setup_of(a, c, run.device, examples.batches(run, a, T), run.new)

    def critic(width: float = 1.0, name: str = "D") -> nn.Module:
        D = run.new(name, lambda: a.critic(width))
        if a.d_weights is not None:
            D.load_state_dict(a.d_weights())
        return D

    fit = phases(run, a, setup.recipe)
    if T is not None:
        fit(phase := compose.critic(setup, critic()))
        found = dict(phase.nets)
    else:
        setup = dataclasses.replace(
            setup, fresh=lambda: run.new("G", lambda: a.generator(1.0)), critic=critic
        )
        trained = compose.distil(setup, compose.REGULAR, fit)
        assert trained.D is not None
        found = {"D": trained.D, "G": trained.G}
    number = Number("parameters of D", metrics.params(found["D"]))
    run.finish(found, rows(run, [number], measure.labels(run.unit)))


def train_student(run: Run, a: Adapter) -> None:
    """A student by its method."""
    c, device = run.config, run.device
    T = teacher_of(run.unit, run.root, a).to(device)
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
        steps = left[0] if phase.name == "train" else max(1, round(phase.share * recipe.steps))
        left[0] -= steps
        average = phase.nets.get("average")
        show = None if average is None else examples.sampler(run, a, average)
        players = recipe.with_rates(phase.players, steps)
        run.train(players, phase.draw, steps, phase.nets, phase=phase.name, samples=show)

    return fit


def take_common(run: Run, a: Adapter) -> None:
    """What all students have in common, once.

    The start: of all first weights that the family knows, those with which a trial of a few steps
    ends nearest to the teacher's images. The teacher's moments, its scores, and what both cost.
    """
    c, device = run.config, run.device
    T = teacher_of(run.unit, run.root, a).to(device)
    source = examples.batches(run, a, T)
    errors, best, first = [], math.inf, None
    trial = setup_of(a, {**c, "steps": c["trial"]}, device, source, run.new)
    trial = dataclasses.replace(trial, recipe=dataclasses.replace(trial.recipe, decay=None))

    def fit(phase: Phase) -> None:
        train(trial.recipe.with_rates(phase.players, c["trial"]), source, c["trial"])

    trained = family.trained_starts(a, family.build(a, c["width"]))
    for name in ("random", *a.starts, *trained):
        S = trial.fresh()
        if name in a.starts:
            a.starts[name](T, S)
        elif name in trained:
            S.load_state_dict(dict(trained[name]))
        before = {key: value.clone() for key, value in S.state_dict().items()}
        compose.distil(dataclasses.replace(trial, student=lambda S=S: S), METHODS["mse"], fit)
        batch = source(c["trial"])  # one that no step has seen
        with features.evaluating(S):
            error = (S(batch.cond) - gan.target(batch)).square().mean().item()
        errors.append(Number(measure.TRIAL + name, error))
        if error < best:
            best, first = error, before
    assert first is not None
    S = family.build(a, c["width"]).to(device)
    S.load_state_dict(first)
    embed = perceptual.lite_embedding(c["lite"], str(device))
    torch.manual_seed(step_seed(c["seed"], "moments"))
    with torch.no_grad():
        parts = [embed(gan.target(source(step))).cpu() for step in range(c["moments"])]
    whole = nickel_dime.global_moments(parts)
    found = rows(run, errors, measure.labels(run.unit), method="start")
    found += measure.quality_rows(run, a, T, "teacher") + measure.quality_rows(run, a, S, "start")
    if not a.latent:
        found += measure.quality_rows(run, a, nn.Identity(), "input")
    found += measure.cost_rows(run, a, {"teacher": T, "student": S})
    moments = {"first": whole.first, "second": whole.second}
    run.finish({"G": S, "moments": moments}, found)


# Networks -----------------------------------------------------------------------------------------


def parse_methods(text: str) -> list[str]:
    """Methods as notebooks have them, with commas between; "all" and nothing are all."""
    names = [name.strip() for name in re.split(r",(?!C\)|1\))", text) if name.strip()]
    return [] if names == ["all"] else names


OVERVIEW = {name: name for name in ("method", "steps")}


def best(frame: pd.DataFrame, units: Sequence[Unit]) -> Unit:
    """The student to take: the best seed of the method that is recommended.

    Where that is the start from which all began, the unit that holds it.
    """
    metric = measure.quality(frame)
    rows = frame.loc[(frame["method"] == measure.taken(frame)) & (frame["metric"] == metric)]
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
    a, run = adapter or adapter_of(shared), Run(shared, root)
    if a.latent:
        cond = noise(n, a.latent)
    else:
        cond, truth, wanted = examples.test_pairs(run, a)
        if method in ("teacher", "input"):
            return {"teacher": wanted, "input": sr.enlarge(cond, truth)}[method][:n]
    if method == "teacher":
        return images_of(teacher_of(shared, root, a), cond[:n])
    (first, *_) = find_units(units, method=method, seed=0)
    return images_of(student_of(first, root, a), cond[:n])


def pass_costs(passes: Mapping[str, Callable[[], object]], count: int) -> pd.DataFrame:
    """Seconds of each call on one thread as costs: the median of ``count`` calls, in turns."""
    with cpu_threads(1):
        seconds = metrics.latency(passes, count)
    lines = {"method": list(seconds), "value": list(seconds.values())}
    return pd.DataFrame(lines).assign(quantity="pass of an unseen input", unit="s")


def card(unit: Unit, root: Path, adapter: Adapter | None = None) -> export.Card:
    """What a student's file says of it: ``export.save(path, student_of(...), card(...))``."""
    a, width = adapter or adapter_of(unit), unit.config["width"]
    given: dict[str, Any] = {"noise": bool(a.latent), "width": width, "teacher": a.name}
    if unit.config["method"] == "common":
        given["method"] = "start"
    return zoo.card(unit, root, a.arguments(width), a.example(), **given)


def logits(
    unit: Unit, root: Path, adapter: Adapter | None = None, n: int = 297
) -> dict[str, Tensor]:
    """Logits for held-out real images and for the unit's own, by its D or else its teacher's.

    Empty for the judge and for the teacher, whose D alone may be what was trained.
    """
    if unit.config["method"] in ("judge", "teacher"):
        return {}
    a, run, c = adapter or adapter_of(unit), Run(unit, root), unit.config
    G = teacher_of(unit, root, a) if c["method"] == "common" else student_of(unit, root, a)
    own = any(name.startswith("D.") for name in unit.weights(root))
    width = c["width"] if c["method"] in ("naive (C,C)", "SDAKD") else 1.0
    D = critic_of(unit if own else unit.needs["teacher"], root, a, width)
    if a.latent:
        real = data.to_float(judging.load_images(run, "test").pixels[:n])
        cond = noise(len(real), a.latent)
    else:
        cond, real, _ = examples.test_pairs(run, a)
    return {"real": logits_of(D, real, n), "generated": logits_of(D, images_of(G, cond), n)}
