"""Paper B: what is trained, and how one unit is trained.

Kaparinos and Mezaris 2025, "SDAKD: Student Discriminator Assisted Knowledge Distillation for
Super-Resolution GANs", arXiv:2510.03870; on GCFSR and on Real-ESRGAN.

    units = sdakd.prepare("cpu", "photos")
    perform_all(units, sdakd.work, files.runs_folder())
"""

import copy
import dataclasses
import functools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzip import assets, export, features, presets, sets, zoo
from ganzip.distil import compose
from ganzip.distil.family import Adapter
from ganzip.distil.recipe import Recipe
from ganzip.distil.setup import Phase, Setup
from ganzip.families import SIZES, Sdakd, SuperResolution
from ganzip.measure import cost
from ganzip.measure.images import images_of
from ganzip.measure.rows import Number, pair_seeds, rows
from ganzip.methods import gan
from ganzip.nets import connectors, enlarging, gcfsr, realesrgan, stylegan2
from ganzip.papers import perceptual
from ganzip.papers import sdakd_rows as measure
from ganzip.papers import super_resolution as sr
from ganzip.train import Player, averaged
from ganzip.units import Demand, Run, Unit, code_hash, find_units, in_order, load_network

CODE = {"GCFSR": (gcfsr, stylegan2), "RealESRGAN": (realesrgan, enlarging)}
CODE[sr.PLAIN] = CODE["RealESRGAN"]
NAIVE = ("teacher", "naive (C,1)", "naive (C,C)")
ABLATIONS = ("Ablation1", sr.LONGER, "Ablation2", "Ablation3")  # with the teacher's discriminator
WHOLE = ("SDAKD", sr.BALANCED)  # nothing left out
ONLINE = ("OMGD", "DCD", "DCD_modified")  # their teachers train beside them
# Seconds a step; only the shown time left rests on it.
COST = {"GCFSR": 0.08, "RealESRGAN": 0.12, sr.PLAIN: 0.15}

# The plan -----------------------------------------------------------------------------------------


def prepare(
    preset: str = "cpu", source: str = "photos", scale: float = 1.0, seeds: int = 0
) -> list[Unit]:
    """The plan of a preset, by name, on sets of photos; see ``sr.sources`` and ``data.photos``."""
    presets.sdakd(preset, scale=scale, seeds=seeds)  # refuses what is too large, before photos load
    photos = {network: sr.find_pieces(name) for network, name in sr.sources(source).items()}
    aligned = photos["GCFSR"].aligned
    return plan(presets.sdakd(preset, aligned=aligned, scale=scale, seeds=seeds), photos)


def outline(preset: str, source: str = "", scale: float = 1.0, seeds: int = 0) -> list[Unit]:
    """The plan where the photos are not here, to be counted; see ``sets.facts``."""
    first, *others = map(sr.stand_in, sets.facts(sr.PAPER, preset, source))
    real = others[0] if others else first
    photos = {"GCFSR": first, "RealESRGAN": real, sr.PLAIN: real}
    return plan(presets.sdakd(preset, aligned=first.aligned, scale=scale, seeds=seeds), photos)


def plan(preset: Sdakd, photos: Mapping[str, sr.Pieces]) -> list[Unit]:
    """Every unit of the preset on these photos, by network, what is needed first.

    All students of a network have one teacher. Raises DataError for photos that are too small.
    """
    units: list[Unit] = []
    for family in preset.families:
        pieces = photos[family.network]
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
            for C, seed in pair_seeds(sizes)
        ]
    return in_order(units)


def check_released(c: Mapping[str, Any]) -> None:
    """Raise ValueError where the released D's file does not fit or is not finite."""
    path = assets.require("realesrgan-x4plus-netD")
    D: Any = sr.discriminator(c, "1")
    realesrgan.load_pth(D, path)
    if bad := [name for name, x in D.state_dict().items() if not x.isfinite().all()]:
        raise assets.BrokenAsset(
            f"{path} is NaN or infinite in {bad[0]} ({len(bad)} such tensors), expected finite "
            "numbers: delete it and get it again"
        )


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
        "pairs": True,  # of images and truth: until it stood here, kernel distances had a bias
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
    modules = CODE[family.network] + compose.METHODS[method_of(method)].modules
    modules += (connectors,) if method in ONLINE else ()
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
        "code": code_hash(gan, *modules),
    }
    slug = method.lower().translate(str.maketrans(" ,", "--", "()"))
    name = f"{family.network.lower()}-{slug}-c{C.replace('/', '')}-seed{seed}"
    cost = own["steps"] * COST[family.network] * (2 if method in ONLINE else 1)
    return Unit(sr.PAPER, name, {**common, **own}, needs, cost, source, shared=True)


def speed(family: SuperResolution, common: Mapping[str, Any], passes: int) -> Unit:
    """Table 3's unit: the paper's generators with random weights, timed."""
    config = {
        "network": family.network,
        "preset": common["preset"],
        "data": "random weights",
        "net": family.speed,
        "input": family.speed_input,
        "sizes": ["1", *SIZES],
        "method": "speed",
        "seed": 0,
        "d2": 0,
        "steps": passes,
        "code": code_hash(*CODE[family.network]),
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
        if score < self.score.item():
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
    else:
        train_pair(run)


def train_pair(run: Run) -> None:
    """A teacher, a naive GAN or a student by its method: G and D.

    The released generator lacks a D: one is trained against it or, where it is among the weights by
    path, taken.
    """
    c, source, balance = run.config, batches(run), list[Number]()
    setup = setup_of(run, source)
    steps = {"l1": c["l1_steps"], "stage2": c["n2"], "stage2-D": c["d2"], "train": c["n3"]}
    last = "gan" if c["method"] in NAIVE else "online" if c["method"] in ONLINE else "stage3"

    def fit(phase: Phase) -> None:
        n, recipe = steps[phase.name], setup.recipe
        if phase.name == "l1":
            recipe = dataclasses.replace(recipe, lr=c["l1_lr"])
        if phase.name == "train":
            if c["method"] in WHOLE:
                balance.extend(measure.balance_numbers(run, phase.players, source))
            phase = dataclasses.replace(phase, name=last)
        stage(run, phase, recipe.with_rates(phase.players, n), n, source)

    if measure.is_released(c):
        G, D = sr.teacher_generator(run), cast(Any, setup.critic(1.0, "D"))
        if c["released_d"]:
            realesrgan.load_pth(D, assets.require("realesrgan-x4plus-netD"))
        else:
            phase = compose.critic(setup, D)
            players = setup.recipe.with_rates(phase.players, c["n3"])
            run.train(players, phase.draw, c["n3"], {"D": D, **source.state})
    else:
        found = compose.distil(setup, compose.METHODS[method_of(c["method"])], fit)
        assert found.D is not None
        G, D = found.G, found.D
    finish(run, G, D, balance)


def batches(run: Run) -> sr.Batches:
    """What a unit sees: the teacher's answers beside, where it has a teacher that is finished."""
    method = run.config["method"]
    alone = method in (*NAIVE, *ONLINE, sr.CONTROL) and not measure.is_released(run.config)
    return sr.batches(run, teacher=None if alone else sr.teacher_generator(run))


def setup_of(run: Run, source: sr.Batches) -> Setup:
    """What a unit's method is handed."""
    c, names = run.config, {"teacher": "T", "deep D": "D_deep"}  # which decide first weights
    taught = c["method"] not in (*NAIVE, *ONLINE, sr.CONTROL)

    def new(name: str, make: Callable[[], Any]) -> Any:
        def made() -> Any:
            if name == "mlp":  # these two have always drawn before it
                for C in (c["C"], "1"):
                    with features.evaluating(sr.generator(c, C)) as G:
                        G(sr.example(c))
            return make()

        return run.new(names.get(name, name), made)

    def fresh() -> nn.Module:
        return new("G", lambda: sr.generator(c, c["C"]))

    def critic(width: float, name: str) -> nn.Module:
        return new(name, lambda: sr.discriminator(c, c["disc"] if name == "D" else "1"))

    def judge() -> nn.Module:
        if not taught:
            return critic(1.0, "D")
        D = load_network(sr.discriminator(c, "1"), run.weights_of("teacher"), "D")
        return D.to(run.device)

    deeper = {"extra": 1} if c["network"] == "GCFSR" else {"blocks": 2 * c["net"].get("blocks", 0)}
    adapter = Adapter(
        name=c["network"],
        generator=lambda width: sr.generator(c, "1"),
        deeper=lambda width: sr.generator(c, c["C"], **deeper),
        inputs=lambda images, draws: sr.example(c).expand(len(images), -1, -1, -1),
        size=c["size"],
        l1=c["l1"],
        perceptual=c["perceptual"],
        adversarial=c["adversarial"],
    )
    return Setup(
        adapter=adapter, recipe=recipe_of(c), fresh=fresh, student=fresh, critic=critic,
        judge=judge, new=new, draw=source.batch, distance=lambda: perceptual.distance(run),
        maps=lambda: perceptual.maps(run), first_blocks=lambda D: first_blocks(D, c),
        T=sr.teacher_generator(run) if taught and c["features"] else nn.Identity(),
        device=run.device,
    )  # fmt: skip


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


def recipe_of(c: Mapping[str, Any]) -> Recipe:
    """How a unit's networks are trained.

    Ablation 1: stage 3 alone, no feature term, the teacher's discriminator; 2: both stages; 3: and
    the feature term. SDAKD: a student discriminator in its place. There are two controls: SDAKD
    with the ground truth in the teacher's place, without feature term and without anything for
    stage 2 to teach its D; and ablation 1 for as many steps as ablation 2.
    """
    with torch.device("meta"):
        four = sr.four_taps(sr.generator(c, "1"), c)
    return Recipe(
        steps=c["steps"], lr=c["lr"], d_lr=c["d_lr"], betas=tuple(c["betas"]),
        d_betas=tuple(c["d_betas"]), cosine=c["cosine"], warmup=c["warmup"],
        generator_first=c["network"] != "GCFSR",
        gamma=c["r1"] if c["network"] == "GCFSR" else 0.0, penalised=("D", "wide D", "deep D"),
        l1_first=c["l1_steps"] / c["steps"], stages=(c["n2"] / c["steps"], c["d2"] / c["steps"]),
        own_critic=c["method"] not in ABLATIONS, features=c["features"], from_scratch=True,
        lambda1=c["lambda1"], lambda2=c["lambda2"], layers={"last": [sr.tap(c)], "four": four},
    )  # fmt: skip


def method_of(name: str) -> str:
    """The method of a row, by its name in ``compose.METHODS``."""
    if name in NAIVE:
        return NAIVE[-1]
    return name.replace("_", " ") if name in ONLINE else "SDAKD"


def stage(
    run: Run, phase: Phase, players: Sequence[Player], steps: int, source: sr.Batches
) -> None:
    """One stage of a student, with a new average; after it G, what learns with it and D are best.

    Judged after every epoch, and kept as G, is the average of G.
    """
    c, nets = run.config, {k: net for k, net in phase.nets.items() if k != "average"}
    if "G" not in nets:  # D alone
        run.train(players, phase.draw, steps, {**nets, **source.state}, phase=phase.name)
        return
    optimisers = {player.name: player.optimiser for player in players}
    own = optimisers.get("S", optimisers.get("G"))
    assert own is not None
    average = averaged(nets["G"], own, c["ema"], steps=steps)
    ends = {k: nets[k] for k in ("G", "mlp", "links", "its_links", "D") if k in nets}
    candidates = {**ends, "G": average}
    best, score = Best(candidates).to(run.device), measure.selection(run)
    shown = next(iter(sr.examples(run, "validation").values())).cond[:8]

    def validate() -> dict[str, float]:
        scores = score(average)
        best.offer(float(np.mean(list(scores.values()))), candidates)
        return scores

    run.train(
        players,
        phase.draw,
        steps,
        {**nets, "average": average, "best": best, **source.state},
        phase=phase.name,
        samples=lambda: images_of(average, shown),
        epoch=c["epoch"],
        validate=validate,
    )
    best.restore(ends)


def logits(unit: Unit, root: Path) -> dict[str, Tensor]:
    """Logits of a unit's D for the true and for the generated training images; else empty."""
    if unit.config["method"] == "speed":
        return {}
    D, G = measure.discriminator_of(unit, root), measure.generator_of(unit, root)
    fake, real = measure.probabilities(Run(unit, root), G, D)
    return {"real": real.logit(), "generated": fake.logit()}


def figure_calls(units: Sequence[Unit], root: Path) -> Iterator[Callable[[], object]]:
    """Calls that compute and keep what notebook 2 shows of finished units: see ``compute_once``."""

    def there(network: str, *rows: tuple[str, str]) -> list[Unit]:
        found = [find_units(units, network=network, method=m, C=C, seed=0) for m, C in rows]
        done = all(its and its[0].done(root) for its in found)
        return [unit for its in found for unit in its] if done else []

    for network in CODE:
        judged = [("DCD", "1/2"), ("DCD_modified", "1/2"), ("Ablation3", "1/4"), ("SDAKD", "1/4")]
        for row in judged:
            if its := there(network, row):
                yield functools.partial(measure.probabilities_of, its, root)
        if there(network, ("SDAKD", "1/4")):
            yield functools.partial(measure.inputs, units, root, network)
        if there(network, *(("SDAKD", C) for C in SIZES)):
            yield functools.partial(measure.figure4, units, root, network)
    its = there("RealESRGAN", ("SDAKD", "1/4"), ("naive (C,C)", "1/4"))
    if its and there(sr.PLAIN, ("SDAKD", "1/4")):
        yield lambda: measure.enlarged_photo(units, root, sr.find_pieces(its[0].source))


def network_of(unit: Unit, root: Path) -> tuple[nn.Module, export.Card]:
    """A finished unit's generator with its card."""
    c = unit.config
    width = sr.share(c["C"])
    made = zoo.card(
        unit, root, {**c["net"], "width": width}, sr.example(c), noise=False, width=width
    )
    return measure.generator_of(unit, root), made


def demand(unit: Unit) -> Demand:
    """What a unit asks of a machine, to a factor of two: passes and gradients of G, D and T."""
    c = unit.config
    if c["method"] == "speed":
        return Demand()
    shape = {name: c[name] for name in ("net", "d_net", "d_width", "size")}
    network = "GCFSR" if c["network"] == "GCFSR" else "RealESRGAN"  # plain inputs cost the same
    shape = json.dumps(shape | {"network": network})
    (small, weights), (full, _) = _counts(shape, c["C"], "G"), _counts(shape, "1", "G")
    judge, its = _counts(shape, c["disc"], "D")
    teachers = {"OMGD": 8, "DCD": 4, "DCD_modified": 4}.get(c["method"], 1)
    step = 4 * small + 9 * judge + teachers * full
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
    if kind == "G":
        return cost.count(lambda: sr.generator(c, C), sr.example(c).shape[1:])
    return cost.count(lambda: sr.discriminator(c, C), (3, c["size"], c["size"]))


def finish(run: Run, G: nn.Module, D: nn.Module, balance: Iterable[Number] = ()) -> None:
    """Measure a trained unit and finish it."""
    c, images = run.config, measure.image_rows(run, G)
    found = [*measure.probability_numbers(run, G, D), *balance]
    found += cost.sizes(G, sr.example(c).to(run.device))
    found.append(Number("perceptual steps", c["perceptual_steps"]))
    if c["network"] != "GCFSR":
        found.append(Number("blocks", len(list(G.body))))  # pyright: ignore
    tensors: dict[str, Any] = {"G": G, "D": D}
    if c["method"] == "teacher":
        tensors["truth"] = {k: measure.reference(run, k) for k in ("validation", "test")}
    if measure.is_released(c):
        del tensors["G"]  # it is in its package
    run.finish(tensors, [*images, *rows(run, found, measure.labels(run.unit))])
