"""Paper C: what is trained, and how one unit is trained.

Yeo, Jang and Yoo, "Nickel and Diming Your GAN: A Dual-Method Approach to Enhancing GAN Efficiency
via Knowledge Distillation", ECCV 2024, arXiv:2405.11614; on StyleGAN2.

    units = nickel_dime.prepare("cpu", "digits")
    perform_all(units, nickel_dime.work, files.runs_folder())
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from ganzip import assets, data, export, features, files, metrics, presets, prune, sets, zoo
from ganzip.data import Images
from ganzip.distil import compose
from ganzip.distil.recipe import Recipe
from ganzip.distil.setup import Phase, Setup
from ganzip.measure import cost, judging
from ganzip.measure.images import draw, images_of, noise, pictures
from ganzip.measure.rows import Number, pair_seeds, rows
from ganzip.methods import contrastive, gan, nickel_dime
from ganzip.methods.gan import Network
from ganzip.nets import checkpoints, encoder, energy, pickled, stylegan2
from ganzip.papers import adapters, kernels
from ganzip.papers import nickel_dime_networks as networks
from ganzip.papers import nickel_dime_rows as measure
from ganzip.papers.nickel_dime_networks import CONTENT, STYLE, content, generator_of, pair
from ganzip.papers.nickel_dime_rows import OURS, PAPER, SCRATCH, labels, sizes, width
from ganzip.presets import WITHOUT, NickelDime
from ganzip.train import Batch, frozen, lazy, step_seed
from ganzip.units import (
    Demand,
    Run,
    Unit,
    code_hash,
    compute_once,
    find_units,
    in_order,
    load_network,
    read_rows,
)

GAN = (gan, stylegan2)
RANKS = {"GS": STYLE, "StyleKD": "", "GCC": STYLE}  # of a method's student, else CONTENT
NAMES = {"fine-tune": compose.CONTROL, WITHOUT: OURS}  # of rows whose method has another
PLAIN = ("teacher", SCRATCH)  # trained on the data alone
IMITATORS = ("GS", "CAGC", "StyleKD", "ITGC")  # of the teacher's images, by a perceptual distance
# Time of a step relative to fine-tuning's, as measured; only the shown time left rests on it.
COST = {"GS": 1.4, "CAGC": 1.5, "StyleKD": 1.8, "ITGC": 4.0, "GCC": 3.5, "DiME": 1.3, "NICKEL": 2.2}
OVERVIEW = {name: name for name in ("method", "p", "steps", "lr")}

# The plan -----------------------------------------------------------------------------------------


def prepare(
    preset: str = "cpu", source: str = "digits", scale: float = 1.0, seeds: int = 0
) -> list[Unit]:
    """The plan of a preset, by name, on a data set; see ``data.load_or_recall``."""
    chosen, images = preset_of(preset, source, scale, seeds)
    return plan(chosen, images, source)


def outline(preset: str, source: str = "", scale: float = 1.0, seeds: int = 0) -> list[Unit]:
    """The plan where the data are not here, to be counted; see ``sets.facts``."""
    (facts, *_) = sets.facts(PAPER, preset, source)
    chosen, images = preset_of(preset, facts.name, scale, seeds, find=judging.stand_in(facts))
    return plan(chosen, images, facts.name)


def preset_of(
    preset: str,
    source: str,
    scale: float = 1.0,
    seeds: int = 0,
    *,
    find: Callable[..., Images] = data.load_or_recall,
) -> tuple[NickelDime, Images]:
    """A preset's numbers for a data set, and its images: images without labels are larger.

    Where the released teacher serves all sizes are its file's. find: what finds the images, see
    ``data.load_or_recall``.
    """
    cache = files.runs_folder() / "cache"
    chosen = presets.nickel_dime(preset, scale=scale, seeds=seeds)
    images = find(source, size=chosen.net["size"], channels=3, cache=cache)
    if not images.classes:
        chosen = presets.nickel_dime(preset, scale=scale, seeds=seeds, labels=False)
        images = find(source, size=chosen.net["size"], channels=3, cache=cache)
    found = networks.with_released_sizes(chosen, images)
    if found.net["size"] != chosen.net["size"]:
        images = find(source, size=found.net["size"], channels=3, cache=cache)
    return found, images


def plan(preset: NickelDime, images: Images, source: str) -> list[Unit]:
    """Every unit of the preset on these images, three channels, what is needed first.

    source: what ``data.load`` found the images by, for the processes that load them again. One
    teacher serves all students, which differ by their seeds in batches, noise and fresh weights.
    """
    preset = networks.with_released_sizes(preset, images)
    of_data = judging.settings(images, preset.name, preset.n_images)
    of_data |= {"size": preset.net["size"]}
    judge = judging.unit(PAPER, of_data, images, preset.judge_steps, source, batch=64)
    common = of_data | settings(preset, images)
    ranking = {"prune_images": preset.prune_images, "mask": content(images)}

    def unit(
        method: str, p: float, seed: int, needs: Mapping[str, Unit], cost: float, **own: Any
    ) -> Unit:
        slug = re.sub("[^a-z0-9]+", "-", method.lower()).strip("-")
        at = f"-p{100 * p:g}" if p else ""
        config = common | {"method": method, "p": p, "seed": seed} | own
        trained = "epoch" in own
        return Unit(PAPER, f"{slug}{at}-seed{seed}", config, needs, cost, source, shared=trained)

    def plain(method: str, p: float, steps: int, seed: int = 0) -> Unit:
        how = {"lr": preset.teacher_lr, "half_life": preset.teacher_half_life}
        how |= {"steps": steps, "epoch": 3 * preset.epoch, "code": code_hash(*GAN)}
        return unit(method, p, seed, {"judge": judge}, steps, **how)

    if networks.is_released(preset, images):
        file = {"weights": networks.RELEASED, "digest": networks.teacher_sizes().digest, "steps": 0}
        file["code"] = code_hash(*GAN, pickled, checkpoints)
        teacher = unit("teacher", 0.0, 0, {"judge": judge}, 50, **file)
    else:
        teacher = plain("teacher", 0.0, preset.teacher_steps)
    own = {"method": "encoder", "seed": 0, "steps": preset.encoder_steps}
    own |= {"batch": preset.encoder_batch, "code": code_hash(encoder, contrastive)}
    coder = Unit(PAPER, "encoder", of_data | own, cost=2.5 * preset.encoder_steps, source=source)
    pruning = {"rates": list(preset.prune_rates), "steps": 0, "code": code_hash(prune)}
    timed = sorted({0.0, *(p for sizes in preset.seeds.values() for p in sizes)})
    timing = {"rates": timed, "steps": preset.passes, "code": code_hash(*GAN)}
    units = [
        judge,
        coder,
        teacher,
        unit("speed", 0.0, 0, {}, 50, **timing),
        unit("pruning", 0.0, 0, {"teacher": teacher, "judge": judge}, 300, **pruning, **ranking),
    ]
    targets = {}
    for name in kernels.both(preset):
        needs = {"teacher": teacher} | ({"encoder": coder} if name == "contrastive" else {})
        own = {"kernel": name, "moments": preset.moments, "steps": 0}
        own |= {"lite": preset.lite} if name == "efflite0" else {}
        own["code"] = code_hash(features, nickel_dime)
        targets[name] = unit(f"moments {name}", 0.0, 0, needs, 100, **own)
    for how, seeds in students(preset).items():
        (method, _, _), own = how, student_settings(preset, *how)
        needs = {"judge": judge, "teacher": teacher} | {k: targets[k] for k in own["kernels"]}
        needs |= {"encoder": coder} if own["distance"] == "contrastive" else {}
        cost = preset.steps * COST.get(method_of(method), 3.0)
        units += [unit(method, p, s, needs, cost, **own, **ranking) for p, s in pair_seeds(seeds)]
    both = preset.teacher_steps + preset.steps
    units += [plain(SCRATCH, p, both, seed) for p, seed in pair_seeds(preset.scratch)]
    return in_order(units)


How = tuple[str, tuple[str, ...], bool]
"""A method, DiME's kernels, and whether their targets are taken from the batch."""


def students(preset: NickelDime) -> dict[How, Mapping[float, int]]:
    """Every kind of student, and its seeds by p."""
    main = kernels.main(preset)
    found: dict[How, Mapping[float, int]] = {
        (method, main, False): sizes for method, sizes in preset.seeds.items()
    }
    for names in kernels.ablations(preset):
        found[f"DiME by {' + '.join(names)}", names, False] = preset.ablations
    return found | {("DiME, batch targets", main, True): preset.ablations}


def student_settings(
    preset: NickelDime, method: str, names: Sequence[str], by_batch: bool
) -> dict[str, Any]:
    """What decides a student beside its rate, its seed and the teacher."""
    modules = compose.METHODS[method_of(method)].modules
    modules += (energy,) if method == "ITGC" else ()
    nickel, dime = "NICKEL" in method, "DiME" in method
    own: dict[str, Any] = {
        "steps": preset.steps,
        "epoch": preset.epoch,
        "lr": preset.lr,
        "half_life": preset.half_life,
        "scores": RANKS.get(method, CONTENT),
        "distance": kernels.distance_net(preset) if method in IMITATORS else "",
        "nickel": preset.nickel if nickel else 0.0,
        "D_T": nickel and method != WITHOUT,
        "kernels": list(names) if dime else [],
        "code": code_hash(*GAN, prune, *modules),
    }
    if dime:
        own |= {"dime": preset.dime, "moment_batch": preset.moment_batch, "by_batch": by_batch}
    if method == "GS":
        own["sparse_steps"] = preset.sparse_steps
    if method == "ITGC":
        own |= {"energy": preset.energy, "langevin": preset.langevin}
    return own


def method_of(name: str) -> str:
    """The method of a row, by its name in ``compose.METHODS``."""
    return NAMES.get(name) or re.split(" by |, ", name)[0]


def settings(preset: NickelDime, images: Images) -> dict[str, Any]:
    """What all units that train or draw StyleGAN2 share. Aligned faces are mirrored."""
    net = {k: v for k, v in preset.net.items() if k != "size"}
    own = {"d_net": dict(preset.d_net)} if preset.d_net else {}
    names = ("latent", "layers", "group", "batch", "mixing", "path", "gamma")
    return {"net": net, **own, **{name: getattr(preset, name) for name in names}} | {
        "mirror": content(images) == "ellipse"
    }


# Training -----------------------------------------------------------------------------------------


def work(run: Run) -> None:
    """Train one unit, measure it, and finish it."""
    c, method = run.config, run.config["method"]
    torch.manual_seed(step_seed(c["seed"], -1))  # what networks start from
    if method == "judge":
        judging.work(run, judging.image_numbers, labels(run.unit))
    elif method == "encoder":
        net, found = kernels.train_encoder(run)
        run.finish({"encoder": net}, rows(run, found, labels(run.unit)))
    elif method.startswith("moments"):
        whole, found = kernels.take_moments(run, networks.teacher_of(run))
        moments = {"first": whole.first, "second": whole.second}
        run.finish({"moments": moments}, rows(run, found, labels(run.unit)))
    elif method == "pruning":
        run.finish({}, pruning_rows(run))
    elif method == "speed":
        run.finish({}, speed_rows(run))
    elif "weights" in c:
        adopt(run)
    else:
        train_generator(run)


def adopt(run: Run) -> None:
    """The teacher as its authors released it: measured, not trained."""
    G, D = checkpoints.load(assets.require(run.config["weights"]))
    assert D is not None  # else there is no plan
    G, D = G.to(run.device), D.to(run.device)
    run.history += [
        (0, "validation", *entry) for entry in measure.watcher(run, G, G, {"D": D})().items()
    ]
    finish(run, G, G, D, {"D": D})


def train_generator(run: Run) -> None:
    """A student, cut out of the teacher, by its method; or a generator that has no teacher."""
    c, method = run.config, compose.REGULAR
    if c["method"] not in PLAIN:
        method = compose.METHODS[method_of(c["method"])]

    def fit(phase: Phase) -> None:
        steps, nets, more = round(phase.share * c["steps"]), phase.nets, dict[str, Any]()
        if phase.name == "train":
            average, z = nets["average"], noise(16, c["latent"])
            more["samples"] = lambda: images_of(average, z)
            more["validate"] = measure.watcher(run, average, nets["G"], judges(nets))
            more["epoch"] = c["epoch"]
        players = setup.recipe.with_rates(phase.players, steps)
        run.train(players, phase.draw, steps, nets, phase=phase.name, **more)

    setup = setup_of(run)
    found = compose.distil(setup, method, fit)
    finish(run, found.nets["G"], found.G, found.D, judges(found.nets))


def judges(nets: Mapping[str, nn.Module]) -> dict[str, Network]:
    """The discriminators whose logits are kept; GCC's teacher trains apart from its student."""
    found = compose.critics(nets)
    if "D" not in found:  # the method has none
        return {}
    if "gates" in nets or "D_teacher" not in nets:
        return {"D": found["D"]}
    return {"D": found["D"], "D_T": found["D_teacher"]}


def setup_of(run: Run) -> Setup:
    """What a unit's method is handed. Networks draw their first weights one after the other."""
    c, device = run.config, run.device
    T = nn.Identity() if c["method"] in PLAIN else networks.teacher_of(run)

    def judge() -> nn.Module:
        return load_network(networks.discriminator(c), run.weights_of("teacher"), "D").to(device)

    return Setup(
        adapter=adapters.stylegan2_adapter(
            {"size": c["size"], **c["net"]}, c["latent"], c["layers"], c["group"],
            d_net=c.get("d_net"),
        ),
        recipe=recipe_of(c), T=T, device=device, draw=batches(run), judge=judge,
        critic=lambda width, name: networks.discriminator(c).to(device),
        fresh=lambda: networks.generator(c, c["p"]).to(device),
        student=lambda: networks.start(run, T), cut=lambda wide: networks.start(run, wide),
        new=lambda name, make: make().to(device),
        kernels=lambda S: kernels.kernels_of(run, S, T), distance=lambda: kernels.distance(run),
    )  # fmt: skip


def recipe_of(c: Mapping[str, Any]) -> Recipe:
    """How a unit's networks are trained: rates are constant, corrected for lazy regularisers.

    NICKEL compares maps of a quarter of the image's size, GCC those of G of 1/8 and 1/2, and of D
    of 1/4 and 1/16; StyleKD layers of up to half the image.
    """
    lr, betas = lazy(c["lr"], (0.0, 0.99), 4) if c["path"] else (c["lr"], (0.0, 0.99))
    d_lr, d_betas = lazy(c["lr"], (0.0, 0.99), 16)
    # Lazy path lengths add a step of G's, and of its average, to every fourth.
    share = 4 / 5 if c["path"] else 1.0
    sides = [2**i for i in range(3, c["size"].bit_length() - 1)]  # of the blocks that enlarge
    numbers = ("mask", "energy", "langevin", "nickel", "moment_batch")
    return Recipe(
        steps=c["steps"], lr=lr, d_lr=d_lr, betas=betas, d_betas=d_betas, generator_first=True,
        decay=0.5 ** (share * c["batch"] / c["half_life"]),
        step_decay=0.5 ** (c["batch"] / c["half_life"]),
        gamma=c["gamma"], penalised=("D", "D_teacher", "gates"), path=c["path"],
        mixing=c["mixing"], sparse=c.get("sparse_steps", 0) / c["steps"], same_critic=True,
        teacher_critic=c.get("D_T", False), **{name: c[name] for name in numbers if name in c},
        layers={
            "pair": pair(c),
            "gated": [f"b{2 * r}" for r in (4, *sides)][::-1],
            "judged": [f"b{2 * r}" for r in networks.parts(c, 4, 16)],
            "copied": [f"synthesis.b{r}.conv1" for r in networks.parts(c, 8, 2)],
            "shifted": [f"synthesis.b{r}.conv1" for r in sides],
            "related": [f"synthesis.b{r}.conv1" for r in sides[1:] or sides],
        },
    )  # fmt: skip


def batches(run: Run) -> Callable[[int], Batch]:
    """Noise and real images, aligned faces mirrored at random."""
    c, device = run.config, run.device
    real = data.real_batches(judging.load_images(run), c["batch"], c["seed"], device)

    def batch(step: int) -> Batch:
        z = torch.randn(c["batch"], c["latent"], device=device)
        shown = real(step)
        if c["mirror"]:
            turned = torch.rand(len(shown), 1, 1, 1, device=device) < 0.5
            shown = torch.where(turned, shown.flip(3), shown)
        return Batch(z, real=shown)

    return batch


def finish(
    run: Run, G: nn.Module, average: nn.Module, D: nn.Module | None, critics: Mapping[str, Network]
) -> None:
    """Measure the average of G, keep it with D, if there is one, and logits; finish the unit."""
    logits = measure.last_logits(run, G, critics)
    found = measure.generator_numbers(run, average, logits)
    nets = {"G": average} | ({} if D is None else {"D": D})
    run.finish({**nets, "logits": logits}, rows(run, found, labels(run.unit)))


def demand(unit: Unit) -> Demand:
    """What a unit asks of a machine, to a factor of two: passes and gradients of G, D and T."""
    c = unit.config
    if unit.name in ("judge", "encoder", "speed-seed0") or "weights" in c:
        return Demand()
    names = ("net", "d_net", "size", "latent", "layers", "group")
    shape = json.dumps({name: c[name] for name in names if name in c})
    small, size = _counts(shape, c["p"])
    full, _ = _counts(shape, 0.0)  # D is about as large as T
    images = c.get("moments", 0) + len(c.get("rates", ())) * 3 * c["n_images"]
    if not c["steps"]:
        return Demand(images * full, 0)
    evaluated = c["steps"] / c["epoch"] * c["n_images"] * small
    own = COST.get(method_of(c["method"]), 3.0) if "D_T" in c else 1.0
    return Demand(evaluated + own * c["steps"] * c["batch"] * (4 * small + 9 * full), size)


@cache
def _counts(shape: str, p: float) -> tuple[int, int]:
    """Multiply-adds of a pass of G pruned by p, and bytes of it and of D."""
    c = json.loads(shape)
    with torch.device("meta"):
        G, D = networks.generator(c, p), networks.discriminator(c)
    return stylegan2.macs_a(G), 4 * (metrics.params(G) + metrics.params(D))


def network_of(unit: Unit, root: Path) -> tuple[nn.Module, export.Card]:
    """A finished unit's generator with its card."""
    c = unit.config
    arguments = c["net"] | {name: c[name] for name in ("size", "latent", "layers")}
    arguments |= {"width": 1 - c["p"]}
    z = noise(1, c["latent"])
    made = zoo.card(unit, root, arguments, z, noise=True, width=1 - c["p"])
    return generator_of(unit, root), made


# What is measured -------------------------------------------------------------------------------


def pruning_rows(run: Run) -> list[dict[str, Any]]:
    """The figure of pruning: students without any training, by score and rate."""
    c, found = run.config, []
    T, judge = networks.teacher_of(run), judging.judge_of(run)
    for name in (CONTENT, STYLE, "random"):
        scores = networks.ranks(run, T, name)
        for p in c["rates"]:
            S = prune.cut(T, networks.generator(c, p).to(run.device), prune.keep(scores, p))
            numbers = judging.image_numbers(judge, draw(run, S, c["n_images"])) + sizes(run, S)
            its = {"table": "pruning", "method": name, "width": width(p)}
            found += rows(run, numbers, labels(run.unit), **its)
    return found


def speed_rows(run: Run) -> list[dict[str, Any]]:
    """Latency of a single image by rate; random weights are as fast as trained ones."""
    c, of = run.config, labels(run.unit)
    nets = {p: networks.generator(c, p).to(run.device) for p in c["rates"]}
    z = noise(1, c["latent"]).to(run.device)
    seconds = cost.pass_seconds(nets, z, c["steps"])
    found = {p: [Number("latency", 1000 * s, "ms")] for p, s in seconds.items()}
    return [row for p, its in found.items() for row in rows(run, its, of, width=width(p))]


def legibility(units: Sequence[Unit], root: Path) -> pd.DataFrame:
    """Rows of finished units whose data have labels: how sure the classifier is of their images.

    "top probability" is the mean over images of that of the likeliest class.
    """
    found = []
    trained = {*measure.LEARNERS, *PLAIN}
    for unit in (unit for unit in units if unit.config["method"] in trained):
        judge, n = judging.judge_of(Run(unit, root)), unit.config["n_images"]
        if judge.classifier is not None:
            images = images_of(generator_of(unit, root), noise(n, unit.config["latent"]), 250)
            top = features.probabilities(judge.classifier, images).amax(1).mean().item()
            metric = f"top probability-{next(iter(judge.networks))}"
            row = {"metric": metric, "value": top, "unit": "", "n_images": n}
            found.append(read_rows([unit], root).head(1).assign(**row))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def logits(unit: Unit, root: Path, n: int = 297) -> dict[str, Tensor]:
    """Logits of the unit's own D for held-out real images and for the unit's; else empty."""

    def found() -> dict[str, Tensor]:
        run, weights = Run(unit, root), unit.weights(root)
        if not any(name.startswith("D.") for name in weights):
            return {}
        D = frozen(load_network(networks.discriminator(unit.config), weights, "D"))
        real = data.to_float(judging.load_images(run, "test").pixels[:n])
        fake = images_of(generator_of(unit, root), noise(len(real), unit.config["latent"]), n)
        return {
            "real": measure.batched_logits(run, D, real),
            "generated": measure.batched_logits(run, D, fake),
        }

    return compute_once(unit, root, "logits", found, n)


def figure_calls(units: Iterable[Unit], root: Path) -> Iterator[Callable[[], object]]:
    """Calls that compute and store what notebook 3 shows of finished units: ``compute_once``."""
    first = [unit for unit in find_units(units, seed=0) if unit.done(root)]
    rates = [unit.config["p"] for unit in first if 0 < unit.config.get("p", 0) <= 0.9]
    for unit in first:
        c, shown = unit.config, (*measure.FIGURE_3, max(rates))
        if c["method"] == "teacher" or (c["method"] in measure.LEARNERS and c["p"] in shown):
            z = noise(10, c["latent"])
            yield partial(pictures, generator_of, {unit.name: unit}, root, z, "samples")
        if c["method"] in ("ITGC", OURS) and c["p"] in measure.FIGURE_3:
            yield partial(measure.logits_at_end, unit, root)
