"""Paper B: what is measured of a unit, and what the paper claims."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from ganzip import assets, degrade, features, metrics, tables
from ganzip.features import Features
from ganzip.papers import super_resolution as sr
from ganzip.runs import Run
from ganzip.tables import Claim, Verdict
from ganzip.train import Player, step_seed

TABLE = {"GCFSR": "table1", "RealESRGAN": "table2"}
SHOWN = 100  # training images whose probabilities figures 2 and 3 show


@lru_cache(maxsize=2)
def eye_of(kind: str, side: int, device: str) -> Features:
    """What measures: Inception where its weights are, else EfficientNet-Lite2."""
    if kind == "inception":
        return features.inception(assets.require("inception"), device=device)
    return features.efficientnet_lite(2, size=min(side, 128), device=device)


def eye(run: Run) -> Features:
    """The features that measure a unit."""
    c = run.config
    return eye_of("inception" if c["inception"] else "lite", c["square"], str(run.device))


def selection(run: Run) -> Callable[[nn.Module], dict[str, float]]:
    """The function from a generator to its validation score by factor: FID, or KID in 1e-3."""
    see, held = eye(run), sr.examples(run, "validation")
    truth = features.embed(see, next(iter(held.values())).truth, 64)

    def scores(G: nn.Module) -> dict[str, float]:
        seen = {k: features.embed(see, sr.answers(G, e.cond), 64) for k, e in held.items()}
        if run.config["inception"]:
            return {f"FID {k}": metrics.frechet_distance(x, truth) for k, x in seen.items()}
        return {f"KID {k}": 1000 * metrics.kernel_distance(x, truth)[0] for k, x in seen.items()}

    return scores


def measured(run: Run, G: nn.Module) -> list[dict[str, Any]]:
    """Rows about a generator's held-out images, by split and factor: to the truth, to the teacher.

    The teacher's unit also has the rows of its inputs, enlarged: what costs nothing.
    """
    c, see = run.config, eye(run)
    near = features.lite_maps(2, size=c["square"], device=str(run.device)).extract
    out: list[dict[str, Any]] = []
    for part, short in (("validation", "val"), ("test", "test")):
        for label, e in sr.examples(run, part).items():
            sets = {c["method"]: sr.answers(G, e.cond)}
            if c["method"] == "teacher":
                sets["input"] = sr.enlarged_input(e.cond, c)
            truth = features.embed(see, e.truth, 64)
            teacher = features.embed(see, e.teacher, 64)
            for method, images in sets.items():
                seen = features.embed(see, images, 64)
                kernel = 1000 * metrics.kernel_distance(seen, truth)[0]
                to_teacher = 1000 * metrics.kernel_distance(seen, teacher)[0]
                frechet = metrics.frechet_distance(seen, truth)
                near_truth = metrics.perceptual_distance(near, images, e.truth).mean().item()
                near_teacher = metrics.perceptual_distance(near, images, e.teacher).mean().item()
                found = {
                    "FID" if c["inception"] else f"FD-{see.name}": (frechet, ""),
                    f"KID-{see.name}": (kernel, "1e-3"),
                    f"KID-{see.name} to teacher": (to_teacher, "1e-3"),
                    "PSNR": (metrics.psnr(images, e.truth).mean().item(), "dB"),
                    "SSIM": (metrics.ssim(images, e.truth).mean().item(), ""),
                    "PSNR to teacher": (metrics.psnr(images, e.teacher).mean().item(), "dB"),
                    "distance": (near_truth, ""),
                    "distance to teacher": (near_teacher, ""),
                }
                if method == "teacher":  # its distances to itself say nothing
                    found = {k: v for k, v in found.items() if not k.endswith("to teacher")}
                out += [
                    row(run, f"{metric} {short} {label}", value, unit, len(images), see.name)
                    | {"method": method}
                    for metric, (value, unit) in found.items()
                ]
    return out + means_over_factors(out)


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


def judged_rows(run: Run, G: nn.Module, D: nn.Module) -> list[dict[str, Any]]:
    """What D says of training images: P(real) of the generator's and of true ones, and its AUC."""
    fake, real = (p.double() for p in probabilities(run, G, D))
    n = len(fake)
    return [
        row(run, "P(fake)", fake.mean().item(), "", n),
        row(run, "P(fake) spread", fake.std().item(), "", n),
        row(run, "P(real)", real.mean().item(), "", n),
        row(run, "AUC", metrics.auc(real, fake), "", n),
    ]


def probabilities(run: Run, G: nn.Module, D: nn.Module) -> tuple[Tensor, Tensor]:
    """D's probability of "real", an image's mean over pixels, for G's images and the true ones.

    Of ``SHOWN`` training images, as figures 2 and 3 of the paper show; GCFSR's factors are drawn
    from the training list with a fixed seed.
    """
    c = run.config
    real = sr.floats(run, "high", "train", stop=SHOWN)
    if c["network"] == "GCFSR":
        draws = torch.Generator().manual_seed(0)
        cond = sr.conditioned(real, degrade.draw_factors(len(real), draws, c["factors"]), c)
    elif c["stored"]:
        cond = sr.floats(run, "low", "train", stop=SHOWN)
    else:
        draws = torch.Generator().manual_seed(0)
        cond = torch.cat([degrade.degrade(x, draws, sr.degradation(c)) for x in real.split(1)])
    fake = sr.answers(G, cond)

    def said(images: Tensor) -> Tensor:
        parts = [D(x.to(run.device)).sigmoid().cpu() for x in images.split(16)]
        return torch.cat(parts).view(len(images), -1).mean(1)

    with features.evaluating(D):
        return said(fake), said(real)


def balance_rows(run: Run, players: Sequence[Player], seen: sr.Seen, steps: int = 5) -> list[dict]:
    """The three terms of eq. (3) at the start of stage 3, and the lambda2 that balances them.

    The paper chose lambda2 = 0.1 so that they are about equal: lambda2* = (L_sup + lambda1 L_MLP) /
    (2 L_adv).
    """
    c = run.config
    (player,) = [p for p in players if p.name == "G"]
    sums: dict[str, float] = {}
    for step in range(steps):
        torch.manual_seed(step_seed(c["seed"], step))
        for name, term in player.terms(seen.batch(step)).items():
            sums[name] = sums.get(name, 0.0) + term.item() / steps
    supervised = sums["l1"] + sums["perceptual"]
    adversarial = sums["adversarial"] / c["lambda2"]
    balanced = (supervised + sums["features"]) / (2 * adversarial)
    found = {"L_sup": supervised, "L_MLP": sums["features"], "L_adv": adversarial}
    return [
        *(row(run, f"{name} at the start of stage 3", value) for name, value in found.items()),
        row(run, "balancing lambda2", balanced),
    ]


def speed_rows(run: Run) -> list[dict[str, Any]]:
    """Table 3: the median time of 50 forward passes of each generator of the paper, interleaved.

    Random weights, a single image, single precision, after two passes to warm up; CPU seconds of
    one thread, or the time that a GPU takes.
    """
    c = run.config
    nets = {C: sr.generator(c, C).eval().to(run.device) for C in c["sizes"]}
    cond = torch.rand(1, 4 if c["network"] == "GCFSR" else 3, *[c["input"]] * 2).to(run.device)
    on_gpu = run.device.type == "cuda"
    taken: dict[str, list[float]] = {C: [] for C in nets}
    with torch.no_grad():
        for i in range(2 + c["steps"]):
            for C, G in nets.items():
                start = _now(on_gpu)
                G(cond)
                taken[C] += [_now(on_gpu) - start][: i >= 2]
    median = {C: float(np.median(times)) for C, times in taken.items()}
    out = []
    for C, G in nets.items():
        found = {
            "time": (1000 * median[C], "ms"),
            "speed-up": (median["1"] / median[C], "times"),
            "multiply-adds": (metrics.macs(G, cond), "an image"),
            "parameters": (metrics.params(G), ""),
        }
        out += [row(run, name, v, unit) | {"width": C} for name, (v, unit) in found.items()]
    return out


def _now(on_gpu: bool) -> float:
    if on_gpu:
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def row(
    run: Run, metric: str, value: float, unit: str = "", n_images: int = 0, features: str = ""
) -> dict[str, Any]:
    """One measured number of the unit, in the columns of ``tables.ROW``."""
    c = run.config
    table = "table3" if c["method"] == "speed" else TABLE[c["network"]]
    return {
        "paper": sr.PAPER,
        "table": table,
        "method": c["method"],
        "network": c["network"],
        "dataset": c["data"],
        "width": c.get("C", ""),
        "metric": metric,
        "value": value,
        "unit": unit,
        "preset": c["preset"],
        "steps": c["steps"] - c["d2"],
        "n_images": n_images,
        "features": features,
        "seed": c["seed"],
    }


# Claims -------------------------------------------------------------------------------------------


def claims(frame: pd.DataFrame, distance: str) -> list[Claim]:
    """The paper's claims with verdicts from the rows, by ``distance`` to the truth of test images.

    The mean over factors decides, as in the paper's selection. After the paper's claims stand
    those that its tables lack: the same schedule with the ground truth in the teacher's place.
    """
    found: list[Claim] = []
    for network, table in TABLE.items():
        mine = frame.loc[(frame["network"] == network) & (frame["method"] != "speed")]
        if len(mine):
            found += comparisons(mine, network, int(table[-1]), f"{distance} test mean")
    ablated = frame.loc[frame["network"] == "GCFSR"]
    if "Ablation1" in set(ablated["method"]):
        found += ablation_claims(ablated, f"{distance} test mean")
    for network in frame["network"].unique():
        mine = frame.loc[frame["network"] == network]
        if "Ablation3" in set(mine["method"]):
            found += balance_claims(mine, network)
    timed = frame.loc[(frame["method"] == "speed") & (frame["metric"] == "speed-up")]
    return found + [speed_claim(timed, network) for network in timed["network"].unique()]


def comparisons(frame: pd.DataFrame, network: str, table: int, metric: str) -> list[Claim]:
    """Claims of table 1 or 2, each that one method is better than another."""
    paper = tables.published(sr.PAPER, table)
    tests = [column for column in paper.columns if column.startswith("test")]
    printed = {
        (_method(row), row["gen_C"]): float(np.mean([row[t] for t in tests]))
        for row in paper.to_dict("records")
    }

    def of(method: str, C: str) -> list[float]:
        return tables.values(frame, method=method, width=C, metric=metric)

    def better(a: str, b: str, C: str) -> Claim:
        said = [printed[method, C] for method in (a, b) if (method, C) in printed]
        published = f"FID {said[0]:.2f} against {said[1]:.2f}" if len(said) == 2 else "no row"
        text = f"{network}, C = {C}: {a} is better than {b}"
        return tables.ordering(
            text, published, better=of(a, C), worse=of(b, C), higher_is_better=False
        )

    online = ("OMGD", "DCD")
    if table == 1:  # they fall behind the naive networks, DCD modified less so
        pairs = [("naive (C,1)", name) for name in (*online, "DCD_modified")]
        pairs += [("DCD_modified", "DCD")]
    else:
        pairs = [(name, "naive (C,1)") for name in online] + [("DCD", "DCD_modified")]
    sizes = [C for C in ("1/2", "1/4", "1/8") if of("SDAKD", C)]
    found = [
        better(a, b, C)
        for C in sizes
        for a, b in (
            ("SDAKD", "naive (C,C)"),
            ("SDAKD", "naive (C,1)"),
            ("naive (C,C)", "naive (C,1)"),
        )
    ]
    found += [better(a, b, "1/2") for a, b in pairs]
    return found + [better("SDAKD", sr.CONTROL, C) for C in sizes if of(sr.CONTROL, C)]


def ablation_claims(frame: pd.DataFrame, metric: str) -> list[Claim]:
    """Claims of table 4: each part adds, the student discriminator the most."""
    paper = tables.published(sr.PAPER, 4)
    means = dict(zip(paper["variant"], paper.filter(like="test").mean(axis=1), strict=True))
    chain = ("Ablation1", "Ablation2", "Ablation3", "SDAKD")
    parts = ("stage 2", "the feature map", "the student discriminator")
    ours = {m: tables.values(frame, method=m, width="1/4", metric=metric) for m in chain}
    printed = {method: means[method] for method in chain}
    found = [
        tables.ordering(
            f"GCFSR, C = 1/4: {part} adds",
            f"FID {printed[after]:.2f} against {printed[before]:.2f}",
            better=ours[after],
            worse=ours[before],
            higher_is_better=False,
        )
        for part, (before, after) in zip(parts, pairwise(chain), strict=True)
    ]
    gains = [
        [a - b for a, b in zip(ours[before], ours[after], strict=True)]
        for before, after in pairwise(chain)
    ]
    said = [printed[before] - printed[after] for before, after in pairwise(chain)]
    most = tables.ordering(
        "GCFSR, C = 1/4: the student discriminator adds more than the feature map",
        f"FID {said[2]:.2f} against {said[1]:.2f}",
        better=gains[2],
        worse=gains[1],
        higher_is_better=True,
    )
    return [*found, most]


def balance_claims(frame: pd.DataFrame, network: str) -> list[Claim]:
    """Claims of figure 3: where the discriminators' probabilities for generated images lie."""

    def of(method: str, metric: str) -> list[float]:
        return tables.values(frame, method=method, width="1/4", metric=metric)

    apart = [[abs(p - 0.5) for p in of(m, "P(fake)")] for m in ("SDAKD", "Ablation3")]
    nearer = tables.ordering(
        f"{network}, C = 1/4: P(fake) is nearer to 0.5 under the student discriminator than under "
        "the teacher's",
        "figure 3",
        better=apart[0],
        worse=apart[1],
        higher_is_better=False,
    )
    probability, known = of("Ablation3", "P(fake)"), of("Ablation3", "AUC")
    shown: Verdict = "does not hold" if min(probability) > 0.25 else "holds"
    if min(probability) <= 0.25 < max(probability):
        shown = "cannot be told at this scale"
    near_zero = Claim(
        f"{network}, C = 1/4: P(fake) under the teacher's discriminator is near 0 (below 0.25)",
        "figure 3",
        f"{tables.spread(probability)}, AUC {tables.spread(known)}",
        shown,
    )
    knows = tables.spread(of("SDAKD", "AUC"))
    return [
        dataclasses.replace(nearer, ours=f"{nearer.ours}; AUC of the student's {knows}"),
        near_zero,
    ]


def speed_claim(timed: pd.DataFrame, network: str) -> Claim:
    """Table 3: each halving of C gains less than the one before. One measurement, no spread."""
    rows = timed.loc[timed["network"] == network]
    paper = tables.published(sr.PAPER, 3)
    mine = dict(zip(rows["width"], rows["value"], strict=True))
    printed = dict(zip(paper["C"], paper[network.lower()], strict=True))
    sizes = ["1", "1/2", "1/4", "1/8"]
    gains = [[x[b] / x[a] for a, b in pairwise(sizes)] for x in (mine, printed)]
    falling = all(a > b for a, b in pairwise(gains[0]))
    said = [" ".join(f"{x[size]:.2f}" for size in sizes) for x in (printed, mine)]
    return Claim(
        f"{network}: each halving of C speeds up less than the one before",
        f"speed-ups {said[0]}",
        f"{said[1]}",
        "holds" if falling else "does not hold",
    )


def _method(row: Mapping[Any, Any]) -> str:
    """What we call a published row."""
    if row["method"].endswith("naive"):
        return "naive (C,1)" if row["disc_C"] == "1" else "naive (C,C)"
    return "teacher" if row["gen_C"] == "1" else row["method"]
