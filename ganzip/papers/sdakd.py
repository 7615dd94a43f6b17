"""Paper B: what is trained, and how one unit is trained.

Kaparinos and Mezaris 2025, "SDAKD: Student Discriminator Assisted Knowledge Distillation for
Super-Resolution GANs", arXiv:2510.03870; on GCFSR and on Real-ESRGAN.

    units = sdakd.prepare("cpu", "photos")
    runs.jobs(units, sdakd.work, runs.home())
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from ganzip import assets, export, features, losses, metrics, presets, runs, zoo
from ganzip.families import SIZES, Sdakd, SuperResolution
from ganzip.losses import Supervision
from ganzip.methods import dcd, gan, omgd, sdakd
from ganzip.nets import connectors, enlarging, gcfsr, realesrgan, stylegan2
from ganzip.papers import sdakd_rows as measure
from ganzip.papers import super_resolution as sr
from ganzip.runs import Demand, Run, Unit
from ganzip.train import Batch, Player, averaged, cosine, frozen

CODE = {"GCFSR": (gcfsr, stylegan2), "RealESRGAN": (realesrgan, enlarging)}
CODE[sr.PLAIN] = CODE["RealESRGAN"]
NAIVE = ("teacher", "naive (C,1)", "naive (C,C)")
ABLATIONS = ("Ablation1", sr.LONGER, "Ablation2", "Ablation3")  # with the teacher's discriminator
WHOLE = ("SDAKD", sr.BALANCED)  # nothing left out
ONLINE = ("OMGD", "DCD", "DCD_modified")  # their teachers train beside them
# Seconds a step; only the shown time left rests on it.
COST = {"GCFSR": 0.08, "RealESRGAN": 0.12, sr.PLAIN: 0.15}
VGG16 = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")  # what OMGD and DCD compare
VGG19 = {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1.0, "conv4_4": 1.0, "conv5_4": 1.0}
LITE = (0, 2, 4, 10)  # blocks in their place: at 1/2, 1/4, 1/8 and 1/16 of the size

# The plan -----------------------------------------------------------------------------------------


def prepare(
    preset: str = "cpu", source: str = "photos", scale: float = 1.0, seeds: int = 0
) -> list[Unit]:
    """The plan of a preset, by name, on sets of photos; see ``sr.sources`` and ``data.photos``."""
    presets.sdakd(preset, scale=scale, seeds=seeds)  # refuses what is too large, before photos load
    held = {network: sr.known_pieces(name) for network, name in sr.sources(source).items()}
    aligned = held["GCFSR"].aligned
    return plan(presets.sdakd(preset, aligned=aligned, scale=scale, seeds=seeds), held)


def foreseen(preset: str, source: str = "", scale: float = 1.0, seeds: int = 0) -> list[Unit]:
    """The plan where the photos are not here, to be counted alone; see ``presets.facts``."""
    first, *others = map(sr.stand_in, presets.facts(sr.PAPER, preset, source))
    real = others[0] if others else first
    held = {"GCFSR": first, "RealESRGAN": real, sr.PLAIN: real}
    return plan(presets.sdakd(preset, aligned=first.aligned, scale=scale, seeds=seeds), held)


def plan(preset: Sdakd, held: Mapping[str, sr.Pieces]) -> list[Unit]:
    """Every unit of the preset on these photos, by network, what is needed first.

    All students of a network have one teacher. Raises DataError for photos that are too small.
    """
    units: list[Unit] = []
    for family in preset.families:
        pieces = held[family.network]
        sr.check_sizes(pieces, family.span)
        common = settings(preset, family, pieces)
        if family.network != "GCFSR" and common["released_d"]:
            check_released(common)
        teacher = unit(family, common, "teacher", "1", 0, {}, pieces.source)
        units.append(teacher)
        if family.speed:
            units.append(speed(family, common, preset.passes))
        units += [
            unit(family, common, method, C, seed, {"teacher": teacher}, pieces.source)
            for method, sizes in family.seeds.items()
            for C, seeds in sizes.items()
            for seed in range(seeds)
        ]
    return runs.in_order(units)


def check_released(c: Mapping[str, Any]) -> None:
    """Raise ValueError where the released D's file does not fit or is not finite."""
    path = assets.require("realesrgan-x4plus-netD")
    D: Any = sr.discriminator(c, "1")
    realesrgan.load_pth(D, path)
    assets.check_finite(path, D)


def settings(preset: Sdakd, family: SuperResolution, pieces: sr.Pieces) -> dict[str, Any]:
    """What all units of a network share."""
    large = preset.name in ("gpu", "paper")
    vgg = "vgg16" if family.network == "GCFSR" else "vgg19"
    found = dataclasses.asdict(family)
    left_out = ("seeds", "speed", "speed_input", "perceptual")
    left_out += ("teacher_steps", "naive_steps", "steps", "d_steps", "balancing")
    use_vgg = large and assets.available(vgg)
    return {k: v for k, v in found.items() if k not in left_out} | {
        "data": pieces.name,
        "fingerprint": pieces.fingerprint,
        "preset": preset.name,
        "precision": presets.precision(preset.name),
        "inception": large and assets.available("inception"),
        "released_d": large and assets.available("realesrgan-x4plus-netD"),
        "perceptual_net": vgg if use_vgg else "efflite0",
        "perceptual": family.perceptual if use_vgg else family.stand_in,
    }


def unit(
    family: SuperResolution,
    common: Mapping[str, Any],
    method: str,
    C: str,
    seed: int,
    needs: Mapping[str, Unit],
    source: str,
) -> Unit:
    """One row of a table and one seed, or the teacher."""
    steps = dict.fromkeys(("l1_steps", "n2", "d2", "n3"), 0)
    if method == "teacher":
        steps["n3"] = family.teacher_steps
    elif method in NAIVE:
        # The recipe of Real-ESRGAN trains a million steps with L1 alone, then 400,000 with all.
        first = round(family.naive_steps * 5 / 7) if family.network != "GCFSR" else 0
        steps |= {"l1_steps": first, "n3": family.naive_steps - first}
    elif method in ONLINE:
        steps["n3"] = 2 * family.steps  # as the student of SDAKD in its two stages
    else:
        n2 = 0 if method in ABLATIONS[:2] else family.steps
        steps |= {"n2": n2, "n3": family.steps * (2 if method == sr.LONGER else 1)}
        steps["d2"] = family.d_steps if method in WHOLE else 0
    own = {
        "method": method,
        "C": C,
        "disc": C if method in ("naive (C,C)", *WHOLE, sr.CONTROL) else "1",
        "features": method in (*WHOLE, "Ablation3"),
        "lambda2": family.balancing if method == sr.BALANCED else family.lambda2,
        "seed": seed,
        **steps,
        "perceptual_steps": steps["n2"] + steps["n3"],
        "steps": sum(steps.values()),
        "code": _code(family.network, method),
    }
    slug = method.lower().translate(str.maketrans(" ,", "--", "()"))
    name = f"{family.network.lower()}-{slug}-c{C.replace('/', '')}-seed{seed}"
    cost = own["steps"] * COST[family.network] * (2 if method in ONLINE else 1)
    return Unit(sr.PAPER, name, {**common, **own}, needs, cost, source, shared=True)


def speed(family: SuperResolution, common: Mapping[str, Any], passes: int) -> Unit:
    """Table 3's unit: the paper's generators with random weights, timed."""
    kept = {k: common[k] for k in ("network", "preset")} | {"data": "random weights"}
    config = kept | {
        "net": family.speed,
        "input": family.speed_input,
        "sizes": ["1", *SIZES],
        "method": "speed",
        "seed": 0,
        "d2": 0,
        "steps": passes,
        "code": runs.code(*CODE[family.network]),
    }
    return Unit(sr.PAPER, f"{family.network.lower()}-speed", config, cost=100)


# Training -----------------------------------------------------------------------------------------


class Best(nn.Module):
    """The best state of some modules by a score that is to be small: part of a run's state."""

    score: Tensor

    def __init__(self, parts: Mapping[str, nn.Module]):
        super().__init__()
        self.parts = nn.ModuleDict({name: copy.deepcopy(part) for name, part in parts.items()})
        self.register_buffer("score", torch.tensor(math.inf))

    def offer(self, score: float, parts: Mapping[str, nn.Module]) -> None:
        """Keep the parts where the score is the lowest so far."""
        if score < self.score:
            self.score.fill_(score)
            for name, part in parts.items():
                self.parts[name].load_state_dict(part.state_dict())

    def restore(self, parts: Mapping[str, nn.Module]) -> None:
        """Put the best state back."""
        for name, part in parts.items():
            part.load_state_dict(self.parts[name].state_dict())


def work(run: Run) -> None:
    """Train one unit, measure it, and finish it."""
    method = run.config["method"]
    if method == "speed":
        run.finish({}, measure.speed_rows(run))
    elif measure.is_released(run.config):
        stage1_discriminator(run)
    elif method in NAIVE:
        naive(run)
    elif method in ONLINE:
        online(run)
    else:
        distil(run)


def naive(run: Run) -> None:
    """The family's own recipe, no teacher: both naive forms, and stage 1 of GCFSR.

    Real-ESRGAN has two phases, 5 to 2: L1 alone, then all terms.
    """
    c = run.config
    G, D = student(run), discriminator(run)
    seen = sr.batches(run)
    if c["l1_steps"]:
        l1 = losses.supervision(None, l1=c["l1"])

        def alone(g: Adam) -> list[Player]:
            return [gan.supervised(G, None, g, l1)]

        stage(run, "l1", {"G": G}, alone, seen, c["l1_steps"], lr=c["l1_lr"])
    d = adam(run, "D", D)
    stage(run, "gan", {"G": G}, lambda g: family(run, G, D, g, d), seen, c["n3"], {"D": D})
    finish(run, G, D)


def distil(run: Run) -> None:
    """SDAKD, its ablations, and the control.

    Ablation 1: stage 3 alone, no feature term, the teacher's discriminator; 2: both stages; 3: and
    the feature term. SDAKD: a student discriminator in its place. There are two controls: SDAKD
    with the ground truth in the teacher's place, without feature term and without anything for
    stage 2 to teach its D; and ablation 1 for as many steps as ablation 2.
    """
    c = run.config
    control, ablation = c["method"] == sr.CONTROL, c["method"] in ABLATIONS
    teacher = None if control else sr.teacher_generator(run)
    seen, sup = sr.batches(run, teacher=teacher), supervision(run)
    G, D = student(run), discriminator(run)
    parts = {"G": G}
    if c["features"]:
        widths = (sr.map_channels(sr.generator(c, C), [sr.tap(c)], c)[0] for C in (c["C"], "1"))
        parts["mlp"] = run.new("mlp", lambda: sdakd.mapper(*widths))
    mlp = {"mlp": parts.get("mlp"), "tap": sr.tap(c), "lambda1": c["lambda1"]}
    if c["n2"]:
        stage(run, "stage2", parts, lambda g: sdakd.stage2(G, g, sup, **mlp), seen, c["n2"])
    if ablation:
        runs.load(D, run.needed("teacher"), "D")
    elif c["d2"]:
        D_T = sr.teacher_discriminator(run)
        apart = scheduled(run, sdakd.stage2_discriminator(D, D_T, adam(run, "D", D)), c["d2"])
        run.train(apart, seen.batch, c["d2"], {"D": D, **seen.state}, phase="stage2-D")
    d = adam(run, "D", D)

    def players(g: Adam) -> list[Player]:
        two = sdakd.stage3(G, D, g, d, sup, **mlp, lambda2=c["lambda2"])
        return in_order(run, two, gan.r1(D, d, gamma=c["r1"]))

    more = []
    if c["method"] in WHOLE:
        more = measure.balance_rows(run, players(adam(run, "G", *parts.values())), seen)
    stage(run, "stage3", parts, players, seen, c["n3"], {"D": D})
    finish(run, G, D, more)


def online(run: Run) -> None:
    """OMGD, DCD and DCD modified: their teachers learn from scratch beside the student."""
    c = run.config
    G, D = student(run), discriminator(run)
    T = run.new("T", lambda: sr.generator(c, "1"))
    mine, its = sr.four_taps(G, c), sr.four_taps(T, c)
    n_mine, n_its = sr.map_channels(G, mine, c), sr.map_channels(T, its, c)
    others = {"teacher": T, "D": D}
    t, d = adam(run, "G", T), adam(run, "D", D)
    if c["method"] == "OMGD":
        deeper = {"extra": 1} if c["network"] == "GCFSR" else {"blocks": 2 * c["net"]["blocks"]}
        deep = run.new("deep", lambda: sr.generator(c, c["C"], **deeper))
        D_deep = run.new("D_deep", lambda: sr.discriminator(c, "1"))
        others |= {"deep": deep, "D_deep": D_deep}
        t2, d2 = adam(run, "G", deep), adam(run, "D", D_deep)
        links = run.new("links", lambda: connectors.connectors(n_mine, n_its))
        parts = {"G": G, "links": links}

        def players(g: Adam) -> list[Player]:
            wide = [named("wide", p) for p in family(run, T, D, t, d)]
            deep_ones = [named("deep", p) for p in family(run, deep, D_deep, t2, d2)]
            return [*wide, *deep_ones, *omgd.omgd(G, T, deep, links, g, maps(run), mine, its)]
    else:
        links = run.new("links", lambda: connectors.connectors(n_mine, [3] * 4))
        its_links = run.new("its_links", lambda: connectors.connectors(n_its, [3] * 4))
        parts = {"G": G, "links": links, "its_links": its_links}

        def players(g: Adam) -> list[Player]:
            judge, student = dcd.dcd(
                G, T, D, links, its_links, g, d, maps(run), first_blocks(D, c), mine, its,
                adversarial=c["adversarial"], modified=c["method"] == "DCD_modified",
            )  # fmt: skip
            teacher = gan.supervised(T, D, t, supervision(run), weight=c["adversarial"])
            return [*in_order(run, [judge, teacher], gan.r1(D, d, gamma=c["r1"])), student]

    stage(run, "online", parts, players, sr.batches(run), c["n3"], others)
    finish(run, G, D)


def stage1_discriminator(run: Run) -> None:
    """Stage 1 of Real-ESRGAN: a D against the released generator, whose own is in no package.

    Where the released one is among the weights by path, it is taken instead.
    """
    c = run.config
    G, D = sr.teacher_generator(run), discriminator(run)
    if c["released_d"]:
        realesrgan.load_pth(D, assets.require("realesrgan-x4plus-netD"))
    else:
        seen, nothing = sr.batches(run, teacher=G), nn.Identity()
        players = [gan.discriminator(nothing, D, adam(run, "D", D))]

        def shown(step: int) -> Batch:
            batch = seen.batch(step)
            return dataclasses.replace(batch, cond=gan.target(batch))

        run.train(scheduled(run, players, c["n3"]), shown, c["n3"], {"D": D, **seen.state})
    finish(run, G, D)


def stage(
    run: Run,
    name: str,
    parts: Mapping[str, nn.Module],
    players: Callable[[Adam], list[Player]],
    seen: sr.Seen,
    steps: int,
    others: Mapping[str, nn.Module] | None = None,
    *,
    lr: float | None = None,
) -> None:
    """One stage of a student: a new Adam, a new average; after it G, ``parts`` and D are the best.

    parts: G and what learns in its optimiser. others: what the other players of the stage move, D
    among them. Judged after every epoch, and kept as G, is the average of G. ``lr`` is the
    generator's where it is not the unit's.
    """
    c, others = run.config, dict(others or {})
    own = adam(run, "G", *parts.values())
    average = averaged(parts["G"], own, c["ema"], steps=steps)
    ends = {**parts, **{k: v for k, v in others.items() if k == "D"}}
    kept = {**ends, "G": average}
    best, score = Best(kept), measure.selection(run)
    shown = next(iter(sr.examples(run, "validation").values())).cond[:8]

    def validate() -> dict[str, float]:
        scores = score(average)
        best.offer(float(np.mean(list(scores.values()))), kept)
        return scores

    state = {**parts, **others, "average": average, "best": best}
    run.train(
        scheduled(run, players(own), steps, lr),
        seen.batch,
        steps,
        {**state, **seen.state},
        phase=name,
        samples=lambda: sr.answers(average, shown),
        epoch=c["epoch"],
        validate=validate,
    )
    best.restore(ends)


def said(unit: Unit, root: Path) -> dict[str, Tensor]:
    """Logits of a unit's D for the true and for the generated training images; else empty."""
    c = unit.config
    if c["method"] == "speed":
        return {}
    D = frozen(runs.load(sr.discriminator(c, c["disc"]), unit.weights(root), "D"))
    fake, real = measure.probabilities(Run(unit, root), measure.trained(unit, root), D)
    return {"real": real.logit(), "generated": fake.logit()}


def shown(units: Sequence[Unit], root: Path) -> Iterator[Callable[[], object]]:
    """Calls that compute and keep what notebook 2 shows of finished units: see ``runs.kept``."""

    def there(network: str, *rows: tuple[str, str]) -> list[Unit]:
        found = [runs.find(units, network=network, method=m, C=C, seed=0) for m, C in rows]
        done = all(its and its[0].done(root) for its in found)
        return [unit for its in found for unit in its] if done else []

    for network in CODE:
        judged = [("DCD", "1/2"), ("DCD_modified", "1/2"), ("Ablation3", "1/4"), ("SDAKD", "1/4")]
        for row in judged:
            if its := there(network, row):
                yield functools.partial(measure.said, its, root)
        if there(network, ("SDAKD", "1/4")):
            yield functools.partial(measure.inputs, units, root, network)
        if there(network, *(("SDAKD", C) for C in SIZES)):
            yield functools.partial(measure.figure4, units, root, network)
    its = there("RealESRGAN", ("SDAKD", "1/4"), ("naive (C,C)", "1/4"))
    if its and there(sr.PLAIN, ("SDAKD", "1/4")):
        yield lambda: measure.enlarged_photo(units, root, sr.known_pieces(its[0].source))


def network_of(unit: Unit, root: Path) -> tuple[nn.Module, export.Card]:
    """A finished unit's generator with its card."""
    c = unit.config
    width = sr.share(c["C"])
    made = zoo.card(
        unit, root, {**c["net"], "width": width}, sr.example(c), noise=False, width=width
    )
    return measure.trained(unit, root), made


def demand(unit: Unit) -> Demand:
    """What a unit asks of a machine, to a factor of two: passes and gradients of G, D and T."""
    c = unit.config
    if c["method"] == "speed":
        return Demand()
    names = ("network", "net", "d_net", "d_width", "size", "start")
    shape = json.dumps({name: c[name] for name in names})
    (small, weights), (full, _) = _counts(shape, c["C"], "G"), _counts(shape, "1", "G")
    judge, its = _counts(shape, c["disc"], "D")
    beside = {"OMGD": 8, "DCD": 4, "DCD_modified": 4}.get(c["method"], 1)
    step = 4 * small + 9 * judge + beside * full
    return Demand(c["steps"] * c["batch"] * step, 4 * (weights + its))


@functools.cache
def _counts(shape: str, C: str, kind: str) -> tuple[int, int]:
    """Multiply-adds of a pass and parameters, of G ("G") or D ("D")."""
    c = json.loads(shape)
    more = c["net"].get("blocks", 0) - 2 if kind == "G" else 0
    if more > 0:  # every block asks what the second does
        one, two = (
            _counts(json.dumps(c | {"net": c["net"] | {"blocks": n}}), C, kind) for n in (1, 2)
        )
        return two[0] + more * (two[0] - one[0]), two[1] + more * (two[1] - one[1])
    with torch.device("meta"):
        net = sr.generator(c, C) if kind == "G" else sr.discriminator(c, C)
        seen = sr.example(c) if kind == "G" else torch.zeros(1, 3, c["size"], c["size"])
    return metrics.macs(net, seen), metrics.params(net)


@functools.cache
def _code(network: str, method: str) -> str:
    """Hash of what decides a unit's result beside its settings."""
    modules = {"OMGD": (omgd, connectors)} | dict.fromkeys(ONLINE[1:], (dcd, connectors))
    own = () if method in NAIVE else modules.get(method, (sdakd,))
    return runs.code(gan, *CODE[network], *own)


def student(run: Run) -> Any:
    """The unit's generator before it learns; the full-size one in the teacher's unit."""
    return run.new("G", lambda: sr.generator(run.config, run.config["C"]))


def discriminator(run: Run) -> Any:
    """The unit's discriminator before it learns."""
    return run.new("D", lambda: sr.discriminator(run.config, run.config["disc"]))


def adam(run: Run, kind: str, *networks: nn.Module) -> Adam:
    """A new Adam over networks, with the betas of generators ("G") or discriminators ("D")."""
    betas = run.config["betas" if kind == "G" else "d_betas"]
    return Adam([p for net in networks for p in net.parameters()], betas=tuple(betas), fused=True)


def scheduled(
    run: Run, players: Sequence[Player], steps: int, lr: float | None = None
) -> list[Player]:
    """Players with their learning rates: constant, or falling to 0 along a cosine; and warm-up."""
    c = run.config

    def rate(player: Player) -> Callable[[int], float]:
        its = c["d_lr"] if player.name.endswith("D") else lr or c["lr"]
        curve = cosine(its, steps) if c["cosine"] else lambda step: its
        return lambda step: curve(step) * min(1.0, (step + 1) / (c["warmup"] + 1))

    return [dataclasses.replace(player, lr=rate(player)) for player in players]


def family(run: Run, G: nn.Module, D: nn.Module, g: Adam, d: Adam) -> list[Player]:
    """The network's own adversarial training, in its own order."""
    c = run.config
    two = [
        gan.discriminator(G, D, d),
        gan.supervised(G, D, g, supervision(run), weight=c["adversarial"]),
    ]
    return in_order(run, two, gan.r1(D, d, gamma=c["r1"]))


def in_order(run: Run, players: Sequence[Player], r1: Player) -> list[Player]:
    """D, its R1, G as in GCFSR; G, D without R1 as in Real-ESRGAN."""
    D, G = players
    return [D, r1, G] if run.config["network"] == "GCFSR" else [G, D]


def named(prefix: str, player: Player) -> Player:
    """The player under a name of its own, by which runs keep optimisers."""
    return dataclasses.replace(player, name=f"{prefix} {player.name}")


def first_blocks(D: Any, c: Mapping[str, Any]) -> Callable[[Tensor], Tensor]:
    """D's first layers, which take maps of any size: those in which DCD compares."""
    if c["network"] == "GCFSR":
        return nn.Sequential(*list(D.children())[:4])  # from RGB, and three residual blocks

    def phi(maps: Tensor) -> Tensor:
        x = realesrgan.unit_range(maps)
        for conv in (D.conv0, D.conv1, D.conv2, D.conv3):
            x = F.leaky_relu(conv(x), realesrgan.SLOPE)
        return x

    return phi


def finish(run: Run, G: nn.Module, D: nn.Module, more: Iterable[Mapping[str, Any]] = ()) -> None:
    """Measure a trained unit and finish it."""
    c = run.config
    rows = [*measure.measured(run, G), *measure.judged_rows(run, G, D), *more]
    rows.append(measure.row(run, "parameters", metrics.params(G)))
    rows.append(measure.row(run, "multiply-adds", metrics.macs(G, sr.example(c).to(run.device))))
    rows.append(measure.row(run, "perceptual steps", c["perceptual_steps"]))
    if c["network"] != "GCFSR":
        rows.append(measure.row(run, "blocks", len(list(G.body))))  # pyright: ignore
    kept: dict[str, Any] = {"G": G, "D": D}
    if c["method"] == "teacher":
        kept["truth"] = measure.references(run)
    if measure.is_released(c):
        del kept["G"]  # it is in its package
    run.finish(kept, rows)


# Losses -------------------------------------------------------------------------------------------


def supervision(run: Run) -> Supervision:
    """The family's own: L1 and perceptual, the latter by VGG or by its embedded stand-in."""
    c, device = run.config, str(run.device)
    if c["perceptual_net"] == "vgg16":
        eye, weights = features.vgg(assets.require("vgg16"), 16, ["conv4_3"], device=device), [1.0]
    elif c["perceptual_net"] == "vgg19":
        eye = features.vgg(assets.require("vgg19"), 19, list(VGG19), device=device)
        weights = list(VGG19.values())
    else:
        eye = features.lite_maps(0, LITE[:3], size=c["size"], device=device)
        weights = [1 / 3] * 3
    distance = losses.perceptual(eye.extract, weights, relative=c["perceptual_net"] == "efflite0")
    return losses.supervision(distance, l1=c["l1"], weight=c["perceptual"])


def maps(run: Run) -> Callable[[Tensor], list[Tensor]]:
    """The four maps that OMGD and DCD compare, of VGG16 or of its embedded stand-in."""
    c, device = run.config, str(run.device)
    if c["perceptual_net"] == "efflite0":
        return features.lite_maps(0, LITE, size=c["size"], device=device).extract
    path = assets.require("vgg16")
    return features.vgg(path, 16, VGG16, standardised=False, device=device).extract
