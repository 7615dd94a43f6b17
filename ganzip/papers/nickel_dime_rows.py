"""Paper C: what is measured of a unit, what figure 3 draws, and what the paper claims."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, cast

import pandas as pd
import torch
from torch import Tensor, nn

from ganzip import data
from ganzip.measure import cost, judging
from ganzip.measure.images import draw, logits_of, score_numbers
from ganzip.measure.rows import Number
from ganzip.methods import gan
from ganzip.methods.gan import Network
from ganzip.nets import stylegan2
from ganzip.nets.stylegan2 import Generator
from ganzip.presets import COMPARED, WITHOUT
from ganzip.report import tables
from ganzip.report.claims import Claim, claim_less, claim_more
from ganzip.units import Run, Unit, compute_once, find_units, read_history

PAPER = "nickel_dime"
SCRATCH = "from scratch"
OURS = "NICKEL & DiME"
RIVALS = COMPARED[:5]  # the five baselines
LEARNERS = (*COMPARED, "fine-tune")  # methods whose students figures show
LAST = 3  # evaluations whose mean is reported: one alone is noise where students oscillate
TRACE_IMAGES = 256  # images whose logits are followed over training
FIGURE_3 = (0.7, 0.9)  # the rates whose logits figure 3 shows

# Rows ---------------------------------------------------------------------------------------------


def labels(unit: Unit) -> dict[str, Any]:
    """What rows of a unit say of it."""
    c = unit.config
    return {
        "table": "figure4",
        "method": "real" if c["method"] == "judge" else c["method"],
        "network": "StyleGAN2",
        "width": width(c["p"]) if "p" in c else "",
    }


def width(p: float) -> float:
    """The share of channels that is left, which is a row's width."""
    return round(1 - p, 6)


def watcher(
    run: Run, average: nn.Module, G: nn.Module, critics: Mapping[str, Network]
) -> Callable[[], dict[str, float]]:
    """The evaluation of a generator in training: the average's scores, and mean logits of G."""
    judge, c = judging.judge_of(run), run.config
    mixed = gan.mixer(G, c["mixing"])

    def validate() -> dict[str, float]:
        fakes = draw(run, G, min(TRACE_IMAGES, c["n_images"]), mixed)
        means = {f"fake logit of {k}": batched_logits(run, D, fakes) for k, D in critics.items()}
        return judging.scores(judge, draw(run, average, c["n_images"])) | {
            name: logits.mean().item() for name, logits in means.items()
        }

    return validate


def batched_logits(run: Run, D: Network, images: Tensor) -> Tensor:
    """D's logits, in batches of training's size: its minibatch deviation looks at a whole one."""
    whole = images[: len(images) - len(images) % run.config["group"]]
    return logits_of(D, whole, run.config["batch"], run.device)


def last_logits(run: Run, G: nn.Module, critics: Mapping[str, Network]) -> dict[str, Tensor]:
    """Logits at the end, under "D fake", "D real", ...: of G's images and of training ones.

    G is the network in training, with mixed styles as there, not its average.
    """
    c = run.config
    pixels = judging.load_images(run).pixels
    some = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))[: c["n_images"]]
    fakes = draw(run, G, c["n_images"], gan.mixer(G, c["mixing"]))
    sets = {"fake": fakes, "real": data.to_float(pixels[some])}
    return {
        f"{name} {kind}": batched_logits(run, D, images)
        for name, D in critics.items()
        for kind, images in sets.items()
    }


def generator_numbers(run: Run, G: nn.Module, logits: Mapping[str, Tensor]) -> list[Number]:
    """Of a trained generator: mean of the last evaluations, the last, the best; logits; sizes."""
    found, series = list[Number](), dict[str, list[float]]()
    for _, player, term, value in run.history:
        if player == "validation" and "logit" not in term:
            series.setdefault(term, []).append(value)
    for metric, values in series.items():
        best = max if tables.higher_is_better(metric) else min
        mean = sum(values[-LAST:]) / len(values[-LAST:])
        three = {metric: mean, f"{metric} last": values[-1], f"{metric} best": best(values)}
        found += score_numbers(three, run.config["n_images"])
    for name, x in logits.items():
        D, kind = name.split()
        found.append(Number(f"{kind} logit of {D}", x.double().mean().item(), "", len(x)))
    return [*found, *sizes(run, G)]


def sizes(run: Run, G: nn.Module) -> list[Number]:
    """Parameters, multiply-adds by convention A, and the share of those that pruning saves."""
    adds = stylegan2.macs_a(cast(Generator, G))
    c, shape = run.config, {name: run.config[name] for name in ("latent", "layers")}
    with torch.device("meta"):
        full = stylegan2.macs_a(Generator(c["size"], **c["net"], **shape))
    saved = Number("compression rate", 100 * (1 - adds / full), "%")
    return [*cost.sizes(G, torch.empty(0), adds), saved]


# Figure 3 -----------------------------------------------------------------------------------------


def convergence(units: Sequence[Unit], root: Path) -> pd.DataFrame:
    """The evaluations of finished units."""
    parts = [evaluations(read_history(unit, root), unit.config) for unit in units]
    return pd.concat(parts, ignore_index=True)


def evaluations(history: pd.DataFrame, config: Mapping[str, Any]) -> pd.DataFrame:
    """Those of a unit over its training: columns step, metric, value, method, p, seed."""
    frame = history.loc[history["player"] == "validation"].rename(columns={"term": "metric"})
    named = {name: config[name] for name in ("method", "p", "seed")}
    return frame.drop(columns="player").assign(**named)


def figure3(
    units: Sequence[Unit], root: Path, method: str, panels: Mapping[str, str]
) -> tuple[dict[str, dict[str, Tensor]], pd.DataFrame]:
    """What figures 3a and 3b draw of a method: logits at the end, and their means over training.

    ``panels`` maps discriminators, "D" or "D_T", to titles. Sets of logits by title, labelled
    "generated p = 0.9", "real p = 0.9", ...; traces with columns panel, label, step, value, seed.
    """
    sets: dict[str, dict[str, Tensor]] = {title: {} for title in panels.values()}
    traces = []
    for p in FIGURE_3:
        (unit,) = find_units(units, method=method, p=p, seed=0)
        logits = logits_at_end(unit, root)
        course = convergence([unit], root)
        for D, title in panels.items():
            sets[title][f"generated p = {p:g}"] = logits[f"{D} fake"]
            sets[title][f"real p = {p:g}"] = logits[f"{D} real"]
            trace = course.loc[course["metric"] == f"fake logit of {D}", ["step", "value", "seed"]]
            traces.append(trace.assign(panel=title, label=f"generated p = {p:g}"))
    return sets, pd.concat(traces, ignore_index=True)


def logits_at_end(unit: Unit, root: Path) -> dict[str, Tensor]:
    """The logits that a finished unit stored, by discriminator and "real" or "fake"."""

    def found() -> dict[str, Tensor]:
        tensors, front = unit.weights(root), "logits."
        return {k.removeprefix(front): x for k, x in tensors.items() if k.startswith(front)}

    return compute_once(unit, root, "figure3", found)


# Claims -------------------------------------------------------------------------------------------


def claims(frame: pd.DataFrame, distance: str, recall: str) -> list[Claim]:
    """The paper's claims with verdicts from the rows, by ``distance``; then those it lacks.

    All are about NICKEL & DiME: there is none without its rows.
    """
    paper = tables.nickel_dime_published([OURS]).dropna(subset="published_fid")
    fids = dict(zip(paper["p"], paper["published_fid"], strict=True))
    frame = frame.loc[frame["width"] != ""]
    frame = frame.assign(p=(1 - frame["width"].astype(float)).round(6))

    def of(method: str, p: float, metric: str = distance) -> pd.Series:
        return tables.values(frame, method=method, p=p, metric=metric)

    def better(a: str, b: str, p: float, published: str) -> Claim:
        text = f"p = {p:g}: {a} is better than {b}, by {distance}"
        return claim_less(text, published, of(a, p), of(b, p))

    ours = (frame["method"] == OURS) & (frame["metric"] == distance)
    rates = sorted(frame.loc[ours, "p"].unique().tolist())
    if not rates:
        return []
    mild, hard = rates[0], rates[-1]
    found: list[Claim] = []
    for p in rates:
        published = "figure 4" + (f"; {OURS} has an FID of {fids[p]:g}" if p in fids else "")
        found += [better(OURS, rival, p, published) for rival in RIVALS if len(of(rival, p))]
    for rival in RIVALS if mild < hard else ():
        if not (len(of(rival, mild)) and len(of(rival, hard))):
            continue
        gaps = [(of(rival, p) - of(OURS, p)).dropna() for p in (hard, mild)]
        text = f"The gap to {rival} is wider at p = {hard:g} than at p = {mild:g}"
        found.append(claim_more(f"{text}, by {distance}", "figure 4", *gaps))
        rise = [(of(m, hard) / of(m, mild)).dropna() for m in (rival, OURS)]
        text = f"{rival} collapses: its {distance} grows by a larger factor from p = {mild:g} to"
        found.append(claim_more(f"{text} {hard:g} than that of {OURS}", "figure 4", *rise))
    found += _about_logits(of)
    for rival in (r for r in RIVALS if len(of(r, hard))):
        text = f"p = {hard:g}: {OURS} keeps more recall than {rival}"
        found.append(claim_more(text, "figure 4", of(OURS, hard, recall), of(rival, hard, recall)))
    if len(of("teacher", 0.0)) and mild == 0.5:  # what the mildest rate costs
        table = tables.published(PAPER, "known")
        (percent,) = table.loc[table["quantity"].str.startswith("FID increase"), "value"]
        rise = 100 * (of(OURS, mild) / of("teacher", 0.0).iloc[0] - 1)
        text = f"p = {mild:g}: {OURS} loses at most {percent} % of the full model's distance"
        published = f"{percent} %, caption of figure 4"
        claim = claim_less(text, published, rise, [float(percent)] * len(rise))
        found.append(dataclasses.replace(claim, ours=f"{tables.spread(rise)} more, in percent"))
    here = set(frame.loc[frame["p"] == hard, "method"])
    found += [better(a, b, hard, "ablation") for a, b in _parts(here)]
    controls = ("fine-tune", SCRATCH)
    return found + [better(OURS, c, p, "no row") for p in rates for c in controls if len(of(c, p))]


def _about_logits(of: Callable[..., pd.Series]) -> list[Claim]:
    """Figure 3: how far from 0, where D cannot tell, the logits of generated images lie."""
    low, high = FIGURE_3

    def apart(method: str, D: str) -> tuple[pd.Series, pd.Series]:
        """At the high rate and at the low one."""
        there, here = (of(method, p, f"fake logit of {D}").abs() for p in (high, low))
        return there, here

    itgc, both = apart("ITGC", "D"), {"D_S": apart(OURS, "D"), "D_T": apart(OURS, "D_T")}
    if not all(len(side) for two in (itgc, *both.values()) for side in two):
        return []
    drift = (itgc[0] - itgc[1]).dropna()
    text = f"ITGC: logits are farther from 0 at p = {high} than at {low}"
    out = [claim_more(text, "figure 3a", *itgc)]
    for D, (hard, easy) in both.items():
        text = f"{OURS}, {D}: logits drift less from p = {low} to {high} than those of ITGC"
        out.append(claim_less(text, "figure 3b", (hard - easy).dropna(), drift))
        text = f"{OURS}, {D}: logits are nearer to 0 at p = {high} than those of ITGC"
        out.append(claim_less(text, "figure 3b", hard, itgc[0]))
    return out


def _parts(methods: Set[str]) -> list[tuple[str, str]]:
    """What is to be better than what among the ablations that ran."""
    kernels = sorted(method for method in methods if method.startswith("DiME by"))
    alone = [name for name in [*kernels, "DiME"] if " + " not in name]
    together = [name for name in kernels if " + " in name]
    pairs = [(OURS, "DiME"), (OURS, "NICKEL"), (OURS, WITHOUT)]
    if {"DiME by dino-rn50", "DiME by clip-rn50"} <= methods:  # then DiME's own row has both
        pairs += [(both, "DiME") for both in together]
        pairs += [("DiME by dino-rn50", "DiME by clip-rn50")]
        pairs += [("DiME", "DiME by dino-rn50"), ("DiME", "DiME by clip-rn50")]
    else:
        pairs += [(both, one) for both in together for one in alone]
    pairs.append(("DiME", "DiME, batch targets"))
    return [(a, b) for a, b in pairs if {a, b} <= methods]
