"""Curves: a metric over sizes, over cost and over training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import cycle
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ganzip.report import tables
from ganzip.report.figures.images import pixels, strip
from ganzip.report.figures.theme import (
    ACROSS,
    COLOURS,
    DASHES,
    LEVELS,
    MARKERS,
    NAMES,
    SPARE,
    WIDTH,
    colours,
    curve,
    direction,
    distinct,
    kind,
    legend,
    level,
    log_ticks,
    name,
    style,
    subplots,
)

# --------------------------------------------------------- figures of Aguinaldo et al. (2019)


@style()
def metric_against_d(
    frame: pd.DataFrame, metric: str, published: pd.DataFrame | None = None
) -> tuple[Figure, pd.DataFrame]:
    """Draw a metric against d, one line per method: mean over seeds, standard deviation, each seed.

    `frame` holds rows; "teacher" and "real" are drawn as levels.  `published`, Table 1 as
    `tables.published` gives it, gets panels of its own: its metrics are not ours.
    The frame returned has source, dataset, metric, method, d, mean, std, seeds.
    """
    mine = frame.loc[frame["metric"] == metric]
    if mine["method"].isin(list(LEVELS)).all():
        raise ValueError(
            f"no rows of metric {metric!r} but the levels; there are {distinct(frame, 'metric')}"
        )
    points = _points(mine, published, ["student", "regular"])
    figure, panels = _panels(points, mine)
    for (method, d), rows in mine.loc[mine["method"].isin(list(LEVELS))].groupby(
        ["method", "width"], sort=False
    ):
        level(panels["ours"], method, rows["value"].mean(), f", d = {d}" if d else "")
    legend(figure)
    return figure, points.drop(columns="teacher_d")


@style()
def teacher_selection(
    frame: pd.DataFrame, metric: str, published: pd.DataFrame | None = None
) -> tuple[Figure, pd.DataFrame]:
    """Draw how the teacher's size is picked: the metric of regular GANs and teacher against d.

    Aguinaldo et al. (2019), figure 2.  The best mean is ringed.  Published panels show the regular
    GANs of Table 1 and, as a line, the d that was picked; the teachers' scores are not in it.
    The frame returned has source, dataset, metric, method, d, mean, std, seeds, picked_d.
    """
    higher = tables.higher_is_better(metric)
    if higher is None:
        raise ValueError(f"metric {metric!r} has no better end; use IS, FD-... or another that has")
    mine = frame.loc[(frame["metric"] == metric) & frame["method"].isin(["regular", "teacher"])]
    if mine.empty:
        raise ValueError(f"no rows of regular GANs or teachers with metric {metric!r}")
    mine = mine.assign(method="regular", width=mine["width"].astype(int))
    points = _points(mine, published, ["regular"])
    ours = points.loc[points["source"] == "ours"].set_index("d")["mean"]
    best = int(ours.idxmax() if higher else ours.idxmin())
    points["picked_d"] = points["teacher_d"].fillna(best).astype(int)
    figure, panels = _panels(points, mine)
    ring: dict[str, Any] = {"mfc": "none", "mec": "black", "mew": 1.5, "ms": 15, "ls": "none"}
    panels["ours"].plot(best, ours[best], "o", label="best of ours", **ring)
    panels["ours"].margins(y=0.15)
    for dataset, axes in panels.items():
        d = best
        if dataset != "ours":
            d = int(points.loc[points["dataset"] == dataset, "picked_d"].iloc[0])
            axes.axvline(d, color="black", ls=":", lw=1.5, label="picked in the paper")
        axes.set_title(f"{axes.get_title(loc='left')}, d = {d}")
    legend(figure)
    return figure, points.drop(columns="teacher_d")


def _points(mine: pd.DataFrame, published: pd.DataFrame | None, methods: list[str]) -> pd.DataFrame:
    """The points of the curves: ours summed up over seeds, then those of Table 1 not blank.

    Columns source, dataset, metric, method, d, mean, std, seeds, teacher_d.
    """
    keys = ["dataset", "metric", "method", "width"]
    parts = [tables.summary(mine, keys).rename(columns={"width": "d"}).assign(source="ours")]
    if published is not None:
        long = published.melt(
            ["dataset", "metric", "teacher_d", "d"], methods, "method", "mean"
        ).dropna(subset="mean")
        parts.append(long.assign(source="published"))
    columns = ("source", "dataset", "metric", "method", "d", "mean", "std", "seeds", "teacher_d")
    return pd.concat(parts, ignore_index=True).reindex(columns=columns)


def _panels(points: pd.DataFrame, mine: pd.DataFrame) -> tuple[Figure, dict[str, Axes]]:
    """Draw the curves of a panel for "ours" and one for each published data set, two in a line."""
    theirs = points.loc[points["source"] == "published"]
    parts = {"ours": points.loc[points["source"] == "ours"]}
    parts |= dict(list(theirs.groupby("dataset", sort=False)))
    lines = -(-len(parts) // 2)
    across: dict[str, Any] = {"nrows": lines, "ncols": min(len(parts), 2), "squeeze": False}
    figure, grid = subplots(WIDTH, 0.8 + 2.6 * lines, **across)
    for axes in grid.flat[len(parts) :]:
        axes.remove()
    panels = dict(zip(parts, grid.flat, strict=False))
    for title, axes in panels.items():
        _curves(axes, parts[title], mine if title == "ours" else mine.iloc[:0])
        axes.set_title(f"published: {title}")
    panels["ours"].set_title(f"ours: {distinct(mine, 'dataset')}", fontweight="bold")
    return figure, panels


def _curves(axes: Axes, points: pd.DataFrame, seeds: pd.DataFrame) -> None:
    """Draw points over d, a line per method, and each seed as a pale point.

    Ticks are at every d and at the d of the teacher that a published panel points at.
    """
    points = points.loc[~points["method"].isin(list(LEVELS))]
    colour = colours(points["method"].unique())
    for method in sorted(colour, key=lambda m: [*NAMES, kind(m)].index(kind(m))):
        look: dict[str, Any] = {"color": colour[method], "marker": MARKERS.get(kind(method), "o")}
        line = points.loc[points["method"] == method].astype({"d": int})
        curve(axes, line, "d", name(method), **look)
        if (line["seeds"] > 1).any():
            its = seeds.loc[seeds["method"] == method]
            axes.scatter(its["width"].astype(int), its["value"], s=14, alpha=0.45, lw=0, **look)
    axes.set(xlabel="d, the width", ylabel=direction(points["metric"].iloc[0]))
    picked = points["picked_d"] if "picked_d" in points else ()
    sizes = sorted({*points["d"].astype(int), *picked})
    # Powers of two and the last only: the number of d = 48 would touch that of 64.
    texts = [str(d) if d & (d - 1) == 0 or d == sizes[-1] else "" for d in sizes]
    log_ticks(axes, "x", sizes, texts, base=2)
    margin = max((sizes[-1] / sizes[0]) ** 0.05, 1.1)
    axes.set_xlim(sizes[0] / margin, sizes[-1] * margin)


# ----------------------------------------------------- figures of Kaparinos and Mezaris (2025)


@style()
def speedups(frame: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw how many times faster than at C = 1 a generator is, a panel per network.

    Kaparinos and Mezaris (2025), table 3.  `frame` has network, C ("1/2" or a number), speedup and
    source: "ours", "published" or, the speed that counting promises, "multiply-adds".  Published:
    `tables.published("sdakd", 3).melt("C", var_name="network", value_name="speedup")`.
    The frame returned has network, C and a column per source.  Raises ValueError for two values of
    one point.
    """
    keys = ["network", "C", "source"]
    frame = frame.assign(C=[Fraction(str(size)) for size in frame["C"]])
    if (twice := frame.duplicated(keys)).to_numpy().any():
        first = dict(frame.loc[twice, keys].iloc[0].map(str))
        raise ValueError(f"speedups: two values for {first}; expected one: filter or average first")
    looks = {
        source: {"color": colour, "ls": dashes, "marker": marker}
        for (source, colour), dashes, marker in zip(
            colours(frame["source"].unique()).items(), cycle(DASHES), cycle("os^D"), strict=False
        )
    }
    frame = frame.sort_values("C", ascending=False, kind="stable")
    parts = dict(list(frame.groupby("network", sort=False)))
    figure, grid = subplots(WIDTH, 3.4, ncols=len(parts), sharey=True, squeeze=False)
    for axes, (network, its) in zip(grid.flat, parts.items(), strict=True):
        for source, points in its.groupby("source", sort=False):
            compression = [float(1 / size) for size in points["C"]]
            look = looks[str(source)]
            axes.plot(compression, points["speedup"], label=source, mec="white", **look)
        sizes = its["C"].unique()
        log_ticks(axes, "x", [float(1 / size) for size in sizes], list(map(str, sizes)), base=2)
        axes.set_yscale("log", base=2)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set(title=network, xlabel="C, share of the channels")
    grid.flat[0].set_ylabel("speed-up over C = 1")
    legend(figure)
    texts = frame.assign(C=frame["C"].map(str))
    wide = texts.pivot_table("speedup", ["network", "C"], "source", sort=False)
    return figure, wide.rename_axis(columns=None).reset_index()


# ------------------------------------------------------------- figures of Yeo et al. (2024)

CROWD = 5  # methods beyond which only the paper's own has bars


@style()
def by_method(
    frame: pd.DataFrame, x: str, metrics: Sequence[str], *, xlabel: str = "", left: bool = False
) -> tuple[Figure, pd.DataFrame]:
    """Draw metrics against a column `x` of rows, a panel per metric and a line per method.

    Yeo et al. (2024), figures 3c and 4.  A point is the mean over seeds with the standard deviation
    as a bar; of more than ``CROWD`` methods only the paper's own, drawn thick, has bars.  "teacher"
    and "real" are levels.  `left` says that `x` is in percent of what
    pruning saves, which is drawn over what it leaves, on a logarithmic axis.
    The frame returned has metric, method, `x`, mean, std and seeds.
    """
    if missing := [metric for metric in metrics if metric not in set(frame["metric"])]:
        raise ValueError(f"no rows of metrics {missing}; there are {distinct(frame, 'metric')}")
    lines = frame.loc[~frame["method"].isin(list(LEVELS)) & frame["metric"].isin(list(metrics))]
    points = tables.summary(lines, ["metric", "method", x])
    colour = colours(lines["method"].unique())
    size = (WIDTH, 1.2 + 2.2 * len(metrics))
    figure, panels = subplots(*size, nrows=len(metrics), sharex=True, squeeze=False)
    for axes, metric in zip(panels.flat, metrics, strict=True):
        its = points.loc[points["metric"] == metric]
        its = its.assign(at=100 - its[x] if left else its[x])
        for (method, shade), spare in zip(colour.items(), cycle("os^Dv<>"), strict=False):
            line = its.loc[its["method"] == method]
            look: dict[str, Any] = {"color": shade, "marker": MARKERS.get(method, spare), "ms": 5}
            if len(colour) > CROWD:
                own = method == "NICKEL & DiME"
                line = line if own else line.assign(std=float("nan"))
                look |= {"lw": 2.8, "elinewidth": 1.2, "zorder": 4} if own else {"lw": 1.1}
            curve(axes, line, "at", name(method), **look)
        for method in LEVELS:
            rows = frame.loc[(frame["method"] == method) & (frame["metric"] == metric)]
            if len(rows):
                level(axes, method, rows["value"].mean())
        axes.set_title(direction(metric))
    last = panels.flat[-1]
    last.set_xlabel(xlabel or x)
    if left:
        rates = sorted(points[x].unique())
        log_ticks(last, "x", [100 - rate for rate in rates], [f"{rate:.1f}" for rate in rates])
        last.invert_xaxis()
    legend(figure)
    return figure, points


# ---------------------------------------------------------------------------- figures of ours


@style()
def history(frame: pd.DataFrame, *, smooth: int = 1) -> tuple[Figure, pd.DataFrame]:
    """Draw the loss terms of a run, a panel for each player; history.csv, long form.

    `frame` has columns step, player, term, value.  `smooth` is the number of logged points in a
    moving mean; the points themselves stay behind it, pale.  The frame returned adds `smoothed`.
    """
    by = frame.groupby(["player", "term"], sort=False)["value"]
    means = by.transform(lambda values: values.rolling(smooth, min_periods=1, center=True).mean())
    frame = frame.assign(smoothed=means)
    players = frame["player"].unique()
    size = (WIDTH, 0.4 + 1.9 * len(players))
    figure, panels = subplots(*size, nrows=len(players), sharex=True, squeeze=False)
    for axes, player in zip(panels.flat, players, strict=True):
        terms = frame.loc[frame["player"] == player]
        look: dict[str, Any] = {"data": terms, "x": "step", "hue": "term", "ax": axes}
        look["palette"] = dict(zip(terms["term"].unique(), cycle(SPARE), strict=False))
        if smooth > 1:
            sns.lineplot(y="value", lw=0.8, alpha=0.3, legend=False, **look)
        sns.lineplot(y="smoothed", **look)
        axes.set(title=player, ylabel="loss", xlabel="step")
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure, frame


@style()
def ranking(table: pd.DataFrame, metric: str) -> tuple[Figure, pd.DataFrame]:
    """Draw a metric of methods, a line for each, the best on top; the axis is logarithmic.

    `table` has a line per method: method, the metric's mean under its name, and its sd, NaN for one
    seed. What no method trained (``LEVELS``, "input", "start") is drawn across all lines.
    The axis is linear where a value is not above 0. It returns what it draws.
    """
    higher = bool(tables.higher_is_better(metric))
    ranked = table.sort_values(metric, ascending=not higher)
    lines = ranked.loc[~ranked["method"].isin(list(ACROSS))].reset_index(drop=True)
    figure, axes = subplots(WIDTH, 1.0 + 0.32 * len(lines))
    for at, (method, colour) in enumerate(colours(lines["method"]).items()):
        look: dict[str, Any] = {"color": colour, "fmt": MARKERS.get(method, "o"), "mec": "white"}
        spread = lines["sd"].fillna(0)[at]
        axes.errorbar(lines[metric][at], at, xerr=spread, ms=8, **look)
    for method, mean in zip(ranked["method"], ranked[metric], strict=True):
        if method in ACROSS:
            axes.axvline(mean, label=f"{name(method)}, {tables.short(mean)}", **ACROSS[method])
    axes.set_yticks(range(len(lines)), [name(method) for method in lines["method"]])
    axes.set(xlabel=direction(metric), ylim=(len(lines) - 0.5, -0.5))
    values, sd = ranked[metric], ranked["sd"].fillna(0)
    if (values > 0).to_numpy().all():
        # A bar that would reach 0 ends at a third of its mean.
        low = (values - sd).clip(lower=values / 3).min() / 1.2
        high = (values + sd).max() * 1.2
        ticks = [n * 10**k for k in range(-3, 6) for n in (1, 2, 3, 5)]
        log_ticks(axes, "x", [tick for tick in ticks if low < tick < high])
        axes.set_xlim(low, high)
    axes.grid(axis="y")
    legend(figure, above=True)
    return figure, ranked.loc[:, ["method", metric, "sd"]]


@dataclass(frozen=True)
class Panel:
    """A column of the front figure.

    scores: columns method, ratio (times fewer parameters than the teacher's; 1 for a level), mean
    and std, its methods those of ``ROLES``. measure: what the vertical axis shows, lower is better.
    images: by label.
    """

    title: str
    scores: pd.DataFrame
    measure: str
    images: Mapping[str, Tensor]


# One look for what sees no answer of a teacher, one for the papers' methods, one for the others.
ROLES = dict.fromkeys(("alone", "naive", "fine-tuned"), ("regular", "s"))
ROLES |= dict.fromkeys(("taught", "SDAKD", "N & D"), ("student", "o"))
ROLES |= dict.fromkeys(("CAGC", "control"), ("joint", "^"))


@style()
def front(panels: Sequence[Panel]) -> Figure:
    """Show what is left of quality when networks shrink: curves over pictures, a column a panel.

    Axes are logarithmic; a vertical one whose means lie within a factor of five, or are not above 0
    as an unbiased estimate may be, is linear and holds 0.
    """
    figure = plt.figure(figsize=(1.3 * WIDTH, 5.6))
    plt.close(figure)
    parts = figure.subfigures(1, len(panels), squeeze=False)[0]
    for part, panel in zip(parts, panels, strict=True):
        heights = [3.2] + [1] * len(panel.images)
        axes, *strips = part.subplots(len(heights), 1, height_ratios=heights)
        _quality(axes, panel)
        for below, (label, batch) in zip(strips, panel.images.items(), strict=True):
            strip(below, label, pixels(label, batch))
    return figure


def _quality(axes: Axes, panel: Panel) -> None:
    """Draw a panel's curves over the ratio of parameters, and its levels across."""
    frame = panel.scores
    lines, levels = frame.loc[frame["ratio"] != 1], frame.loc[frame["ratio"] == 1]
    for method in lines["method"].unique():
        shade, marker = ROLES[method]
        line = lines.loc[lines["method"] == method]
        curve(axes, line, "ratio", method, color=COLOURS[shade], marker=marker)
    low, high = min(frame["mean"]), max(frame["mean"])
    linear = low <= 0 or high < 5 * low
    for text, mean in zip(levels["method"], levels["mean"], strict=True):
        teacher = text == "teacher"
        axes.axhline(mean, **LEVELS["teacher" if teacher else "real"])
        at: dict[str, Any] = {"ha": "right" if teacher else "left"}
        at |= {"textcoords": "offset points", "xytext": (0, -13 if teacher and linear else 3)}
        place = (1.0 if teacher else 0.02, mean)
        axes.annotate(f"{text}, {mean:.0f}", place, xycoords=("axes fraction", "data"), **at)
    axes.set_title(panel.title, fontweight="bold")
    axes.set(xlabel="times fewer parameters", ylabel=f"{panel.measure}\nlower is better")
    ratios = sorted(set(lines["ratio"].round(1)))
    log_ticks(axes, "x", ratios, [f"{ratio:.3g}" for ratio in ratios])
    if len(ratios) == 1:  # in the middle, not at an end
        axes.set_xlim(ratios[0] / 2, ratios[0] * 2)
    axes.margins(x=0.1, y=0.15)
    if linear:
        axes.set_ylim(min(0, 1.15 * low), 1.15 * high)
    else:
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        steps = (n * 10**k for k in range(-2, 5) for n in (1, 2, 5))
        ticks = [tick for tick in steps if low <= tick <= high]
        log_ticks(axes, "y", ticks, [f"{tick:g}" for tick in ticks])
    where: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (-0.14, 1.1), "ncols": 3}
    close: dict[str, Any] = {"handlelength": 0.8, "columnspacing": 0.6, "handletextpad": 0.3}
    axes.legend(**where, **close, fontsize=10)
