"""A GAN of one's own: the table of what was tried, and what can be concluded from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from torch import Tensor, nn

from ganzip import features
from ganzip.distil.compose import CONTROL, METHODS
from ganzip.distil.family import Adapter
from ganzip.measure import cost, judging
from ganzip.measure.cost import TRAINING
from ganzip.measure.images import distances, draw, images_of, likeness, score_numbers
from ganzip.measure.rows import Number, rows
from ganzip.papers import super_resolution as sr
from ganzip.papers import your_own_gan_data as examples
from ganzip.report import tables
from ganzip.report.claims import verdict
from ganzip.units import Run, Unit

LEVELS = ("teacher", "input", "start")  # rows that are no student's
SIZES = ["multiply-adds", "parameters"]

# Measuring ----------------------------------------------------------------------------------------


def labels(unit: Unit) -> dict[str, Any]:
    """What rows of a unit say of it."""
    c = unit.config
    return {"table": "own", "network": c.get("adapter", ""), "width": c.get("width", "")}


def quality_rows(run: Run, a: Adapter, G: nn.Module, method: str) -> list[dict[str, Any]]:
    """How good a generator's held-out images are."""
    if a.latent:
        images = draw(run, G, run.config["n_images"])
        found = judging.image_numbers(judging.judge_of(run), images)
    else:
        cond, truth, target = examples.test_pairs(run, a)
        given = {"teacher": target, "input": sr.enlarge(cond, truth)}
        images = given[method] if method in given else images_of(G, cond)
        found = pair_numbers(run, images, truth, target)
    return rows(run, found, labels(run.unit), method=method)


def pair_numbers(run: Run, images: Tensor, truth: Tensor, target: Tensor) -> list[Number]:
    """Distances from the true images, and likeness to them and to the teacher's, pair by pair."""
    network, n = judging.imagenet(str(run.device)), len(images)
    ours, real = (features.embed(network, x, 64) for x in (images, truth))
    frechet, kernel = score_numbers(distances(network.name, ours, real, pairs=True), n)
    found = [kernel, frechet, *likeness(images, truth)]
    return found if images is target else [*found, likeness(images, target, " to teacher")[0]]


def cost_rows(run: Run, a: Adapter, nets: Mapping[str, nn.Module]) -> list[dict[str, Any]]:
    """Parameters, multiply-adds and latency of one input, of teacher and student."""
    example, found = a.example().to(run.device), []
    seconds = cost.pass_seconds(nets, example, run.config["passes"])
    for name, G in nets.items():
        numbers = [*cost.sizes(G, example), Number("latency", 1000 * seconds[name], "ms")]
        found += rows(run, numbers, labels(run.unit), method=name)
    return found


# Concluding ---------------------------------------------------------------------------------------


def quality(frame: pd.DataFrame) -> str:
    """The metric that decides: the kernel distance to true images or, of noise, the Frechet one."""
    named = [m for m in frame["metric"].unique() if m.startswith(("KID-", "FD-", "FID"))]
    paired = "PSNR" in set(frame["metric"])
    wanted = "KID-" if paired else ("FID", "FD-")
    return next(m for m in named if m.startswith(wanted))


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """A line a method: quality, likeness, size and what it was trained for.

    First the teacher and, without any training, the input enlarged and the student's start; then
    the control; then the methods, the best first. Sizes of a student are those of its width.
    ``ratio`` is how many times smaller than the teacher a generator is.
    """
    metric = quality(frame)
    likeness = ("PSNR", "SSIM", "PSNR to teacher", "precision", "recall")
    wanted = [m for m in frame["metric"].unique() if m.split("-")[0] in likeness]
    grid = frame.pivot_table(index="method", columns="metric", values="value", dropna=False)
    means: dict[Any, Any] = grid.to_dict()
    lines = []
    for method in dict.fromkeys(frame["method"]):
        mine = frame.loc[(frame["method"] == method) & (frame["metric"] == metric)]
        if mine.empty or method == "real":
            continue
        paper = METHODS[method].paper if method in METHODS else ""
        line: dict[str, Any] = {"method": method, "paper": paper}
        line |= {metric: mine["value"].mean(), "sd": mine["value"].std()}
        line |= {m: means[m][method] for m in wanted}
        if method != "input":
            whose = "teacher" if method == "teacher" else "student"
            line |= {name: means[name][whose] for name in SIZES}
            line["ratio"] = means["parameters"]["teacher"] / means["parameters"][whose]
        if method not in LEVELS:
            line |= {"steps": mine["steps"].iloc[0], "seeds": len(mine)}
        lines.append(line)
    found, first = pd.DataFrame(lines), [*LEVELS, CONTROL]
    order = [first.index(name) if name in first else len(first) for name in found["method"]]
    ranked = found.assign(order=order).sort_values(["order", metric])
    return ranked.drop(columns="order").reset_index(drop=True)


def speeds(table: pd.DataFrame, costs: pd.DataFrame) -> pd.DataFrame:
    """``table`` with what a machine took: a pass in ms, times the teacher's speed, training."""
    latency = costs.loc[costs["quantity"] == "latency"].set_index("method")["value"]
    training = costs.loc[costs["quantity"] == TRAINING].set_index("method")["value"]
    whose = table["method"].where(table["method"] == "teacher", "student")
    table = table.assign(**{"latency, ms": whose.where(table["method"] != "input").map(latency)})
    table["speed-up"] = latency["teacher"] / table["latency, ms"]
    trained = table["method"].where(table["steps"].notna())
    return table.assign(**{"cpu seconds": trained.map(training)})


LIKENESS = "PSNR to teacher"


def standing(frame: pd.DataFrame, one: str, other: str) -> str:
    """How a method stands to another, from the seeds: ``verdict``'s, so never from one."""
    ours, its = (tables.values(frame, method=m, metric=quality(frame)) for m in (one, other))
    found = verdict(ours, its, higher_is_better=False)
    word = {"supported": "better", "contradicted": "worse"}.get(found, found)
    return f"{tables.spread(ours)} against {tables.spread(its)}: {word}"


def choice(frame: pd.DataFrame) -> tuple[str, list[str]]:
    """The method to take, and all whose difference from the lowest mean is inconclusive, it first.

    Of those it is the nearest to the teacher's images, where inputs are images: a distance between
    distributions of few images says little about a single one. One that ends worse than the trained
    student from which all began is not taken, unless all do.
    """
    shown = table(frame)
    students = shown.loc[~shown["method"].isin(LEVELS)].sort_values(quality(frame))
    names = [str(method) for method in students["method"]]
    alike = [m for m in names if m == names[0] or "inconclusive" in standing(frame, names[0], m)]
    if LIKENESS not in shown:
        return names[0], alike
    means = dict(zip(shown["method"], shown[quality(frame)], strict=True))
    near = dict(zip(students["method"], students[LIKENESS], strict=True))
    most = means["start"] if first_weights(frame) else math.inf
    kept = [m for m in alike if means[m] <= most] or names[:1]
    return max(kept, key=lambda m: near[m]), alike


def recommendation(frame: pd.DataFrame) -> list[str]:
    """What to take, and why, in sentences computed from the rows; or that none is ready."""
    metric, shown = quality(frame), table(frame)
    lines = {line["method"]: line for line in shown.to_dict("records")}
    best, alike = choice(frame)
    students = [name for name in lines if name not in LEVELS]
    start = first_weights(frame)
    whom = "which learnt from the truth alone here" if start else "which no teacher taught"
    name = f"the control, {whom}" if best == CONTROL else best
    why = f"the lowest mean {metric} of {len(students)} methods"
    if best != alike[0]:
        why = (
            f"{lines[best][LIKENESS]:.1f} dB from the teacher's images, the nearest of those whose"
        )
        why += f" {metric} does not differ significantly from the lowest mean ({alike[0]})"
    means = {m: line[metric] for m, line in lines.items()}
    lack = shortfall(_beside(frame, means), best)
    found = [f"None is ready: {lack}"] if lack else []
    if taken(frame) == "start":
        found = [f'Take ganzip.load("{start}"), from which all began: no method made it better.']
    first = "Of those trained here the first is" if found else "Take"
    found.append(f"{first} {name}: {why}; at {lines[best]['ratio']:.1f} times fewer parameters.")
    if best != CONTROL:
        against = standing(frame, best, CONTROL)
        found.append(f"Against the control, which has no teacher: {against}.")
    ranked = sorted(set(students) - {best, CONTROL}, key=lambda m: lines[m][metric])
    if ranked:
        found.append(f"Against the next, {ranked[0]}: {standing(frame, best, ranked[0])}.")
    if len(alike) > 1:
        others = ", ".join(alike[1:])
        found.append(f"Not significantly worse than {alike[0]}, the lowest mean: {others}.")
    if min(lines[m]["seeds"] for m in students) < 2:
        found.append("One seed shows no difference beyond chance: take two or more.")
    if "input" in lines:
        found.append(beside_input(lines[best], lines["input"], metric))
    if start:
        found.append(
            f"All began from {start}, a trained student of this repository: {metric} "
            f"{tables.short(means['start'])} before the training here, "
            f"{tables.short(means[best])} after it."
        )
    return found


def taken(frame: pd.DataFrame) -> str:
    """The method whose student is taken; "start" where none made a trained start better."""
    best, _ = choice(frame)
    means = dict(zip(*(table(frame)[name] for name in ("method", quality(frame))), strict=True))
    unchanged = first_weights(frame) and means["start"] <= means[best]
    return "start" if unchanged and not shortfall(_beside(frame, means), best) else best


def _beside(frame: pd.DataFrame, means: Mapping[str, float]) -> dict[str, float]:
    """What a student is compared with: without the start where that is trained."""
    return {m: x for m, x in means.items() if m != "start" or not first_weights(frame)}


TRIAL = "error after the trial, "


def first_weights(frame: pd.DataFrame) -> str:
    """The trained student that all students began from, as "paper/name"; "" where none was."""
    trials = frame.loc[frame["metric"].str.startswith(TRIAL)]
    if trials.empty:
        return ""
    name = trials.sort_values("value")["metric"].iloc[0].removeprefix(TRIAL)
    return name if "/" in name else ""


READY = 0.5  # of the way from what costs nothing to the teacher, in the metric that decides


def shortfall(means: Mapping[str, float], best: str) -> str:
    """What the best student lacks, "" where it is ready: half of the way to the teacher.

    means: of the metric that decides, lower is better, by method. The way begins at what costs
    nothing, the better of the enlarged input and, unless it is trained, the start.
    """
    free = {"its untrained start": "start", "the enlarged input": "input"}
    others = {label: means[name] for label, name in free.items() if name in means}
    if not others:
        return ""
    label, costless = min(others.items(), key=lambda item: item[1])
    teacher, own = means["teacher"], means[best]
    if teacher >= costless:
        return (
            f"the teacher has {tables.short(teacher)} and {label} {tables.short(costless)}, "
            "expected a teacher that is better; take another, or train it longer."
        )
    way = (costless - own) / (costless - teacher)
    if way >= READY:
        return ""
    gone = f"has gone {way:.0%} of the way" if way > 0 else "has come no nearer"
    return (
        f"{best} ({tables.short(own)}) {gone} from {label} ({tables.short(costless)}) to the "
        f"teacher ({tables.short(teacher)}), expected {READY:.0%} or more; take more minutes, or "
        "a wider student."
    )


def beside_input(mine: Mapping[str, Any], free: Mapping[str, Any], metric: str) -> str:
    """How a student stands to the enlarged input, which costs nothing, by every metric."""
    parts = []
    for name in (metric, "PSNR", "SSIM"):
        if name in mine and name in free and not math.isnan(mine[name] + free[name]):
            up = tables.higher_is_better(name)
            better = mine[name] > free[name] if up else mine[name] < free[name]
            both = f"{tables.short(mine[name])} against {tables.short(free[name])}"
            parts.append(f"{name} {both}, {'better' if better else 'worse'}")
    return f"Beside the enlarged input: {'; '.join(parts)}."


def applicability(refused: Mapping[str, str], methods: Sequence[str]) -> pd.DataFrame:
    """Every method, whether it can serve this generator, and why not."""
    return pd.DataFrame(
        {"method": name, "paper": method.paper, "trained": "yes" if name in methods else "",
         "why not": refused.get(name, "" if name in methods else "not asked for")}
        for name, method in METHODS.items()
    )  # fmt: skip
