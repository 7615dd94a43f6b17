"""Paper A: what is trained, how one unit is trained, and what is measured.

Aguinaldo et al., "Compressing GANs using Knowledge Distillation", arXiv:1902.00159.
``plan`` lists the units of a preset; ``work`` does any of them, from a notebook or plain Python:

    units = dcgan_kd.prepare("cpu", "digits")
    perform_all(units, dcgan_kd.work, files.runs_folder())
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ganzip import data, export, features, files, metrics, presets, sets, zoo
from ganzip.data import Images
from ganzip.distil import compose, recipe
from ganzip.distil.setup import Phase, Setup
from ganzip.measure import cost, images_of, interpolate, judging, noise, pictures
from ganzip.measure.images import distances, logits_of, score_numbers
from ganzip.measure.judging import Judge
from ganzip.measure.rows import Number, pair_seeds, rows
from ganzip.methods import gan, mse_joint
from ganzip.nets import dcgan
from ganzip.papers import adapters
from ganzip.presets import DcganKd, Recipe
from ganzip.train import Batch, frozen, step_seed
from ganzip.units import (
    Demand,
    Run,
    Unit,
    code_hash,
    compute_once,
    find_units,
    in_order,
    load_network,
)  # fmt: skip

PAPER = "dcgan_kd"
STUDENTS = ("mse", "cached", "joint")  # methods that need a teacher
# Time of a step relative to a regular GAN's, as measured; only the shown time left rests on it.
COST = {"mse": 0.55, "cached": 0.35, "joint": 1.5, "wgan": 0.65, "wgan-gp": 1.15}


def prepare(
    preset: str = "cpu",
    source: str = "digits",
    scale: float = 1.0,
    seeds: int = 0,
    *,
    find: Callable[..., Images] = data.load_or_recall,
) -> list[Unit]:
    """The plan of a preset, by name, on a data set that ``find`` gives: ``data.load_or_recall``."""
    size = presets.dcgan_kd(preset, scale=scale, seeds=seeds).size
    images = find(source, size=size, cache=files.runs_folder() / "cache")
    grey, labels = images.pixels.shape[1] == 1, images.classes > 0
    chosen = presets.dcgan_kd(preset, grey=grey, labels=labels, scale=scale, seeds=seeds)
    return plan(chosen, images, source)


def outline(preset: str, source: str = "", scale: float = 1.0, seeds: int = 0) -> list[Unit]:
    """The plan where the data are not here, to be counted; see ``sets.facts``."""
    (facts, *_) = sets.facts(PAPER, preset, source)
    return prepare(preset, facts.name, scale, seeds, find=judging.stand_in(facts))


def plan(preset: DcganKd, images: Images, source: str) -> list[Unit]:
    """Every unit of the preset on these images, what is needed first.

    source: what ``data.load`` found the images by, for the processes that load them again.

    The regular GANs are figure 2's sweep over d, the regular column of table 1 and, at teacher_d,
    the teachers: one run serves all three. Student and teacher share the seed, so that the spread
    over a student's seeds holds its teachers'.
    """
    common = judging.settings(images, preset.name, preset.n_images) | {
        "size": preset.size,
        "batch": preset.batch,
        "latent": preset.latent,
    }
    code = code_hash(gan, mse_joint, dcgan)
    judge = judging.unit(PAPER, common, images, preset.judge_steps, source, batch=preset.batch)

    def unit(
        method: str, d: int, seed: int, recipe: Recipe, needs: Mapping[str, Unit], **more: Any
    ) -> Unit:
        settings = dataclasses.asdict(recipe) | {"method": method, "d": d, "seed": seed}
        alpha = f"-alpha{more['alpha']:g}" if "alpha" in more else ""
        alpha += "-warm" if "start" in needs else ""
        return Unit(
            PAPER,
            f"{method}{alpha}-d{d}-seed{seed}",
            common | settings | {"code": code} | more,
            {"judge": judge, **needs},
            cost=recipe.steps * COST.get(method, 1.0) * (1 + d / 20),
            source=source,
        )

    def regular(d: int, seed: int, method: str = "regular", loss: str = preset.teacher_gan) -> Unit:
        if loss == "gan":
            recipe = preset.teacher_recipe if d >= preset.teacher_d else preset.gan_recipe
        else:
            steps = gan.wgan_steps(preset.wgan_recipe.steps)
            recipe = dataclasses.replace(preset.wgan_recipe, steps=steps)
        return unit(method, d, seed, recipe, {}, loss=loss)

    students = (preset.mse, preset.cached, preset.joint, preset.warm)
    most = max([1, *(n for sizes in students for n in sizes.values())])
    teachers = [regular(preset.teacher_d, s) for s in range(most)]
    other = {"gan": "wgan", "wgan": "gan"}[preset.teacher_gan]
    units = [judge, *teachers]
    units += [regular(d, s) for d, s in pair_seeds(preset.regular)]
    for d, s in pair_seeds(preset.letter):
        units.append(unit("letter", d, s, preset.letter_recipe, {}, loss="gan"))
    units += [regular(d, s, method=other, loss=other) for d, s in pair_seeds(preset.other)]
    units += [
        regular(d, s, method="wgan-gp", loss="wgan-gp") for d, s in pair_seeds(preset.penalty)
    ]

    def student(method: str, d: int, seed: int, recipe: Recipe, **more: Any) -> Unit:
        return unit(method, d, seed, recipe, {"teacher": teachers[seed]}, **more)

    units += [student("mse", d, s, preset.mse_recipe) for d, s in pair_seeds(preset.mse)]
    for d, s in pair_seeds(preset.cached):
        units.append(student("cached", d, s, preset.mse_recipe, pairs=preset.cache_pairs))
    for alpha, (d, s) in itertools.product(preset.alphas, pair_seeds(preset.joint)):
        units.append(student("joint", d, s, preset.joint_recipe, alpha=alpha))
    for d, s in pair_seeds(preset.warm):
        needs = {"teacher": teachers[s], "start": student("mse", d, s, preset.mse_recipe)}
        units += [unit("joint", d, s, preset.joint_recipe, needs, alpha=a) for a in preset.alphas]
    return in_order(units)


def work(run: Run) -> None:
    """Train one unit, measure it, and finish it."""
    if run.config["method"] == "judge":
        judging.work(run, image_numbers, labels(run.unit))
    else:
        train_generator(run)


def train_generator(run: Run) -> None:
    """A teacher, a regular GAN or a student."""
    c, networks = run.config, build(run)
    names = ("steps", "lr", "d_lr", "betas", "cosine", "loss", "alpha")
    how = recipe.Recipe(**{name: c[name] for name in names if name in c})
    G, z = networks["G"], noise(16, c["latent"])

    def fit(phase: Phase) -> None:
        players = how.with_rates(phase.players, c["steps"])
        run.train(players, phase.draw, c["steps"], networks, samples=lambda: images_of(G, z))

    setup = Setup(
        adapter=adapters.dcgan_adapter(c["d"], c["size"], c["channels"]),
        recipe=how,
        fresh=lambda: G,
        student=lambda: G,
        critic=lambda width, name: networks["D"],
        draw=batches(run),
        device=run.device,
    )
    method = compose.METHODS[c["method"]] if c["method"] in STUDENTS else compose.REGULAR
    compose.distil(setup, method, fit)
    run.finish(networks, rows(run, numbers(run, G), labels(run.unit)))


def build(run: Run) -> dict[str, nn.Module]:
    """Freshly initialised networks of a unit: G and, where it trains adversarially, D.

    A student with a warm start has the weights of the finished unit that it starts from.
    """
    torch.manual_seed(step_seed(run.config["seed"], -1))
    networks: dict[str, nn.Module] = {"G": generator(run.config)}
    if has_discriminator(run.unit):
        networks["D"] = discriminator(run.unit)
    if "start" in run.unit.needs:
        load_network(networks["G"], run.weights_of("start"), "G")
    return {name: net.to(run.device) for name, net in networks.items()}


def batches(run: Run) -> Callable[[int], Batch]:
    """Noise for every unit; real images for those with a D; the teacher's images for students."""
    c, device = run.config, run.device
    if c["method"] == "cached":
        return cached_batches(run)
    real = teacher = lambda _: None
    if c["method"] != "mse":
        real = data.real_batches(judging.load_images(run), c["batch"], c["seed"], device)
    if c["method"] in STUDENTS:
        teacher = generator_of(run.unit.needs["teacher"], run.root).to(device)

    @torch.no_grad()
    def batch(step: int) -> Batch:
        z = torch.randn(c["batch"], c["latent"], device=device)
        return Batch(z, real=real(step), target=teacher(z))

    return batch


def cached_batches(run: Run) -> Callable[[int], Batch]:
    """(z, G_T(z)) pairs from a finite set, computed once per teacher and read from the disk.

    Images are kept as uint8: rounding moves a pixel by at most 1/255 of the range.
    """
    c, device = run.config, run.device
    needed = run.unit.needs["teacher"]
    folder = run.root / PAPER / "cache" / f"{needed.name}-{needed.key}-{c['pairs']}"
    shape = (c["channels"], c["size"], c["size"])

    def draw(start: int, stop: int) -> np.ndarray:
        draws = np.random.default_rng([needed.config["seed"], start])
        return draws.standard_normal((stop - start, c["latent"]), dtype=np.float32)

    def answer(start: int, stop: int) -> np.ndarray:
        teacher = generator_of(needed, run.root).to(device)
        return data.to_uint8(images_of(teacher, zs[start:stop], 500)).numpy()

    zs = files.memmap(folder / "z.npy", (c["pairs"], c["latent"]), "float32", draw)
    images = files.memmap(folder / "images.npy", (c["pairs"], *shape), "uint8", answer)
    indices = data.batch_indices(c["pairs"], c["batch"], c["seed"])

    z, answers = (data.batches_of(stored, indices, device) for stored in (zs, images))
    return lambda step: Batch(z(step), target=data.to_float(answers(step)))


def generator(c: Mapping[str, Any]) -> dcgan.Generator:
    """A fresh generator."""
    return dcgan.Generator(c["d"], channels=c["channels"], size=c["size"], latent=c["latent"])


def discriminator(unit: Unit) -> dcgan.Discriminator:
    """A fresh D, of a unit that trains one."""
    c = unit.config
    return dcgan.Discriminator(judge_width(unit), channels=c["channels"], size=c["size"])


def generator_of(unit: Unit, root: Path) -> nn.Module:
    """The trained, frozen generator of a finished unit."""
    return frozen(load_network(generator(unit.config), unit.weights(root), "G"))


def network_of(unit: Unit, root: Path) -> tuple[nn.Module, export.Card]:
    """A finished unit's generator with its card."""
    arguments = {name: unit.config[name] for name in ("d", "channels", "size", "latent")}
    z, width = noise(1, arguments["latent"]), 1.0
    if "teacher" in unit.needs:
        width = arguments["d"] / unit.needs["teacher"].config["d"]
    made = zoo.card(unit, root, arguments, z, noise=True, width=width)
    return generator_of(unit, root), made


def demand(unit: Unit) -> Demand:
    """What a unit asks of a machine, to a factor of two: passes and gradients of G, D and T."""
    c = unit.config
    if c["method"] == "judge":
        return Demand()
    shape = (c["channels"], c["size"], c["latent"])
    passes, weights = _counts("G", c["d"], *shape)
    step, size = 4 * passes, 4 * weights
    if (teacher := unit.needs.get("teacher")) is not None:
        step += _counts("G", teacher.config["d"], *shape)[0]
    if has_discriminator(unit):
        passes, weights = _counts("D", judge_width(unit), *shape)
        step, size = step + 9 * passes, size + 4 * weights
    return Demand(c["steps"] * c["batch"] * step, size)


@functools.cache
def _counts(kind: str, d: int, channels: int, size: int, latent: int) -> tuple[int, int]:
    """Multiply-adds of a pass and parameters, of G ("G") or D ("D")."""
    shape = {"channels": channels, "size": size}
    if kind == "G":
        return cost.count(lambda: dcgan.Generator(d, latent=latent, **shape), (latent,))
    return cost.count(lambda: dcgan.Discriminator(d, **shape), (channels, size, size))


def judge_width(unit: Unit) -> int:
    """A unit's d of its D: a regular GAN has its own, a joint student the teacher's (figure 4)."""
    joint = unit.config["method"] == "joint"
    return (unit.needs["teacher"] if joint else unit).config["d"]


def has_discriminator(unit: Unit) -> bool:
    """Whether the unit trains one: students of eq. (3) do not."""
    return unit.config["method"] not in ("judge", "mse", "cached")


# What is measured -------------------------------------------------------------------------------


def labels(unit: Unit) -> dict[str, Any]:
    """What rows of a unit say of it."""
    method = "real" if unit.config["method"] == "judge" else label(unit)
    return {
        "table": "table1", "network": "DCGAN", "width": unit.config.get("d", ""), "method": method
    }  # fmt: skip


def label(unit: Unit) -> str:
    """A unit's method as the tables name it."""
    c = unit.config
    name = f"joint {c['alpha']:g}" if c["method"] == "joint" else c["method"]
    return name + (" warm" if "start" in unit.needs else "")


def numbers(run: Run, G: nn.Module) -> list[Number]:
    """Everything that is measured of a trained generator."""
    c = run.config
    z = noise(c["n_images"], c["latent"])
    images = images_of(G, z, 500)
    found = [*image_numbers(judging.judge_of(run), images), *cost.sizes(G, z[:1].to(run.device))]
    if c["method"] in STUDENTS:
        teacher = generator_of(run.unit.needs["teacher"], run.root).to(run.device)
        target = images_of(teacher, z, 500)
        error = (images - target).square().mean().item()
        # The best image that ignores z has the pixel variance over z as its error.
        share = 100 * (1 - error / target.var(0, correction=0).mean().item())
        found.append(Number("MSE to teacher", error, "", len(z)))
        found.append(Number("explained variance", share, "%", len(z)))
    return found


def image_numbers(judge: Judge, images: Tensor) -> list[Number]:
    """Numbers of a set of images (N, C, H, W) in [-1, 1]."""
    n, found = len(images), list[Number]()
    if judge.classifier is not None:
        (name, *_) = judge.networks
        p = features.probabilities(judge.classifier, images)
        found.append(Number("IS", metrics.inception_score(p), "", n, name))
        crossed = metrics.inception_score_cross_entropy(p)
        found.append(Number("IS cross entropy", crossed, "nats", n, name))
    for name, network in judge.networks.items():
        real = judge.real[name]
        ours = features.embed(network, images).to(real.device)
        found += score_numbers(distances(name, ours, real), n)
    blur = metrics.variance_of_laplacian(images)
    return [*found, Number("VoL", blur.mean().item(), "grey levels squared", n)]


def logits(unit: Unit, root: Path, n: int = 297, *, judge: Unit | None = None) -> dict[str, Tensor]:
    """Logits for held-out real images and for the unit's own, by the discriminator of ``judge``.

    Without one that is the unit's D, or else its teacher's. Empty where there is no generator.
    """
    c = unit.config
    if c["method"] == "judge":
        return {}
    judge = judge or (unit if has_discriminator(unit) else unit.needs["teacher"])

    def found() -> dict[str, Tensor]:
        real = data.to_float(judging.load_images(Run(unit, root), "test").pixels[:n])
        fake = images_of(generator_of(unit, root), noise(len(real), c["latent"]), 500)
        D = frozen(load_network(discriminator(judge), judge.weights(root), "D"))
        return {"real": logits_of(D, real, 500), "generated": logits_of(D, fake, 500)}

    return compute_once(unit, root, f"logits-of-{judge.name}", found, n)


def figure_calls(units: Iterable[Unit], root: Path) -> Iterator[Callable[[], object]]:
    """Calls that compute and store what notebook 1 shows of finished units: ``compute_once``."""
    first = [unit for unit in find_units(units, seed=0) if unit.done(root)]
    students = find_units(first, method="mse")
    warm = [unit for unit in find_units(first, method="joint") if "start" in unit.needs]
    teachers = in_order(unit.needs["teacher"] for unit in students)
    teachers = [unit for unit in teachers if "d" in unit.config]
    regular = {unit.key: unit for unit in (*teachers, *find_units(first, method="regular"))}
    small = sorted(students, key=lambda unit: unit.config["d"])[:1]
    fig11 = [unit for unit in students if unit.config["d"] in {u.config["d"] for u in warm}]
    for name, z, shown in (
        ("samples", noise(12), (*regular.values(), *students)),
        ("interpolation", interpolate(noise(2), 10), (*teachers, *small)),
        ("fig11", noise(100), (*teachers, *fig11, *warm)),
    ):
        for unit in shown:
            yield partial(pictures, generator_of, {unit.name: unit}, root, z, name)
    for teacher in teachers:
        for unit in (teacher, *fig11, *warm):
            yield partial(logits, unit, root, judge=teacher)


def stands_for(images: Images) -> str:
    """The paper's data set whose place these images take."""
    if images.pixels.shape[1] == 1:
        return "MNIST"
    return "CIFAR-10" if images.classes else "Celeb-A"


OVERVIEW = {
    "method": label,
    "d": "d",
    "steps": "steps",
    "lr": lambda unit: f"{unit.config['lr']:g}" if "lr" in unit.config else "",
    "lr of D": lambda unit: f"{unit.config['d_lr']:g}" if unit.config.get("d_lr") else "",
}
