"""Paper C: what is measured of a unit, and what the paper claims."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pandas as pd
import torch
from torch import Tensor, nn

from ganzip import data, features, metrics
from ganzip.data import Images
from ganzip.methods import gan
from ganzip.methods.gan import Network
from ganzip.nets import stylegan2
from ganzip.nets.stylegan2 import Generator
from ganzip.papers import judging
from ganzip.papers.judging import Judge
from ganzip.presets import COMPARED, WITHOUT
from ganzip.report import tables
from ganzip.report.claims import Claim, ordering
from ganzip.units import Run, Unit, compute_once, find_units, read_history

PAPER = "nickel_dime"
SCRATCH = "from scratch"
OURS = "NICKEL & DiME"
RIVALS = COMPARED[:5]  # the five baselines
LAST = 3  # evaluations whose mean is reported: one alone is noise where students oscillate
FIGURE_3 = (0.7, 0.9)  # the rates whose logits figure 3 shows
TRACED = 256  # images whose logits are followed over training

# Measuring ----------------------------------------------------------------------------------------


@contextmanager
def seeded(device: torch.device) -> Iterator[None]:
    """Inside the ``with`` block all noise is that of measuring; outside none is used up."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(judging.HELD_OUT)
        yield


def draw(run: Run, G: nn.Module, n: int, network: Network | None = None) -> Tensor:
    """n images of G in eval mode, the same noise for every G, rounded as saved ones are.

    ``network`` is a function of G that draws in its place: with style mixing, as in training.
    """
    parts = judging.noise(n, run.config["latent"]).split(250)
    with seeded(run.device), features.evaluating(G):
        images = torch.cat([(network or G)(z.to(run.device)).cpu() for z in parts])
    return data.to_float(data.to_uint8(images))


def scores(judge: Judge, images: Tensor) -> dict[str, float]:
    """Every metric of images, by its name, which ends in that of the features."""
    found: dict[str, float] = {}
    for name, eye in judge.eyes.items():
        seen, real = features.embed(eye, images), judge.real[name]
        precision, recall = metrics.precision_recall(real, seen)
        found |= judging.distances(name, seen, real)
        found |= {f"precision-{name}": precision, f"recall-{name}": recall}
    return found


def watcher(
    run: Run, average: nn.Module, G: nn.Module, shown: Mapping[str, Network]
) -> Callable[[], dict[str, float]]:
    """The evaluation of a generator in training: the average's scores, and what is said of G."""
    judge, c = judging.of(run), run.config
    drawn = gan.mixer(G, c["mixing"])

    def validate() -> dict[str, float]:
        fakes = draw(run, G, min(TRACED, c["n_images"]), drawn)
        said = {f"fake logit of {k}": logits(run, D, fakes).mean() for k, D in shown.items()}
        return scores(judge, draw(run, average, c["n_images"])) | {
            k: mean.item() for k, mean in said.items()
        }

    return validate


@torch.no_grad()
def logits(run: Run, D: Network, images: Tensor) -> Tensor:
    """D's logits, in batches of training's size: its minibatch deviation looks at a whole one."""
    c = run.config
    whole = images[: len(images) - len(images) % c["group"]]
    return torch.cat([D(part.to(run.device)).cpu() for part in whole.split(c["batch"])])


def logits_of(run: Run, G: nn.Module, shown: Mapping[str, Network]) -> dict[str, Tensor]:
    """Logits at the end, under "D fake", "D real", ...: of G's images and of training ones.

    G is the network in training, with mixed styles as there, not its average.
    """
    c = run.config
    pixels = judging.load_images(run).pixels
    some = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))[: c["n_images"]]
    fakes = draw(run, G, c["n_images"], gan.mixer(G, c["mixing"]))
    sets = {"fake": fakes, "real": data.to_float(pixels[some])}
    return {
        f"{name} {kind}": logits(run, D, images)
        for name, D in shown.items()
        for kind, images in sets.items()
    }


# Rows ---------------------------------------------------------------------------------------------


def generator_rows(run: Run, G: nn.Module, said: Mapping[str, Tensor]) -> list[dict[str, Any]]:
    """Rows of a trained generator: mean of the last evaluations, the last, the best; its size."""
    out, series = [], dict[str, list[float]]()
    for _, player, term, value in run.history:
        if player == "validation" and "logit" not in term:
            series.setdefault(term, []).append(value)
    for metric, values in series.items():
        best = max if tables.higher_is_better(metric) else min
        settled = sum(values[-LAST:]) / len(values[-LAST:])
        shown = {metric: settled, f"{metric} last": values[-1], f"{metric} best": best(values)}
        out += score_rows(run, shown, run.config["n_images"])
    out += [
        row(run, "{1} logit of {0}".format(*name.split()), x.double().mean().item(), "", len(x))
        for name, x in said.items()
    ]
    return [*out, *size_rows(run, G)]


def size_rows(run: Run, G: nn.Module) -> list[dict[str, Any]]:
    """Parameters, multiply-adds by convention A, and the share of those that pruning saves."""
    c = run.config
    with torch.device("meta"):
        net = {"latent": c["latent"], "layers": c["layers"]}
        full = stylegan2.macs_a(Generator(c["size"], **c["net"], **net))
    adds = stylegan2.macs_a(cast(Generator, G))
    return [
        row(run, "parameters", metrics.params(G)),
        row(run, "multiply-adds", adds),
        row(run, "compression rate", 100 * (1 - adds / full), "%"),
    ]


def score_rows(run: Run, found: Mapping[str, float], n: int) -> list[dict[str, Any]]:
    """Rows of scores of n images."""
    out = []
    for metric, value in found.items():
        name = metric.split()[0].partition("-")[2] or "inception"
        out.append(row(run, metric, value, judging.unit_of(metric), n, name))
    return out


def image_rows(run: Run, judge: Judge, images: Tensor) -> list[dict[str, Any]]:
    """Rows of images by every metric."""
    return score_rows(run, scores(judge, images), len(images))


def pruned_rows(run: Run, S: nn.Module, judge: Judge, name: str, p: float) -> list[dict[str, Any]]:
    """Rows of a student that has been pruned by the scores of that name and not trained."""
    images = draw(run, S, run.config["n_images"])
    found = [*image_rows(run, judge, images), *size_rows(run, S)]
    return [row | {"table": "pruning", "method": name, "width": kept(p)} for row in found]


def encoder_rows(run: Run, net: nn.Module, images: Images, test: Images) -> list[dict[str, Any]]:
    """What the encoder learnt without labels: how often the nearest training image has its own."""
    out = [row(run, "parameters", metrics.params(net))]
    if images.labels is not None and test.labels is not None:
        some = slice(0, judging.REFERENCE)
        eye = features.Features("contrastive", 128, lambda x: net(x.to(run.device)))
        known = features.embed(eye, data.to_float(images.pixels[some]))
        asked = features.embed(eye, data.to_float(test.pixels[some]))
        named = images.labels[some][torch.cdist(asked, known).argmin(1)]
        right = 100 * (named == test.labels[some]).double().mean().item()
        out.append(row(run, "accuracy of the nearest neighbour", right, "%", len(asked)))
    return out


def speed_rows(run: Run, nets: Mapping[float, nn.Module]) -> list[dict[str, Any]]:
    """Latency of a single image by rate: the median of interleaved passes."""
    z = judging.noise(1, run.config["latent"]).to(run.device)
    passes = {p: lambda G=G: G(z) for p, G in nets.items()}
    taken = metrics.latency(passes, run.config["steps"], on_gpu=z.is_cuda)
    return [row(run, "latency", 1000 * t, "ms") | {"width": kept(p)} for p, t in taken.items()]


def kept(p: float) -> float:
    """The share of channels that is left, which is a row's width."""
    return round(1 - p, 6)


def row(run: Run, *number: Any) -> dict[str, Any]:
    """A measured number of the unit: metric, value, unit ...; see :func:`tables.row`."""
    c = run.config
    method = "real" if c["method"] == "judge" else c["method"]
    of = {"network": "StyleGAN2", "width": kept(c["p"]) if "p" in c else ""}
    return tables.row(c, *number, paper=PAPER, table="figure4", method=method, **of)


def convergence(units: Sequence[Unit], root: Path) -> pd.DataFrame:
    """Evaluations over training of finished units: method, p, seed, step, metric, value."""
    parts = []
    for unit in units:
        frame = read_history(unit, root)
        frame = frame.loc[frame["player"] == "validation"].rename(columns={"term": "metric"})
        named = {k: unit.config[k] for k in ("method", "p", "seed")}
        parts.append(frame.drop(columns="player").assign(**named))
    return pd.concat(parts, ignore_index=True)


def figure3(
    units: Sequence[Unit], root: Path, method: str, panels: Mapping[str, str]
) -> tuple[dict[str, dict[str, Tensor]], pd.DataFrame]:
    """What figures 3a and 3b draw of a method: logits at the end, and their means over training.

    ``panels`` maps discriminators, "D" or "D_T", to titles. Sets of logits by title, labelled
    "generated p = 0.9", "real p = 0.9", ...; traces with columns panel, label, step, value.
    """
    sets: dict[str, dict[str, Tensor]] = {title: {} for title in panels.values()}
    traces = []
    for p in FIGURE_3:
        (unit,) = find_units(units, method=method, p=p, seed=0)
        said = logits_at_end(unit, root)
        course = convergence([unit], root)
        for D, title in panels.items():
            sets[title][f"generated p = {p:g}"] = said[f"{D} fake"]
            sets[title][f"real p = {p:g}"] = said[f"{D} real"]
            trace = course.loc[course["metric"] == f"fake logit of {D}", ["step", "value"]]
            traces.append(trace.assign(panel=title, label=f"generated p = {p:g}"))
    return sets, pd.concat(traces, ignore_index=True)


def logits_at_end(unit: Unit, root: Path) -> dict[str, Tensor]:
    """The logits that a finished unit kept, by discriminator and "real" or "fake"."""

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
    known = dict(zip(paper["p"], paper["published_fid"], strict=True))
    series: dict[tuple[str, float, str], list[float]] = {}
    for each in frame.sort_values("seed").to_dict("records"):
        if each["width"] != "":
            key = each["method"], round(1 - float(each["width"]), 6), each["metric"]
            series.setdefault(key, []).append(each["value"])

    def of(method: str, p: float, metric: str = distance) -> list[float]:
        return series.get((method, p, metric), [])

    def better(a: str, b: str, p: float, said: str) -> Claim:
        text = f"p = {p:g}: {a} is better than {b}, by {distance}"
        return ordering(text, said, better=of(a, p), worse=of(b, p), higher_is_better=False)

    rates = sorted({p for method, p, metric in series if method == OURS and metric == distance})
    if not rates:
        return []
    mild, hard = rates[0], rates[-1]
    found: list[Claim] = []
    for p in rates:
        said = "figure 4" + (f"; {OURS} has an FID of {known[p]:g}" if p in known else "")
        found += [better(OURS, rival, p, said) for rival in RIVALS if of(rival, p)]
    both = [rival for rival in RIVALS if of(rival, mild) and of(rival, hard)] if mild < hard else []
    for rival in both:
        gaps = [_pairs(of(rival, p), of(OURS, p), lambda a, b: a - b) for p in (hard, mild)]
        text = f"The gap to {rival} is wider at p = {hard:g} than at p = {mild:g}"
        found.append(_more(f"{text}, by {distance}", "figure 4", *gaps))
        rise = [_pairs(of(m, hard), of(m, mild), lambda a, b: a / b) for m in (rival, OURS)]
        text = f"{rival} collapses: its {distance} grows by a larger factor from p = {mild:g} to"
        found.append(_more(f"{text} {hard:g} than that of {OURS}", "figure 4", *rise))
    found += _about_logits(of)
    for rival in (r for r in RIVALS if of(r, hard)):
        text = f"p = {hard:g}: {OURS} keeps more recall than {rival}"
        found.append(_more(text, "figure 4", of(OURS, hard, recall), of(rival, hard, recall)))
    found += _about_the_full_model(of, mild)
    for a, b, said in _parts(series, hard):
        found.append(better(a, b, hard, said))
    controls = ("fine-tune", SCRATCH)
    return found + [better(OURS, c, p, "no row") for p in rates for c in controls if of(c, p)]


def _pairs(
    a: Sequence[float], b: Sequence[float], how: Callable[[float, float], float]
) -> list[float]:
    """Seed by seed."""
    return [how(x, y) for x, y in zip(a, b, strict=False)]


def _more(text: str, said: str, a: Sequence[float], b: Sequence[float]) -> Claim:
    return ordering(text, said, better=a, worse=b, higher_is_better=True)


def _less(text: str, said: str, a: Sequence[float], b: Sequence[float]) -> Claim:
    return ordering(text, said, better=a, worse=b, higher_is_better=False)


def _about_logits(of: Callable[..., list[float]]) -> list[Claim]:
    """Figure 3: how far from 0, where D cannot tell, the logits of generated images lie."""
    apart: dict[tuple[str, str, float], list[float]] = {}
    for method, D in (("ITGC", "D"), (OURS, "D"), (OURS, "D_T")):
        for p in FIGURE_3:
            apart[method, D, p] = [abs(x) for x in of(method, p, f"fake logit of {D}")]
    if not all(apart.values()):
        return []
    low, high = FIGURE_3
    itgc = apart["ITGC", "D", high], apart["ITGC", "D", low]
    drift = _pairs(*itgc, lambda a, b: a - b)
    text = f"ITGC: logits are farther from 0 at p = {high} than at {low}"
    out = [_more(text, "figure 3a", *itgc)]
    for D in ("D", "D_T"):
        of_ours = f"{OURS}, {'D_S' if D == 'D' else 'D_T'}: "
        hard, easy = apart[OURS, D, high], apart[OURS, D, low]
        text = f"{of_ours}logits drift less from p = {low} to {high} than those of ITGC"
        out.append(_less(text, "figure 3b", _pairs(hard, easy, lambda a, b: a - b), drift))
        text = f"{of_ours}logits are nearer to 0 at p = {high} than those of ITGC"
        out.append(_less(text, "figure 3b", hard, itgc[0]))
    return out


def _about_the_full_model(of: Callable[..., list[float]], mild: float) -> list[Claim]:
    """What the mildest rate costs, in percent of the teacher's distance."""
    table = tables.published(PAPER, "known")
    (said,) = table.loc[table["quantity"].str.startswith("FID increase"), "value"]
    full = of("teacher", 0.0)
    if not full or mild != 0.5:
        return []
    rise = [100 * (x / full[0] - 1) for x in of(OURS, mild)]
    text = f"p = {mild:g}: {OURS} loses at most {said} % of the full model's distance"
    return [_less(text, f"{said} %, caption of figure 4", rise, [float(said)] * len(rise))]


def _parts(series: Mapping[tuple[str, float, str], Any], p: float) -> list[tuple[str, str, str]]:
    """What is to be better than what in the ablations, and where the paper says so."""
    here = {method for method, at, _ in series if at == p}
    kernels = sorted(method for method in here if method.startswith("DiME by"))
    alone = [name for name in [*kernels, "DiME"] if " + " not in name]
    together = [name for name in kernels if " + " in name]
    pairs = [(OURS, "DiME"), (OURS, "NICKEL"), (OURS, WITHOUT)]
    pairs += [(both, one) for both in together for one in alone]
    if {"DiME by dino-rn50", "DiME by clip-rn50"} <= here:  # then DiME's own row has both
        pairs = [(a, b) for a, b in pairs if not b.startswith("DiME by")]
        pairs += [("DiME by dino-rn50", "DiME by clip-rn50")]
        pairs += [("DiME", "DiME by dino-rn50"), ("DiME", "DiME by clip-rn50")]
    pairs.append(("DiME", "DiME, batch targets"))
    return [(a, b, "ablation") for a, b in pairs if {a, b} <= here]
