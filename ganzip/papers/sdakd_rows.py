"""Paper B: what is measured of a unit, and what tables and figures take from the rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzip import data, degrade, features, metrics, parallel
from ganzip.families import SIZES
from ganzip.features import Features
from ganzip.measure import cost, judging
from ganzip.measure.images import distances, images_of, likeness, logits_of, score_numbers
from ganzip.measure.rows import Number, pick, rows
from ganzip.papers import super_resolution as sr
from ganzip.report import tables
from ganzip.train import Player, frozen, step_seed
from ganzip.units import Run, Unit, compute_once, find_units, load_network

TABLE = {"GCFSR": "table1", "RealESRGAN": "table2", sr.PLAIN: "table2"}
HALVES = 20  # halves of the test images, on which the distance is measured again
SHOWN = 100  # training images whose probabilities figures 2 and 3 show
SEEN, LARGE = 2, 64  # rows of figure 4, and pixels of an image whose third is worth enlarging


def features_of(run: Run) -> Features:
    """What measures a unit: Inception where its weights are, else EfficientNet-Lite2."""
    return judging.imagenet(str(run.device), inception="clean" if run.config["inception"] else "")


def reference(run: Run, part: str) -> Tensor:
    """Features of the held-out truth, which the teacher's unit saves for all that need it."""
    if run.config["method"] != "teacher":
        return run.weights_of("teacher")[f"truth.{part}"]
    first = next(iter(sr.examples(run, part).values()))
    return features.embed(features_of(run), first.truth, 64)


def selection(run: Run) -> Callable[[nn.Module], dict[str, float]]:
    """The function from a generator to its validation score by factor: FID, or KID in 1e-3."""
    network, examples = features_of(run), sr.examples(run, "validation")
    truth = reference(run, "validation")

    def scores(G: nn.Module) -> dict[str, float]:
        ours = {k: features.embed(network, images_of(G, e.cond), 64) for k, e in examples.items()}
        if run.config["inception"]:
            return {f"FID {k}": metrics.frechet_distance(x, truth) for k, x in ours.items()}
        return {
            f"KID {k}": 1000 * metrics.kernel_distance(x, truth, pairs=True)[0]
            for k, x in ours.items()
        }

    return scores


# Rows ---------------------------------------------------------------------------------------------


def labels(unit: Unit) -> dict[str, Any]:
    """What rows of a unit say of it. Steps are the generator's."""
    c = unit.config
    return {
        "table": "table3" if c["method"] == "speed" else TABLE[c["network"]],
        "network": c["network"],
        "width": c.get("C", ""),
        "steps": c["steps"] - c["d2"],
    }


def image_rows(run: Run, G: nn.Module) -> list[dict[str, Any]]:
    """Rows about a generator's held-out images, by split and factor.

    Distances to the truth of validation and test images; of test images also PSNR, SSIM and a
    perceptual distance to the truth and to the teacher's answers. The teacher's unit has besides
    the rows of its inputs, enlarged: what costs nothing.
    """
    c, network, out = run.config, features_of(run), []
    for part, short in (("validation", "val"), ("test", "test")):
        truth = reference(run, part)
        for label, e in sr.examples(run, part).items():
            sets = {c["method"]: e.teacher if in_store(c) else images_of(G, e.cond)}
            if c["method"] == "teacher":
                sets["input"] = sr.enlarge(e.cond, e.truth)
            for method, images in sets.items():
                ours = features.embed(network, images, 64)
                apart = distances(network.name, ours, truth, pairs=True)
                found = score_numbers(apart, len(images))
                if part == "test":
                    found += by_halves(network, ours, truth)
                    found += pair_numbers(run, images, e, with_teacher=method != "teacher")
                found = [
                    number._replace(metric=f"{number.metric} {short} {label}",
                                    n_images=len(images), features=network.name)
                    for number in found
                ]  # fmt: skip
                out += rows(run, found, labels(run.unit), method=method)
    return out + means_over_factors(out)


def by_halves(network: Features, ours: Tensor, truth: Tensor) -> list[Number]:
    """The distance that decides, from half of the test images: the same halves for all units.

    Images and truth are drawn as pairs, without repetition. Over halves a number spreads as the
    number from all images does over draws of images (half-samples, McCarthy 1969).
    """
    found, draws = list[Number](), np.random.default_rng(0)
    for i in range(HALVES):
        at = torch.from_numpy(draws.permutation(len(truth))[: max(2, len(truth) // 2)])
        if network.name == "inception":
            value = metrics.frechet_distance(ours[at], truth[at])
            found.append(Number(f"FID half {i}", value))
        else:
            value, _ = metrics.kernel_distance(ours[at], truth[at], pairs=True, subsets=1)
            found.append(Number(f"KID-{network.name} half {i}", 1000 * value, "1e-3"))
    return found


def pair_numbers(run: Run, images: Tensor, e: sr.Example, *, with_teacher: bool) -> list[Number]:
    """Pair by pair: PSNR, SSIM and the perceptual distance to the truth, and to the teacher's."""
    near = features.lite_maps(2, size=run.config["square"], device=str(run.device)).extract
    found = list[Number]()
    for to, target in (("", e.truth), (" to teacher", e.teacher))[: 1 + with_teacher]:
        apart = metrics.perceptual_distance(near, images, target).mean().item()
        found += [*likeness(images, target, to), Number(f"distance{to}", apart)]
    return found


def means_over_factors(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows "... val mean" and "... test mean": the paper selects by the mean over factors."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for each in rows:
        metric, _, _ = each["metric"].rpartition(" ")
        groups.setdefault((each["method"], f"{metric} mean"), []).append(each)
    return [
        {**same[0], "metric": metric, "value": float(np.mean([each["value"] for each in same]))}
        for (_, metric), same in groups.items()
    ]


def probability_numbers(run: Run, G: nn.Module, D: nn.Module) -> list[Number]:
    """D's P(real) of training images, of the generator's and of true ones, and its AUC."""
    fake, real = (p.double() for p in probabilities(run, G, D))
    n = len(fake)
    return [
        Number("P(fake)", fake.mean().item(), "", n),
        Number("P(fake) spread", fake.std().item(), "", n),
        Number("P(real)", real.mean().item(), "", n),
        Number("AUC", metrics.auc(real, fake), "", n),
    ]


def in_store(c: Mapping[str, Any]) -> bool:
    """Whether the unit's images are in the store: those of the released teacher, 0.2 s each."""
    return c["stored"] and is_released(c)


def is_released(c: Mapping[str, Any]) -> bool:
    """Whether the unit's generator is the released one, which is not trained."""
    return c["method"] == "teacher" and c["network"] != "GCFSR"


def probabilities(run: Run, G: nn.Module, D: nn.Module) -> tuple[Tensor, Tensor]:
    """D's probability of "real", an image's mean over pixels, for G's images and the true ones.

    Of ``SHOWN`` training images, as figures 2 and 3 of the paper show; GCFSR's factors are drawn
    from the training list with a fixed seed.
    """
    c, draws = run.config, torch.Generator().manual_seed(0)
    real = sr.floats(run, "high", "train", stop=SHOWN)

    def probability(images: Tensor) -> Tensor:
        return logits_of(lambda x: D(x).sigmoid(), images, 16, run.device)

    if in_store(c):
        fake = sr.floats(run, "teacher", "train", stop=SHOWN)[:, :3]
    elif c["network"] == "GCFSR":
        factors = degrade.draw_factors(len(real), draws, c["factors"])
        fake = images_of(G, sr.condition(real, factors, c))
    elif c["stored"]:
        fake = images_of(G, sr.floats(run, "low", "train", stop=SHOWN))
    else:
        cond = [sr.reduce(x, draws, c) for x in real.split(1)]
        fake = images_of(G, torch.cat(cond))
    with features.evaluating(D):
        return probability(fake), probability(real)


def balance_numbers(
    run: Run, players: Sequence[Player], source: sr.Batches, steps: int = 5
) -> list[Number]:
    """The three terms of eq. (3) at the start of stage 3, and the lambda2 that balances them.

    The paper chose lambda2 = 0.1 so that they are about equal: lambda2* = (L_sup + lambda1 L_MLP) /
    (2 L_adv).
    """
    c = run.config
    (player,) = [p for p in players if p.name == "G"]
    sums: dict[str, float] = {}
    with parallel.alone():
        for step in range(steps):
            torch.manual_seed(step_seed(c["seed"], step))
            for name, term in player.terms(source.batch(step)).items():
                sums[name] = sums.get(name, 0.0) + term.item() / steps
    supervised = sums["l1"] + sums["perceptual"]
    adversarial = sums["adversarial"] / c["lambda2"]
    balance = (supervised + sums["features"]) / (2 * adversarial)
    found = {"L_sup": supervised, "L_MLP": sums["features"], "L_adv": adversarial}
    return [
        *(Number(f"{name} at the start of stage 3", value) for name, value in found.items()),
        Number("balancing lambda2", balance),
    ]


def speed_rows(run: Run) -> list[dict[str, Any]]:
    """Table 3: the median time of 50 forward passes of each generator of the paper, interleaved.

    Random weights, a single image, single precision, after two passes to warm up; CPU seconds of
    one thread, or the time that a GPU takes.
    """
    c, out = run.config, []
    nets = {C: sr.generator(c, C).to(run.device) for C in c["sizes"]}
    cond = torch.rand(1, 4 if c["network"] == "GCFSR" else 3, *[c["input"]] * 2).to(run.device)
    seconds = cost.pass_seconds(nets, cond, c["steps"])
    for C, G in nets.items():
        parameters, adds = cost.sizes(G, cond)
        found = [
            Number("time", 1000 * seconds[C], "ms"),
            Number("speed-up", seconds["1"] / seconds[C], "times"),
            adds._replace(unit="an image"),
            parameters,
        ]
        out += rows(run, found, labels(run.unit), width=C)
    return out


# Tables and figures -------------------------------------------------------------------------------


def network_counts() -> pd.DataFrame:
    """Parameters of the paper's networks at every width, and multiply-adds of the generators.

    The latter of a 1024-pixel face and of a 64-pixel input, filters included. Uses no memory.
    """
    lines = []
    with torch.device("meta"):
        inputs = {"GCFSR": torch.empty(1, 4, 1024, 1024), "RealESRGAN": torch.empty(1, 3, 64, 64)}
        for network, cond in inputs.items():
            for C in ("1", *SIZES):
                G, D = (make(width=sr.share(C)) for make in sr.NETWORKS[network])
                sizes = {"G": metrics.params(G), "D": metrics.params(D)}
                counted = {"multiply-adds of G": metrics.macs(G, cond)}
                lines.append({"network": network, "C": C, **sizes, **counted})
    return pd.DataFrame(lines)


OVERVIEW = {
    "network": "network", "method": "method", "C": "C", "D": "disc", "L1 alone": "l1_steps",
    "stage 2": "n2", "stage 2, D": "d2", "stage 3 or all": "n3",
    "with perceptual term": "perceptual_steps",
}  # fmt: skip


def columns(units: Sequence[Unit], network: str, distance: str) -> dict[str, str]:
    """Published columns and what stands beside them: our three factors for 64x, 32x and 16x."""
    shown = next(unit.config["shown"] for unit in units if unit.config["network"] == network)
    printed = (64, 32, 16) if network == "GCFSR" else (4,)
    return {
        f"{part}{theirs}": f"{distance} {part} {ours}x"
        for part in ("val", "test")
        for theirs, ours in zip(printed, shown, strict=True)
    }


def likeness_table(frame: pd.DataFrame, network: str, distance: str) -> pd.DataFrame:
    """What stands beside the distance: likeness to truth and teacher on test images, and steps.

    One line a method and C: means over factors and seeds, the spread of the distance.
    """
    mine = frame.loc[(frame["network"] == network) & (frame["method"] != "speed")]
    likenesses = [f"{name}{to} test mean" for to in ("", " to teacher")
                  for name in ("PSNR", "SSIM", "distance")]  # fmt: skip
    wanted = [f"{distance} test mean", *likenesses, "perceptual steps"]
    by = ["method", "width"]
    groups = mine.loc[mine["metric"].isin(wanted)].groupby([*by, "metric"], sort=False)["value"]
    table = groups.mean().unstack().reindex(columns=wanted)
    spread = groups.std().unstack()[f"{distance} test mean"]
    table.insert(1, "std", spread)
    table["seeds"] = mine.drop_duplicates("unit_key").groupby(by)["seed"].count()
    return table.rename(columns=lambda name: name.removesuffix(" test mean")).reset_index()


def speed_table(frame: pd.DataFrame, units: Sequence[Unit], root: Path) -> pd.DataFrame:
    """Table 3: published speed-ups beside the multiply-adds that are saved, and how we timed ours.

    What we timed is among the costs, for no two runs have the same.
    """
    paper = tables.published(sr.PAPER, 3).melt("C", var_name="network", value_name="published")
    paper["network"] = paper["network"].replace({"gcfsr": "GCFSR", "realesrgan": "RealESRGAN"})
    mine = frame.loc[frame["method"] == "speed"].rename(columns={"width": "C"})
    wide = mine.pivot_table(index=["network", "C"], columns="metric", values="value").reset_index()
    table = paper.merge(wide, on=["network", "C"], how="left")
    full = table.loc[table["C"] == "1"].set_index("network")["multiply-adds"]
    table["multiply-adds saved"] = table["network"].map(full) / table["multiply-adds"]
    for unit in find_units(units, method="speed"):
        mine = table["network"] == unit.config["network"]
        table.loc[mine, "input, pixels"] = unit.config["input"]
        table.loc[mine, "passes"] = unit.config["steps"]
        table.loc[mine, "device"] = unit.manifest(root)["device"]
        table.loc[mine, "threads"] = 1
    return table


def speedup_rows(table: pd.DataFrame, costs: pd.DataFrame) -> pd.DataFrame:
    """``speed_table`` and what we timed as ``figures.speedups`` draws them."""
    ours = costs.loc[costs["quantity"] == "speed-up", ["network", "width", "value"]]
    ours = ours.rename(columns={"width": "C", "value": "ours"})
    devices = table["device"].dropna().unique()
    timed = " and ".join("one CPU core" if d.startswith("cpu") else d for d in devices)
    names = {"ours": f"time, {timed}", "multiply-adds saved": "multiply-adds"}
    names["published"] = "published"
    table = table.merge(ours, on=["network", "C"], how="left")
    long = table.melt(["network", "C"], list(names), var_name="source", value_name="speedup")
    return long.assign(source=long["source"].replace(names))


# What judges in figures 2 and 3, by the method that trained it.
CRITICS = {
    "Ablation3": "teacher's D (ablation 3)",
    "SDAKD": "student's D (SDAKD)",
    "DCD_modified": "DCD modified",
}


def probabilities_of(units: Sequence[Unit], root: Path) -> tuple[dict[str, Tensor], pd.DataFrame]:
    """Discriminators on 100 training images: the probability of real that they give, and AUC.

    Figures 2 and 3 draw both; the latter tell a balanced D from one that has learnt nothing.
    """
    by_method, lines = {}, []

    def both(unit: Unit) -> tuple[Tensor, Tensor]:
        D = discriminator_of(unit, root)
        return probabilities(Run(unit, root), generator_of(unit, root), D)

    for unit in units:
        c = unit.config
        fake, real = compute_once(unit, root, "probabilities", lambda unit=unit: both(unit))
        known = metrics.auc(real, fake)
        by_method[f"{CRITICS.get(c['method'], c['method'])}\nAUC {known:.2f}"] = fake
        lines.append(
            {"network": c["network"], "method": c["method"], "D": c["disc"], "images": len(fake)}
            | {"D(student)": fake.mean().item(), "spread": fake.std().item()}
            | {"D(truth)": real.mean().item(), "AUC": known}
        )
    table = pd.DataFrame(lines)
    first, *others = by_method.values()
    table["KS to the first"] = [0.0, *(metrics.ks_distance(first, other) for other in others)]
    return by_method, table


Shown = tuple[dict[str, Tensor], list[tuple[int, int, int]], dict[str, list[str]]]
"""Images by column, a zoom a row (top, left, size), captions: a ``figures.comparison``."""


def draw_once(
    unit: Unit, root: Path, name: str, draw: Callable[[], dict[str, Tensor]], given: Any
) -> dict[str, Tensor]:
    """Images by label, stored in 8 bits by ``compute_once``."""

    def pixels() -> dict[str, Tensor]:
        return {label: data.to_uint8(images) for label, images in draw().items()}

    shown = compute_once(unit, root, name, pixels, given)
    return {label: data.to_float(images) for label, images in shown.items()}


def inputs(units: Sequence[Unit], root: Path, network: str, n: int = 7) -> dict[str, Tensor]:
    """Test images of a network, what it is given of them at each factor, and the teacher's."""
    unit = pick(units, network=network, method="SDAKD", C="1/4")

    def found() -> dict[str, Tensor]:
        examples = sr.examples(Run(unit, root), "test")
        shown = {"photo": next(iter(examples.values())).truth[:n]}
        for label, e in examples.items():
            shown[f"input, {label}"] = e.cond[:n, :3]
            shown[f"teacher, {label}"] = e.teacher[:n]
        return shown

    return draw_once(unit, root, "inputs", found, n)


def figure4(units: Sequence[Unit], root: Path, network: str, rows: int = 3) -> Shown:
    """Test images of most contrast, middle factor: input, truth, teacher, three sizes of SDAKD."""
    students = {C: pick(units, network=network, method="SDAKD", C=C) for C in SIZES}

    def found() -> dict[str, Tensor]:
        examples = sr.examples(Run(students["1/4"], root), "test")
        label = list(examples)[len(examples) // 2]
        cond, truth = examples[label].cond, examples[label].truth
        by_detail = truth.diff(dim=-1).abs().mean((1, 2, 3)).argsort()
        at = by_detail[torch.linspace(0.5, 0.95, rows).mul(len(truth) - 1).long()]
        shown = {f"input, {label}": cond[at, :3], "truth": truth[at]}
        shown["teacher"] = examples[label].teacher[at]
        for C, unit in students.items():
            shown[f"SDAKD\nC = {C}"] = images_of(generator_of(unit, root), cond[at])
        return shown

    shown = draw_once(students["1/4"], root, "test-images", found, rows)
    best = shown["truth"].flatten(1).std(1).argsort(descending=True)[:SEEN].sort().values
    shown = {label: images[best] for label, images in shown.items()}
    truth, side = shown["truth"], shown["truth"].shape[-1]
    zooms = [(*_busiest(image, side // 3), side // 3) for image in truth]
    return shown, zooms if side >= LARGE else [], captions(shown, truth)


def enlarged_photo(
    units: Sequence[Unit], root: Path, pieces: sr.Pieces, most: tuple[int, int] = (192, 256)
) -> Shown:
    """The middle of a photo's test part, reduced plainly and degraded, enlarged by four networks.

    "china" of the embedded photos, else the first photo with a test part.
    """
    student, naive = (
        pick(units, network="RealESRGAN", method=m, C="1/4") for m in ("SDAKD", "naive (C,C)")
    )
    plainly = pick(units, network=sr.PLAIN, method="SDAKD", C="1/4")

    def found() -> dict[str, Tensor]:
        parts = {e["photo"]: e for e in pieces.manifest if e["part"] == "test"}
        entry = parts.get("china", next(iter(parts.values())))
        (image,) = data.cut_photos(pieces.photos, [entry], "test")
        height, width = (min(a, b) // 16 * 16 for a, b in zip(image.shape[1:], most, strict=True))
        top, left = (image.shape[1] - height) // 2, (image.shape[2] - width) // 2
        truth = data.to_float(image[None, :, top : top + height, left : left + width])
        draws = torch.Generator().manual_seed(0)
        plain = degrade.bicubic(truth, height // 4, width // 4).clamp(-1, 1)
        side = min(height, width) // 4 * 4
        cond = torch.cat([plain, degrade.degrade(truth, draws, degrade.sized(side, side))])
        shown = {"input, 4x": cond, "truth": truth.expand(2, -1, -1, -1)}
        nets = {
            "released teacher": sr.load_released("cpu"),
            "SDAKD, C = 1/4": generator_of(student, root),
            "naive (C,C), C = 1/4": generator_of(naive, root),
            "SDAKD, plain inputs": generator_of(plainly, root),
        }
        for name, G in nets.items():
            shown[f"{name}\n{metrics.params(G) / 1e6:.2f} M"] = images_of(G, cond)
        return shown

    shown = draw_once(student, root, "photo", found, (most, plainly.key))
    shown = {k.replace("inputs\n", "inputs\nC = 1/4, "): images for k, images in shown.items()}
    truth = shown["truth"]
    size = min(truth.shape[-2:]) // 3
    zoom = (*_busiest(truth[0], size), size)
    notes = captions(shown, truth)
    given = zip(("reduced plainly", "degraded"), notes["input, 4x"], strict=True)
    notes["input, 4x"] = [f"{how}\n{psnr}" for how, psnr in given]
    return shown, [zoom, zoom], notes


def generator_of(unit: Unit, root: Path) -> nn.Module:
    """The frozen generator of a finished unit."""
    if is_released(unit.config):
        return sr.load_released("cpu")
    return frozen(
        load_network(sr.generator(unit.config, unit.config["C"]), unit.weights(root), "G")
    )


def discriminator_of(unit: Unit, root: Path) -> nn.Module:
    """The frozen discriminator of a finished unit."""
    D = sr.discriminator(unit.config, unit.config["disc"])
    return frozen(load_network(D, unit.weights(root), "D"))


def _busiest(image: Tensor, size: int) -> tuple[int, int]:
    """Top and left of the square of an image (3, H, W) with the most detail."""
    detail = image.diff(dim=-1).abs().mean(0)[:-1] + image.diff(dim=-2).abs().mean(0)[:, :-1]
    sums = F.avg_pool2d(detail[None], size - 1, stride=max(1, size // 8))[0]
    row, column = divmod(int(sums.argmax()), sums.shape[1])
    return row * max(1, size // 8), column * max(1, size // 8)


def captions(shown: Mapping[str, Tensor], truth: Tensor) -> dict[str, list[str]]:
    """PSNR to the truth under every image but itself; of inputs that are smaller, enlarged."""
    found = {}
    for name, images in shown.items():
        if not name.startswith("truth"):
            what = "PSNR" if images.shape == truth.shape else "bicubic"
            values = metrics.psnr(sr.enlarge(images, truth), truth).tolist()
            found[name] = [f"{what} {value:.1f} dB" for value in values]
    return found
