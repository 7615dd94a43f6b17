"""Paper A: what is trained, how one unit is trained, and what is measured.

Aguinaldo et al., "Compressing GANs using Knowledge Distillation", arXiv:1902.00159.
``plan`` lists the units of a preset; ``work`` does any of them, from a notebook or plain Python:

    units = dcgan_kd.plan(presets.dcgan_kd("cpu"), images)
    runs.jobs(units, dcgan_kd.work, root)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam, RMSprop

from ganzip import assets, data, features, metrics, runs
from ganzip.data import Images
from ganzip.features import Features
from ganzip.methods import gan, mse_joint
from ganzip.nets import dcgan
from ganzip.presets import DcganKd, Recipe
from ganzip.runs import Run, Unit
from ganzip.train import Batch, Player, cosine, frozen, step_seed

PAPER = "dcgan_kd"
STUDENTS = ("mse", "cached", "joint")  # methods that need a teacher
PENALTY = 10.0  # Gulrajani et al. 2017
HELD_OUT = 190200159  # seed of the noise on which every generator is measured
REFERENCE = 10_000  # real images, at most, that generated ones are compared with
UNLABELLED = 1000  # images measured where an ImageNet network judges, slow on a CPU


def load_images(c: Mapping[str, Any], root: Path, split: str = "train") -> Images:
    """The images that a unit's configuration names; raises DataError where they have changed."""
    images = data.load(
        c["data"], size=c["size"], channels=c["channels"], split=split, cache=root / "cache"
    )
    if split == "train" and images.fingerprint != c["fingerprint"]:
        raise data.DataError(
            f"{c['data']}: the images have fingerprint {images.fingerprint}, this unit was planned "
            f"for {c['fingerprint']}; plan again, or bring the old images back"
        )
    return images


def plan(preset: DcganKd, images: Images) -> list[Unit]:
    """Every unit of the preset on these images, what is needed first.

    The regular GANs are figure 2's sweep over d, the regular column of table 1 and, at teacher_d,
    the teachers: one run serves all three. Student and teacher share the seed, so that the spread
    over a student's seeds holds its teachers'.
    """
    common = {
        "data": images.name,
        "fingerprint": images.fingerprint,
        "size": preset.size,
        "channels": images.pixels.shape[1],
        "preset": preset.name,
        "batch": preset.batch,
        "latent": preset.latent,
        "n_images": preset.n_images if images.classes else min(preset.n_images, UNLABELLED),
        "inception": preset.name in ("gpu", "paper") and assets.available("inception"),
    }
    code = runs.code(gan, mse_joint, dcgan)
    judge = Unit(
        PAPER,
        "judge",
        common
        | {"method": "judge", "classes": images.classes, "steps": preset.judge_steps, "seed": 0}
        | {"code": runs.code(features)},
        cost=2 * preset.judge_steps,
    )

    def unit(method: str, d: int, seed: int, recipe: Recipe, *, teacher: bool, **more: Any) -> Unit:
        settings = dataclasses.asdict(recipe) | {"method": method, "d": d, "seed": seed}
        alpha = f"-alpha{more['alpha']:g}" if "alpha" in more else ""
        return Unit(
            PAPER,
            f"{method}{alpha}-d{d}-seed{seed}",
            common | settings | {"code": code} | more,
            {"judge": judge} | ({"teacher": teachers[seed]} if teacher else {}),
            cost=recipe.steps * (1 if method in ("mse", "cached") else 1.8),
        )

    def regular(d: int, seed: int, method: str = "regular", loss: str = preset.teacher_gan) -> Unit:
        if loss == "gan":
            recipe = preset.teacher_recipe if d == preset.teacher_d else preset.gan_recipe
        else:
            steps = gan.wgan_steps(preset.wgan_recipe.steps)
            recipe = dataclasses.replace(preset.wgan_recipe, steps=steps)
        return unit(method, d, seed, recipe, teacher=False, loss=loss)

    students = [preset.mse, preset.cached, preset.joint]
    teachers = [regular(preset.teacher_d, s) for s in range(max(max(n.values()) for n in students))]
    other = {"gan": "wgan", "wgan": "gan"}[preset.teacher_gan]
    units = [judge, *teachers]
    units += [regular(d, s) for d, s in each(preset.regular)]
    units += [
        unit("letter", d, s, preset.letter_recipe, teacher=False, loss="gan")
        for d, s in each(preset.letter)
    ]
    units += [regular(d, s, method=other, loss=other) for d, s in each(preset.other)]
    units += [regular(d, s, method="wgan-gp", loss="wgan-gp") for d, s in each(preset.penalty)]
    units += [unit("mse", d, s, preset.mse_recipe, teacher=True) for d, s in each(preset.mse)]
    units += [
        unit("cached", d, s, preset.mse_recipe, teacher=True, pairs=preset.cache_pairs)
        for d, s in each(preset.cached)
    ]
    units += [
        unit("joint", d, s, preset.joint_recipe, teacher=True, alpha=alpha)
        for alpha in preset.alphas
        for d, s in each(preset.joint)
    ]
    return runs.in_order(units)


def each(sizes: Mapping[int, int]) -> list[tuple[int, int]]:
    """(d, seed) for every size and as many seeds as it has."""
    return [(d, seed) for d, seeds in sizes.items() for seed in range(seeds)]


def work(run: Run) -> None:
    """Train one unit, measure it, and finish it."""
    if run.config["method"] == "judge":
        train_judge(run)
    else:
        train_generator(run)


def train_generator(run: Run) -> None:
    """A teacher, a regular GAN or a student."""
    c, device = run.config, run.device
    networks = build(run)
    G = networks["G"]
    seen = noise(16, c["latent"]).to(device)
    run.train(
        players(networks, c),
        batches(run),
        c["steps"],
        networks,
        samples=lambda: sample(G, seen),
    )
    run.finish(networks, rows(run, G))


def build(run: Run) -> dict[str, nn.Module]:
    """Freshly initialised networks of a unit: G and, where it trains adversarially, D.

    A regular GAN's D has its own depth, a joint student's the teacher's (figure 4).
    """
    c = run.config
    shape = {"channels": c["channels"], "size": c["size"]}
    torch.manual_seed(step_seed(c["seed"], -1))
    networks: dict[str, nn.Module] = {"G": dcgan.Generator(c["d"], **shape, latent=c["latent"])}
    if c["method"] not in ("mse", "cached"):
        depth = run.unit.needs["teacher"].config["d"] if c["method"] == "joint" else c["d"]
        networks["D"] = dcgan.Discriminator(depth, **shape)
    return {name: net.to(run.device) for name, net in networks.items()}


def players(networks: Mapping[str, nn.Module], c: Mapping[str, Any]) -> list[Player]:
    """The players of a unit with their optimisers and learning rates."""
    if c.get("loss") in ("wgan", "wgan-gp"):
        G, D = networks["G"], networks["D"]
        slow = [RMSprop(net.parameters(), c["lr"]) for net in (G, D)]
        return gan.wgan(G, D, *slow, penalty=PENALTY if c["loss"] == "wgan-gp" else 0.0)
    adam = {n: Adam(net.parameters(), betas=c["betas"], fused=True) for n, net in networks.items()}
    if c["method"] in ("mse", "cached"):
        acting = mse_joint.mse(networks["G"], adam["G"])
    elif c["method"] == "joint":
        acting = mse_joint.joint(**_both(networks, adam), alpha=c["alpha"])
    else:
        acting = gan.gan(networks["G"], networks["D"], adam["G"], adam["D"])
    return [
        dataclasses.replace(p, lr=rate(c["d_lr"] if p.name == "D" else c["lr"], c)) for p in acting
    ]


def rate(lr: float, c: Mapping[str, Any]) -> Callable[[int], float]:
    """Learning rate over a unit's steps."""
    return cosine(lr, c["steps"]) if c["cosine"] else lambda step: lr


def batches(run: Run) -> Callable[[int], Batch]:
    """Noise for every unit; real images for those with a D; the teacher's images for students."""
    c, device = run.config, run.device
    if c["method"] == "cached":
        return cached_batches(run)
    real = teacher = None
    if c["method"] != "mse":
        real = data.real_batches(load_images(c, run.root), c["batch"], c["seed"])
    if c["method"] in STUDENTS:
        teacher = generator(run.unit.needs["teacher"], run.root).to(device)

    @torch.no_grad()
    def batch(step: int) -> Batch:
        z = torch.randn(c["batch"], c["latent"], device=device)
        return Batch(
            z,
            real=real(step).to(device) if real else None,
            target=teacher(z) if teacher else None,
        )

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
        generator = np.random.default_rng([needed.config["seed"], start])
        return generator.standard_normal((stop - start, c["latent"]), dtype=np.float32)

    def answer(start: int, stop: int) -> np.ndarray:
        teacher = generator(needed, run.root).to(device)
        z = torch.from_numpy(np.array(zs[start:stop])).to(device)
        return data.to_uint8(sample(teacher, z).cpu()).numpy()

    zs = runs.memmap(folder / "z.npy", (c["pairs"], c["latent"]), "float32", draw)
    images = runs.memmap(folder / "images.npy", (c["pairs"], *shape), "uint8", answer)
    indices = data.batch_indices(c["pairs"], c["batch"], c["seed"])

    def batch(step: int) -> Batch:
        at = indices(step).numpy()
        z, target = torch.from_numpy(zs[at]), torch.from_numpy(images[at])
        return Batch(z.to(device), target=data.to_float(target).to(device))

    return batch


def generator(unit: Unit, root: Path) -> nn.Module:
    """The trained, frozen generator of a finished unit."""
    c = unit.config
    G = dcgan.Generator(c["d"], channels=c["channels"], size=c["size"], latent=c["latent"])
    return frozen(runs.load(G, unit.weights(root), "G"))


def discriminator(unit: Unit, root: Path) -> nn.Module:
    """The trained, frozen discriminator of a finished unit that has one."""
    c = unit.config
    depth = unit.needs["teacher"].config["d"] if c["method"] == "joint" else c["d"]
    D = dcgan.Discriminator(depth, channels=c["channels"], size=c["size"])
    return frozen(runs.load(D, unit.weights(root), "D"))


def noise(n: int, latent: int = 100) -> Tensor:
    """The first n of one fixed list of z from N(0, I), never seen in training."""
    generator = torch.Generator().manual_seed(HELD_OUT)
    return torch.randn(n, latent, generator=generator)


@torch.no_grad()
def sample(G: nn.Module, z: Tensor, batch: int = 500) -> Tensor:
    """Images of z with running batch statistics; G is left in the mode it was in."""
    training = G.training
    G.eval()
    images = torch.cat([G(part) for part in z.split(batch)])
    G.train(training)
    return images


def train_judge(run: Run) -> None:
    """What measures: a classifier trained on the data set or, without labels, an ImageNet network.

    Its rows are those of real held-out images: what a perfect generator would get.
    """
    c = run.config
    images, test = load_images(c, run.root), load_images(c, run.root, "test")
    networks: dict[str, nn.Module] = {}
    accuracy = []
    if images.classes:
        torch.manual_seed(step_seed(c["seed"], -1))
        shape = {"channels": c["channels"], "size": c["size"]}
        net = networks["judge"] = features.Classifier(images.classes, **shape).to(run.device)
        adam = Adam(net.parameters(), 1e-3, fused=True)
        learner = Player("judge", adam, lambda b: {"entropy": F.cross_entropy(net(b.cond), b.target)})
        learner = dataclasses.replace(learner, lr=cosine(2e-3, c["steps"]))
        run.train([learner], labelled_batches(images, run), c["steps"], networks)
        frozen(net)
        right = features.probabilities(net, data.to_float(test.pixels)).argmax(1) == test.labels
        accuracy = [row(run, "accuracy", 100 * right.double().mean().item(), "%", len(test))]
    eyes = judges(run, networks)
    some = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:REFERENCE]
    reference = {
        name: features.embed(eye, data.to_float(images.pixels[some])) for name, eye in eyes.items()
    }
    shown = data.to_float(test.pixels[: c["n_images"]])
    measured = image_rows(run, shown, eyes, reference, networks.get("judge"))
    run.finish({**networks, "real": reference}, [*accuracy, *measured])


def labelled_batches(images: Images, run: Run) -> Callable[[int], Batch]:
    """Images as what the network is given, labels as what it should answer."""
    indices = data.batch_indices(len(images), run.config["batch"], run.config["seed"])
    labels = images.labels
    assert labels is not None

    def batch(step: int) -> Batch:
        at = indices(step)
        shown = data.to_float(images.pixels[at]).to(run.device)
        return Batch(shown, target=labels[at].to(run.device))

    return batch


def judges(run: Run, networks: Mapping[str, nn.Module]) -> dict[str, Features]:
    """The features that measure, by the name that their metrics bear."""
    eyes: dict[str, Features] = {}
    if "judge" in networks:
        eye = features.classifier(networks["judge"], Path(run.config["data"]).stem)
        eyes[eye.name] = eye
    else:
        eye = features.efficientnet_lite(2)
        eyes[eye.name] = eye
    if run.config["inception"]:
        eyes["inception"] = features.inception(assets.require("inception"))
    return eyes


def rows(run: Run, G: nn.Module) -> list[dict[str, Any]]:
    """Everything that is measured of a trained generator."""
    c = run.config
    weights = run.needed("judge")
    networks: dict[str, nn.Module] = {}
    classes = run.unit.needs["judge"].config["classes"]
    if classes:
        net = features.Classifier(classes, channels=c["channels"], size=c["size"])
        networks["judge"] = frozen(runs.load(net, weights, "judge"))
    eyes = judges(run, networks)
    z = noise(c["n_images"], c["latent"])
    images = sample(G, z.to(run.device)).cpu()
    reference = {name: weights[f"real.{name}"] for name in eyes}
    measured = image_rows(run, images, eyes, reference, networks.get("judge"))
    measured.append(row(run, "parameters", metrics.params(G)))
    measured.append(row(run, "multiply-adds", metrics.macs(G, z[:1].to(run.device))))
    if c["method"] in STUDENTS:
        teacher = generator(run.unit.needs["teacher"], run.root).to(run.device)
        target = sample(teacher, z.to(run.device)).cpu()
        error = (images - target).square().mean().item()
        # The best image that ignores z has the pixel variance over z as its error.
        share = 100 * (1 - error / target.var(0, correction=0).mean().item())
        measured.append(row(run, "MSE to teacher", error, "", len(z)))
        measured.append(row(run, "explained variance", share, "%", len(z)))
    return measured


def image_rows(
    run: Run,
    images: Tensor,
    eyes: Mapping[str, Features],
    reference: Mapping[str, Tensor],
    classifier: nn.Module | None,
) -> list[dict[str, Any]]:
    """Rows about a set of images (N, C, H, W) in [-1, 1]."""
    n, out = len(images), []
    if classifier is not None:
        (name, *_) = eyes
        p = features.probabilities(classifier, images)
        out.append(row(run, "IS", metrics.inception_score(p), "", n, name))
        crossed = metrics.inception_score_cross_entropy(p)
        out.append(row(run, "IS cross entropy", crossed, "nats", n, name))
    for name, eye in eyes.items():
        seen = features.embed(eye, images)
        distance = metrics.frechet_distance(seen, reference[name])
        out.append(row(run, "FID" if name == "inception" else f"FD-{name}", distance, "", n, name))
        kernel, _ = metrics.kernel_distance(seen, reference[name])
        out.append(row(run, f"KID-{name}", 1000 * kernel, "1e-3", n, name))
    blur = metrics.variance_of_laplacian(images)
    out.append(row(run, "VoL", blur.mean().item(), "grey levels squared", n))
    return out


def row(
    run: Run, metric: str, value: float, unit: str = "", n_images: int = 0, features: str = ""
) -> dict[str, Any]:
    """One measured number of the unit, in the columns of ``tables.ROW``."""
    c = run.config
    method = f"joint {c['alpha']:g}" if c["method"] == "joint" else c["method"]
    return {
        "paper": PAPER,
        "table": "table1",
        "method": "real" if method == "judge" else method,
        "network": "DCGAN",
        "dataset": c["data"],
        "width": c.get("d", ""),
        "metric": metric,
        "value": value,
        "unit": unit,
        "preset": c["preset"],
        "steps": c["steps"],
        "n_images": n_images,
        "features": features,
        "seed": c["seed"],
    }


@torch.no_grad()
def logits(D: nn.Module, sets: Mapping[str, Tensor], batch: int = 500) -> dict[str, Tensor]:
    """D's logits on several sets of images."""
    return {name: torch.cat([D(part) for part in images.split(batch)]) for name, images in sets.items()}


def interpolate(z: Tensor, steps: int) -> Tensor:
    """Great-circle path through consecutive rows of z (k, latent) -> ((k - 1) * steps + 1, latent).

    Spherical, because Gaussian noise lies near a sphere that a straight line would leave.
    """
    path = []
    for a, b in zip(z[:-1], z[1:], strict=True):
        angle = torch.acos(F.cosine_similarity(a, b, dim=0))
        for t in torch.arange(steps) / steps:
            path.append(((1 - t) * angle).sin() / angle.sin() * a + (t * angle).sin() / angle.sin() * b)
    return torch.stack([*path, z[-1]])


def _both(networks: Mapping[str, nn.Module], adam: Mapping[str, Adam]) -> dict[str, Any]:
    return {
        "student": networks["G"],
        "D": networks["D"],
        "g_optimiser": adam["G"],
        "d_optimiser": adam["D"],
    }


def compared(units: Iterable[Unit], method: str) -> list[Unit]:
    """Units of a method in order of d and seed."""
    return sorted(runs.find(units, method=method), key=lambda u: (u.config["d"], u.config["seed"]))
