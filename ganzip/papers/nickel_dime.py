"""Paper C: what is trained, and how one unit is trained.

Yeo, Jang and Yoo, "Nickel and Diming Your GAN: A Dual-Method Approach to Enhancing GAN Efficiency
via Knowledge Distillation", ECCV 2024, arXiv:2405.11614; on StyleGAN2.

    units = nickel_dime.prepare("cpu", "digits")
    perform_all(units, nickel_dime.work, files.runs_folder())
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.optim import Adam

from ganzip import (
    assets,
    data,
    export,
    features,
    files,
    losses,
    metrics,
    parallel,
    presets,
    prune,
    zoo,
)
from ganzip.data import Images
from ganzip.distil import compose
from ganzip.distil.compose import Phase, Setup
from ganzip.distil.recipe import MASKS, Recipe
from ganzip.losses import Distance
from ganzip.methods import contrastive, gan, nickel_dime, stylekd
from ganzip.methods.gan import Network
from ganzip.nets import checkpoints, encoder, energy, pickled, stylegan2
from ganzip.nets.stylegan2 import Discriminator, Generator
from ganzip.papers import adapters, judging
from ganzip.papers import nickel_dime_rows as measure
from ganzip.presets import WITHOUT, NickelDime
from ganzip.train import Batch, cosine, frozen, lazy, step_seed
from ganzip.units import (
    Demand,
    Run,
    Unit,
    code_hash,
    compute_once,
    find_units,
    in_order,
    load_network,
)

PAPER = measure.PAPER
GAN = (gan, stylegan2)
CONTENT, STYLE = "content-aware", "style scale"  # what ranks channels
RANKS = {"GS": STYLE, "StyleKD": "", "GCC": STYLE}  # of a method's student, else CONTENT
NAMES = {"fine-tune": compose.CONTROL, WITHOUT: measure.OURS}  # of rows whose method has another
RELEASED = "stylegan2-ffhq256"  # the teacher's file at the paper's scale
PLAIN = ("teacher", measure.SCRATCH)  # trained on the data alone
IMITATORS = ("GS", "CAGC", "StyleKD", "ITGC")  # of the teacher's images, by a perceptual distance
FOUNDATION = ("dino-rn50", "clip-rn50")
VGG16 = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
# Time of a step relative to fine-tuning's, as measured; only the shown time left rests on it.
COST = {"GS": 1.4, "CAGC": 1.5, "StyleKD": 1.8, "ITGC": 4.0, "GCC": 3.5, "DiME": 1.3, "NICKEL": 2.2}

# The plan -----------------------------------------------------------------------------------------


def prepare(
    preset: str = "cpu", source: str = "digits", scale: float = 1.0, seeds: int = 0
) -> list[Unit]:
    """The plan of a preset, by name, on a data set; see ``data.known``."""
    chosen, images = settled(preset, source, scale, seeds)
    return plan(chosen, images, source)


def foreseen(preset: str, source: str = "", scale: float = 1.0, seeds: int = 0) -> list[Unit]:
    """The plan where the data are not here, to be counted alone; see ``presets.facts``."""
    (facts, *_) = presets.facts(PAPER, preset, source)
    chosen, images = settled(preset, facts.name, scale, seeds, find=judging.stand_in(facts))
    return plan(chosen, images, facts.name)


def settled(
    preset: str,
    source: str,
    scale: float = 1.0,
    seeds: int = 0,
    *,
    find: Callable[..., Images] = data.known,
) -> tuple[NickelDime, Images]:
    """A preset's numbers for a data set, and its images: images without labels are larger.

    Where the released teacher serves all sizes are its file's. find: what finds the images, see
    ``data.known``.
    """
    cache = files.runs_folder() / "cache"
    chosen = presets.nickel_dime(preset, scale=scale, seeds=seeds)
    images = find(source, size=chosen.net["size"], channels=3, cache=cache)
    if not images.classes:
        chosen = presets.nickel_dime(preset, scale=scale, seeds=seeds, labels=False)
        images = find(source, size=chosen.net["size"], channels=3, cache=cache)
    found = following(chosen, images)
    if found.net["size"] != chosen.net["size"]:
        images = find(source, size=found.net["size"], channels=3, cache=cache)
    return found, images


def plan(preset: NickelDime, images: Images, source: str) -> list[Unit]:
    """Every unit of the preset on these images, three channels, what is needed first.

    source: what ``data.load`` found the images by, for the processes that load them again. One
    teacher serves all students, which differ by their seeds in batches, noise and fresh weights.
    """
    preset = following(preset, images)
    sight = judging.settings(images, preset.name, preset.n_images) | {"size": preset.net["size"]}
    judge = judging.unit(PAPER, sight, images, preset.judge_steps, source, batch=64)
    common = sight | settings(preset, images)
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

    if released(preset, images):
        adopted = {"weights": RELEASED, "digest": teacher_sizes().digest, "steps": 0}
        adopted["code"] = code_hash(*GAN, pickled, checkpoints)
        teacher = unit("teacher", 0.0, 0, {"judge": judge}, 50, **adopted)
    else:
        teacher = plain("teacher", 0.0, preset.teacher_steps)
    coder = coder_unit(preset, sight, source)
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
    for name in both_kernels(preset):
        needs = {"teacher": teacher} | ({"encoder": coder} if name == "contrastive" else {})
        own = {"kernel": name, "moments": preset.moments, "steps": 0}
        own |= {"lite": preset.lite} if name == "efflite0" else {}
        own["code"] = code_hash(features, nickel_dime)
        targets[name] = unit(f"moments {name}", 0.0, 0, needs, 100, **own)
    listed = students(preset)
    settled = {how: student_settings(preset, *how) for how in {how for how, _, _ in listed}}
    for how, p, seed in listed:
        (method, _, _), own = how, settled[how]
        needs = {"judge": judge, "teacher": teacher} | {k: targets[k] for k in own["kernels"]}
        needs |= {"encoder": coder} if own["distance"] == "contrastive" else {}
        cost = preset.steps * COST.get(method_of(method), 3.0)
        units.append(unit(method, p, seed, needs, cost, **own, **ranking))
    both = preset.teacher_steps + preset.steps
    units += [
        plain(measure.SCRATCH, p, both, seed)
        for p, seeds in preset.scratch.items()
        for seed in range(seeds)
    ]
    return in_order(units)


def coder_unit(preset: NickelDime, sight: Mapping[str, Any], source: str) -> Unit:
    """The label-free encoder's unit."""
    own = {"method": "encoder", "seed": 0, "steps": preset.encoder_steps}
    own |= {"batch": preset.encoder_batch, "code": code_hash(encoder, contrastive)}
    return Unit(PAPER, "encoder", {**sight, **own}, cost=2.5 * preset.encoder_steps, source=source)


How = tuple[str, tuple[str, ...], bool]
"""A method, DiME's kernels, and whether their targets are taken from the batch."""


def students(preset: NickelDime) -> list[tuple[How, float, int]]:
    """Every student: how it is trained, p, seed."""
    main = kernels(preset)
    found: list[tuple[How, float, int]] = [
        ((method, main, False), p, seed)
        for method, sizes in preset.seeds.items()
        for p, seeds in sizes.items()
        for seed in range(seeds)
    ]
    ablated = [(f"DiME by {' + '.join(names)}", names, False) for names in kernel_sets(preset)]
    ablated.append(("DiME, batch targets", main, True))
    return found + [
        (how, p, seed)
        for p, seeds in preset.ablations.items()
        for how in ablated
        for seed in range(seeds)
    ]


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
        "distance": distance_net(preset) if method in IMITATORS else "",
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


def released(preset: NickelDime, images: Images) -> bool:
    """Whether the teacher is the released one: at the paper's scale, for faces, where its file is.

    It serves without being trained; nothing else of the plan changes.
    """
    return preset.name == "paper" and content(images) == "ellipse" and assets.available(RELEASED)


def following(preset: NickelDime, images: Images) -> NickelDime:
    """The preset with the sizes of the released teacher's networks, where that one serves."""
    if not released(preset, images):
        return preset
    found = teacher_sizes()
    if not found.d_channels:
        raise checkpoints.CheckpointError(
            f"{assets.require(RELEASED)} has no discriminator, expected D or d: the methods of "
            "paper C go on training it; take a whole file"
        )
    net = {"size": found.size, "channels": list(found.channels)}
    same = found.d_channels == found.channels
    return dataclasses.replace(
        preset,
        net=net,
        d_net=None if same else {"channels": list(found.d_channels)},
        latent=found.latent,
        layers=found.layers,
        group=found.group,
    )


def teacher_sizes() -> checkpoints.Sizes:
    """The sizes of the released teacher's networks."""
    path = assets.require(RELEASED)
    return _sizes(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _sizes(path: Path, _: int) -> checkpoints.Sizes:
    """Once a file: a plan asks several times."""
    return checkpoints.sizes(path)


def content(images: Images) -> str:
    """The mask of what matters in these images: ``prune``'s, by name.

    Things on black are their foreground; else images without labels are taken for aligned faces.
    """
    some = images.pixels[:256]
    edges = torch.cat([some[..., 0], some[..., -1], some[..., 0, :], some[..., -1, :]])
    if edges.float().median() < 16:
        return "foreground"
    return "everything" if images.classes else "ellipse"


def both_kernels(preset: NickelDime) -> tuple[str, str]:
    """DiME's two kernels: DINO and CLIP where their files are; else stand-ins, the main one first.

    Foundation models are used at presets gpu and paper alone.
    """
    if preset.name not in ("gpu", "paper"):
        return "contrastive", "efflite0"
    here = [name for name in FOUNDATION if assets.available(name)]
    first, second, *_ = [*here, "efflite0", "contrastive"]
    return first, second


def kernels(preset: NickelDime) -> tuple[str, ...]:
    """What DiME's rows compare images through: both foundation models, or one stand-in."""
    both = both_kernels(preset)
    return both if both == FOUNDATION else both[:1]


def kernel_sets(preset: NickelDime) -> list[tuple[str, ...]]:
    """The kernels of the ablation: either, and both, but for what DiME's own rows have."""
    first, second = both_kernels(preset)
    return [s for s in ((first,), (second,), (first, second)) if s != kernels(preset)]


def distance_net(preset: NickelDime) -> str:
    """What compares images for the methods that imitate the teacher's, in the place of LPIPS."""
    if preset.name not in ("gpu", "paper"):
        return "contrastive"
    return "vgg16" if assets.available("vgg16") else "efflite0"


def overview(units: Iterable[Unit]) -> pd.DataFrame:
    """The plan, one line a kind of run: method, p, steps, seeds."""
    lines = [
        {k: c.get(k, "") for k in ("method", "p", "steps", "lr", "seed")}
        for c in (unit.config for unit in units)
    ]
    by = ["method", "p", "steps", "lr"]
    return pd.DataFrame(lines).groupby(by, sort=False).agg(seeds=("seed", "count")).reset_index()


# Training -----------------------------------------------------------------------------------------


def work(run: Run) -> None:
    """Train one unit, measure it, and finish it."""
    method = run.config["method"]
    torch.manual_seed(step_seed(run.config["seed"], -1))  # what networks start from
    others: dict[str, Callable[[Run], None]] = {
        "judge": lambda run: judging.work(run, partial(measure.image_rows, run), measure.row),
        "encoder": train_encoder,
        "pruning": prune_only,
        "speed": time_passes,
    }
    if method.startswith("moments"):
        take_moments(run)
    elif "weights" in run.config:
        adopt(run)
    else:
        others.get(method, train_generator)(run)


def adopt(run: Run) -> None:
    """The teacher as its authors released it: measured, not trained."""
    G, D = checkpoints.load(assets.require(run.config["weights"]))
    assert D is not None  # else there is no plan
    G, D = G.to(run.device), D.to(run.device)
    seen = measure.watcher(run, G, G, {"D": D})()
    run.history += [(0, "validation", *entry) for entry in seen.items()]
    finish(run, G, G, D, {"D": D})


def train_generator(run: Run) -> None:
    """A student, cut out of the teacher, by its method; or a generator that has no teacher."""
    c, method = run.config, compose.REGULAR
    if c["method"] not in PLAIN:
        method = compose.METHODS[method_of(c["method"])]

    def fit(phase: Phase) -> None:
        steps, nets, more = round(phase.share * c["steps"]), phase.nets, dict[str, Any]()
        if phase.name == "train":
            average, z = nets["average"], judging.noise(16, c["latent"]).to(run.device)
            more["samples"] = lambda: drawn_still(average, z)
            more["validate"] = measure.watcher(run, average, nets["G"], judges(nets))
            more["epoch"] = c["epoch"]
        players = setup.recipe.paced(phase.players, steps)
        run.train(players, phase.draw, steps, nets, phase=phase.name, **more)

    setup = setup_of(run)
    found = compose.distil(setup, method, fit)
    assert found.D is not None
    finish(run, found.nets["G"], found.G, found.D, judges(found.nets))


def judges(nets: Mapping[str, nn.Module]) -> dict[str, Network]:
    """The discriminators whose logits are kept; GCC's teacher trains apart from its student."""
    found = compose.critics(nets)
    if "gates" in nets or "D_teacher" not in nets:
        return {"D": found["D"]}
    return {"D": found["D"], "D_T": found["D_teacher"]}


def setup_of(run: Run) -> Setup:
    """What a unit's method is handed. Networks draw their first weights one after the other."""
    c, device, T = run.config, run.device, nn.Identity()
    if c["method"] not in PLAIN:
        T = generator_of(run.unit.needs["teacher"], run.root).to(device)

    def judge() -> nn.Module:
        return load_network(discriminator(c), run.needed("teacher"), "D").to(device)

    return Setup(
        adapter=adapters.stylegan2_adapter(
            {"size": c["size"], **c["net"]}, c["latent"], c["layers"], c["group"],
            d_net=c.get("d_net"),
        ),
        recipe=recipe_of(c), T=T, device=device, draw=batches(run), judge=judge,
        critic=lambda width, name: discriminator(c).to(device),
        fresh=lambda: generator(c, c["p"]).to(device), student=lambda: start(run, T),
        cut=lambda wide: start(run, wide), new=lambda name, make: make().to(device),
        kernels=lambda S: kernels_of(run, S, T), distance=lambda: distance(run),
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
            "judged": [f"b{2 * r}" for r in parts(c, 4, 16)],
            "copied": g_layers(c),
            "shifted": [f"synthesis.b{r}.conv1" for r in sides],
            "related": [f"synthesis.b{r}.conv1" for r in sides[1:] or sides],
        },
    )  # fmt: skip


def finish(
    run: Run, G: nn.Module, average: nn.Module, D: nn.Module, shown: Mapping[str, Network]
) -> None:
    """Measure the average of G, keep it with D and the logits, and finish the unit."""
    logits = measure.logits_of(run, G, shown)
    rows = measure.generator_rows(run, average, logits)
    run.finish({"G": average, "D": D, "logits": logits}, rows)


def train_encoder(run: Run) -> None:
    """DiME's kernel where there is no foundation model: an encoder of the data, without labels."""
    c = run.config
    images, test = judging.load_images(run), judging.load_images(run, "test")
    net = encoder.Encoder(c["channels"]).to(run.device)
    head = nn.Sequential(nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 64)).to(run.device)
    adam = Adam([*net.parameters(), *head.parameters()], fused=True)
    real = data.real_batches(images, c["batch"], c["seed"], run.device)

    def batch(step: int) -> Batch:
        shown = real(step)
        return Batch(shown, real=shown)

    players = [
        dataclasses.replace(player, lr=cosine(3e-3, c["steps"]))
        for player in contrastive.contrastive(net, head, adam)
    ]
    run.train(players, batch, c["steps"], {"encoder": net, "head": head})
    run.finish({"encoder": frozen(net)}, measure.encoder_rows(run, net, images, test))


@torch.no_grad()
def take_moments(run: Run) -> None:
    """DiME's global features: moments of a kernel over many images of the teacher, in float64."""
    c = run.config
    T = generator_of(run.unit.needs["teacher"], run.root).to(run.device)
    embed = embedding(run.unit, run.root, run.device)
    torch.manual_seed(step_seed(c["seed"], -2))
    parts = torch.randn(c["moments"], c["latent"]).split(c["batch"])
    kept = [embed(T(z.to(run.device))).cpu() for z in parts]
    whole = nickel_dime.global_moments(kept)
    floors = {n: floor(torch.cat(kept[:64]), whole, n) for n in (c["batch"], 4 * c["batch"])}
    rows = [measure.row(run, f"DiME's floor, {n} images", x, "", n) for n, x in floors.items()]
    run.finish({"moments": {"first": whole.first, "second": whole.second}}, rows)


def floor(seen: Tensor, whole: nickel_dime.Moments, n: int) -> float:
    """DiME's unweighted term for n of the teacher's own images: what no student can go below."""
    gaps = [nickel_dime.discrepancy(part, whole, "l1_moments") for part in seen.split(n)]
    return torch.stack(gaps).mean().item()


def prune_only(run: Run) -> None:
    """The figure of pruning: students without any training, by score and rate."""
    c = run.config
    T = generator_of(run.unit.needs["teacher"], run.root).to(run.device)
    judge, rows = judging.of(run), []
    for name in (CONTENT, STYLE, "random"):
        scores = ranks(run, T, name)
        for p in c["rates"]:
            S = prune.cut(T, generator(c, p).to(run.device), prune.keep(scores, p))
            rows += measure.pruned_rows(run, S, judge, name, p)
    run.finish({}, rows)


def time_passes(run: Run) -> None:
    """What a pass of each generator takes; random weights are as fast as trained ones."""
    c = run.config
    nets = {p: generator(c, p).eval().to(run.device) for p in c["rates"]}
    run.finish({}, measure.speed_rows(run, nets))


def demand(unit: Unit) -> Demand:
    """What a unit asks of a machine, to a factor of two: passes and gradients of G, D and T."""
    c = unit.config
    if unit.name in ("judge", "encoder", "speed-seed0") or "weights" in c:
        return Demand()
    names = ("net", "d_net", "size", "latent", "layers", "group")
    shape = json.dumps({name: c[name] for name in names if name in c})
    small, kept = _counts(shape, c["p"])
    full, _ = _counts(shape, 0.0)  # D is about as large as T
    drawn = c.get("moments", 0) + len(c.get("rates", ())) * 3 * c["n_images"]
    if not c["steps"]:
        return Demand(drawn * full, 0)
    evaluated = c["steps"] / c["epoch"] * c["n_images"] * small
    own = COST.get(method_of(c["method"]), 3.0) if "D_T" in c else 1.0
    return Demand(evaluated + own * c["steps"] * c["batch"] * (4 * small + 9 * full), kept)


@cache
def _counts(shape: str, p: float) -> tuple[int, int]:
    """Multiply-adds of a pass of G pruned by p, and bytes of it and of D."""
    c = json.loads(shape)
    with torch.device("meta"):
        G, D = generator(c, p), discriminator(c)
    return stylegan2.macs_a(G), 4 * (metrics.params(G) + metrics.params(D))


# Networks -----------------------------------------------------------------------------------------


def generator(c: Mapping[str, Any], p: float = 0.0) -> Generator:
    """A fresh generator, pruned by p."""
    return Generator(c["size"], **c["net"], latent=c["latent"], layers=c["layers"], width=1 - p)


def discriminator(c: Mapping[str, Any]) -> Discriminator:
    """A fresh discriminator, of full size as all are here."""
    return Discriminator(c["size"], **c.get("d_net", c["net"]), group=c["group"])


def generator_of(unit: Unit, root: Path) -> nn.Module:
    """The finished unit's generator, its average over training, frozen."""
    c = unit.config
    return frozen(load_network(generator(c, c["p"]), unit.weights(root), "G"))


def discriminator_of(unit: Unit, root: Path) -> nn.Module:
    """The finished unit's own discriminator, frozen."""
    return frozen(load_network(discriminator(unit.config), unit.weights(root), "D"))


def network_of(unit: Unit, root: Path) -> tuple[nn.Module, export.Card]:
    """A finished unit's generator with its card."""
    c = unit.config
    arguments = c["net"] | {name: c[name] for name in ("size", "latent", "layers")}
    arguments |= {"width": 1 - c["p"]}
    z = judging.noise(1, c["latent"])
    made = zoo.card(unit, root, arguments, z, noise=True, width=1 - c["p"])
    return generator_of(unit, root), made


def said(unit: Unit, root: Path, n: int = 297) -> dict[str, Tensor]:
    """Logits of the unit's own D for held-out real images and for the unit's; else empty."""

    def found() -> dict[str, Tensor]:
        if not any(name.startswith("D.") for name in unit.weights(root)):
            return {}
        run, D = Run(unit, root), discriminator_of(unit, root)
        real = data.to_float(judging.load_images(run, "test").pixels[:n])
        fake = images_of(unit, root, judging.noise(len(real), unit.config["latent"]))
        return {"real": measure.logits(run, D, real), "generated": measure.logits(run, D, fake)}

    return compute_once(unit, root, "logits", found, n)


def images_of(unit: Unit, root: Path, z: Tensor) -> Tensor:
    """A finished unit's images of z (n, latent), with the noise maps that it stores."""
    return drawn_still(generator_of(unit, root), z)


def shown(units: Iterable[Unit], root: Path) -> Iterator[Callable[[], object]]:
    """Calls that compute and keep what notebook 3 shows of finished units: see ``compute_once``."""
    first = [unit for unit in find_units(units, seed=0) if unit.done(root)]
    rates = [unit.config["p"] for unit in first if 0 < unit.config.get("p", 0) <= 0.9]
    methods = ("fine-tune", *presets.COMPARED)
    for unit in first:
        c = unit.config
        if c["method"] == "teacher" or (c["method"] in methods and c["p"] == max(rates)):
            z = judging.noise(10, c["latent"])
            yield partial(judging.pictures, images_of, {unit.name: unit}, root, z, "samples")
        if c["method"] in ("ITGC", measure.OURS) and c["p"] in measure.FIGURE_3:
            yield partial(measure.logits_at_end, unit, root)


@torch.no_grad()
def drawn_still(G: nn.Module, z: Tensor) -> Tensor:
    """Images by stored noise maps: the same z gives the same image."""
    with stylegan2.stored_noise(G):
        return G(z)


def start(run: Run, wide: nn.Module) -> nn.Module:
    """The student before it learns: pruned by its method's scores; StyleKD's is fresh."""
    c = run.config
    S = generator(c, c["p"]).to(run.device)
    if c["scores"]:
        return prune.cut(wide, S, prune.keep(ranks(run, wide, c["scores"]), c["p"]))
    stylekd.inherit(S, wide)
    return S


def ranks(run: Run, wide: nn.Module, name: str) -> list[Tensor]:
    """Scores of the channels of a generator, the same for all seeds of a student."""
    c = run.config
    seeded = torch.Generator().manual_seed(0)
    z = torch.randn(c["prune_images"], c["latent"], generator=seeded).to(run.device)
    if name == CONTENT:
        return prune.saliency(wide, MASKS[c["mask"]], z)
    scores = prune.style_scale(wide, z)
    if name == STYLE:
        return scores
    return [torch.rand(score.shape, generator=seeded).to(run.device) for score in scores]


def pair(c: Mapping[str, Any]) -> tuple[str, str]:
    """NICKEL's two maps, of a quarter of the image's size: of the teacher's G, and of D."""
    return f"synthesis.b{c['size'] // 4}.conv1", f"b{c['size'] // 2}"


def g_layers(c: Mapping[str, Any]) -> list[str]:
    """Layers of G that GCC compares: of 1/8 and 1/2 of the size. Of D it takes 1/4 and 1/16."""
    return [f"synthesis.b{r}.conv1" for r in parts(c, 8, 2)]


def parts(c: Mapping[str, Any], *shares: int) -> list[int]:
    """Parts of the image's size in pixels, 4 or more, each once."""
    return list(dict.fromkeys(max(4, c["size"] // share) for share in shares))


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


# What is seen through -----------------------------------------------------------------------------


def distance(run: Run) -> Distance:
    """The perceptual distance of the methods that imitate: relative L1 of three or four maps.

    It has LPIPS's place and is none.
    """
    c, device = run.config, str(run.device)
    if c["distance"] == "contrastive":
        maps = coder_of(run.unit.needs["encoder"], run.root).to(run.device).maps
    elif c["distance"] == "vgg16":
        maps = features.vgg(assets.require("vgg16"), 16, VGG16, device=device).extract
    else:
        maps = features.lite_maps(0, size=c["size"], device=device).extract
    count = len(VGG16) if c["distance"] == "vgg16" else 3
    return losses.perceptual(maps, [1 / count] * count, relative=True)


def coder_of(unit: Unit, root: Path) -> encoder.Encoder:
    """The finished encoder, frozen."""
    net = encoder.Encoder(unit.config["channels"])
    frozen(load_network(net, unit.weights(root), "encoder"))
    return net


def embedding(unit: Unit, root: Path, device: torch.device) -> Callable[[Tensor], Tensor]:
    """The features of the kernel whose moments a unit takes; foundation models see raw images."""
    name = unit.config["kernel"]
    if name == "contrastive":
        return coder_of(unit.needs["encoder"], root).to(device)
    if name == "efflite0":
        return features.efficientnet_lite(0, size=unit.config["lite"], device=str(device)).extract
    load = {"clip-rn50": features.clip, "dino-rn50": features.dino}[name]
    return load(assets.require(name), raw=True, device=str(device)).extract


def kernels_of(run: Run, S: nn.Module, T: nn.Module) -> list[nickel_dime.Kernel]:
    """DiME's kernels with their targets and weights.

    Those that the paper has no weight for share ``dime`` equally, by their terms for the first
    images of the pruned student.
    """
    c, found = run.config, []
    for name in c["kernels"]:
        unit = run.unit.needs[name]
        kept = unit.weights(run.root)
        target = nickel_dime.Moments(
            kept["moments.first"].to(run.device),
            kept["moments.second"].to(run.device),
            unit.config["moments"],
        )
        embed = embedding(unit, run.root, run.device)
        kernel = nickel_dime.Kernel(name, embed, 1.0, None if c["by_batch"] else target)
        weight = nickel_dime.WEIGHTS.get(name)
        if weight is None:
            weight = c["dime"] / len(c["kernels"]) / first_gap(run, kernel, S, T)
        # Moments are of all images of the batch, whatever the number of processes.
        kernel = dataclasses.replace(kernel, weight=weight, embed=together(embed))
        found.append(kernel)
    return found


def together(embed: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The features of all processes' images from those of each."""
    return lambda images: parallel.gathered(embed(images))


def first_gap(run: Run, kernel: nickel_dime.Kernel, S: nn.Module, T: nn.Module) -> float:
    """DiME's unweighted term for the first batch of the student's images."""
    c = run.config
    z = judging.noise(c["batch"], c["latent"]).to(run.device)
    with measure.seeded(run.device), features.evaluating(S):
        return nickel_dime.dime(kernel, S(z), T(z), moment_batch=c["moment_batch"]).item()
