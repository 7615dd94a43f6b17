"""Curves: a metric over sizes, over cost and over training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import cycle
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ganzip.report import tables
from ganzip.report.figures.ends import name_lines
from ganzip.report.figures.theme import (
    ACROSS,
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

HOLLOW = {"mfc": "white", "mec": None}  # markers of published points; the edge is the line's


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
    (ours, _), *theirs = panels.values()
    for (method, d), rows in mine.loc[mine["method"].isin(list(LEVELS))].groupby(
        ["method", "width"], sort=False
    ):
        level(ours, method, rows["value"].mean(), f", d = {d}" if d else "")
    if theirs:
        legend(figure)
    else:
        ours.legend()
    return figure, points.drop(columns="teacher_d")


@style()
def teacher_selection(
    frame: pd.DataFrame,
    metric: str,
    published: pd.DataFrame | None = None,
    *,
    teacher_d: int | None = None,
) -> tuple[Figure, pd.DataFrame]:
    """Draw how the teacher's size is picked: the metric of regular GANs and teacher against d.

    Aguinaldo et al. (2019), figure 2.  The best mean is ringed, and a line is at the d of the
    teacher: `teacher_d`, or that of the teacher's rows.  Published panels show the regular GANs of
    Table 1, which lacks the teachers' scores; beside them are our rows of their metrics.
    The frame returned has source, dataset, metric, method, d, mean, std, seeds, picked_d: the
    teacher's or, where it is not known, the best.
    """
    if tables.higher_is_better(metric) is None:
        raise ValueError(f"metric {metric!r} has no better end; use IS, FD-... or another that has")
    every = frame.loc[frame["method"].isin(["regular", "teacher"])]
    if not (every["metric"] == metric).any():
        raise ValueError(f"no rows of regular GANs or teachers with metric {metric!r}")
    metrics = [metric] if published is None else [metric, *published["metric"]]
    mine = every.loc[every["metric"].isin(metrics)]
    teachers = [teacher_d] if teacher_d else mine.loc[mine["method"] == "teacher", "width"].unique()
    mine = mine.assign(method="regular", width=mine["width"].astype(int))
    points = _points(mine, published, ["regular"])
    best, _ = _best(points.loc[(points["source"] == "ours") & (points["metric"] == metric)])
    teacher = max(map(int, teachers), default=best)
    points["picked_d"] = points["teacher_d"].fillna(teacher).astype(int)
    figure, panels = _panels(points, mine)
    for (source, data, _), (axes, its) in panels.items():
        if source == "ours":
            ring: dict[str, Any] = {"mfc": "none", "mec": "black", "mew": 1.5, "ms": 15}
            axes.plot(*_best(its), "o", label="best mean of ours", ls="none", **ring)
            axes.margins(y=0.15)
        if source == "published" or len(teachers):
            d = its["picked_d"].iloc[0]
            axes.axvline(d, color="black", ls=":", lw=1.5, label="d of the teacher")
            _title(axes, source, f"{data}, teacher d = {d}")
    legend(figure)
    return figure, points.drop(columns="teacher_d")


def _best(points: pd.DataFrame) -> tuple[int, float]:
    """Of points of one metric d and mean of the best."""
    higher = tables.higher_is_better(points["metric"].iloc[0])
    pick = max if higher else min
    return pick(zip(points["d"], points["mean"], strict=True), key=lambda point: point[1])


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


Key = tuple[str, str, str]  # a panel's source, data and metric


def _panels(
    points: pd.DataFrame, mine: pd.DataFrame
) -> tuple[Figure, dict[Key, tuple[Axes, pd.DataFrame]]]:
    """Draw curves, a panel for each source, data set and metric, two in a line; with its points."""
    parts = _parts(points)
    lines = -(-len(parts) // 2)
    across: dict[str, Any] = {"nrows": lines, "ncols": min(len(parts), 2), "squeeze": False}
    figure, grid = subplots(WIDTH, 0.8 + 2.6 * lines, **across)
    for axes in grid.flat[len(parts) :]:
        axes.remove()
    for axes, ((source, data, metric), its) in zip(grid.flat, parts.items(), strict=False):
        seeds = mine.loc[(mine["metric"] == metric) & (source == "ours")]
        _curves(axes, its, seeds, {} if source == "ours" else HOLLOW)
        _title(axes, source, data)
    return figure, dict(zip(parts, zip(grid.flat, parts.values(), strict=False), strict=True))


def _title(axes: Axes, source: str, text: str) -> None:
    axes.set_title(f"{source}: {text}", fontweight="bold" if source == "ours" else "normal")


def _parts(points: pd.DataFrame) -> dict[Key, pd.DataFrame]:
    """Points by panel, ours first, and before what is published of another metric that of theirs.

    All data of ours share a panel.
    """
    ours = points["source"] == "ours"
    data = points["dataset"].mask(ours, distinct(points.loc[ours], "dataset"))
    groups = points.groupby(["source", data, "metric"], sort=False)
    parts: dict[Any, pd.DataFrame] = dict(list(groups))
    own = [key for key in parts if key[0] == "ours"]
    pairs = [key for mine in own for key in (mine, *(k for k in parts if k[2] == mine[2]))]
    return {key: parts[key] for key in dict.fromkeys([*pairs, *parts])}


def _curves(
    axes: Axes, points: pd.DataFrame, seeds: pd.DataFrame, marks: Mapping[str, Any]
) -> None:
    """Draw points over d, a line per method, and each seed as a pale point.

    Ticks are at every d and at the d of the teacher that a panel points at.
    """
    points = points.loc[~points["method"].isin(list(LEVELS))]
    colour = colours(points["method"].unique())
    for method in sorted(colour, key=lambda m: [*NAMES, kind(m)].index(kind(m))):
        look: dict[str, Any] = {"color": colour[method], "marker": MARKERS.get(kind(method), "o")}
        line = points.loc[points["method"] == method].astype({"d": int})
        curve(axes, line, "d", name(method), **look, **marks)
        if (line["seeds"] > 1).any():
            its = seeds.loc[seeds["method"] == method]
            axes.scatter(its["width"].astype(int), its["value"], s=14, alpha=0.45, lw=0, **look)
    if marks:
        axes.plot([], [], "o", color=SPARE[2], ls="none", **marks, label="hollow: as published")
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
OWN = "NICKEL & DiME"
LEFT = "multiply-adds left, % (log scale)"


@style()
def by_method(
    frame: pd.DataFrame, x: str, metrics: Sequence[str], *, xlabel: str = "", left: bool = False
) -> tuple[Figure, pd.DataFrame]:
    """Draw metrics against a column `x` of rows, a panel per metric and a line per method.

    Yeo et al. (2024), figures 3c and 4.  A point is the mean over seeds with the standard deviation
    as a bar; of more than ``CROWD`` methods only the paper's own, drawn thick, has bars.  "teacher"
    and "real" are levels.  Lines are named beside their right ends.  `left` says that `x` is in
    percent of the multiply-adds that pruning saves: what it leaves is drawn, on a logarithmic axis.
    The frame returned has metric, method, `x`, mean, std and seeds.
    """
    if missing := [metric for metric in metrics if metric not in set(frame["metric"])]:
        raise ValueError(f"no rows of metrics {missing}; there are {distinct(frame, 'metric')}")
    lines = frame.loc[~frame["method"].isin(list(LEVELS)) & frame["metric"].isin(list(metrics))]
    points = tables.summary(lines, ["metric", "method", x])
    size = (WIDTH, 0.6 + 2.2 * len(metrics))
    figure, panels = subplots(*size, nrows=len(metrics), sharex=True, squeeze=False)
    for axes, metric in zip(panels.flat, metrics, strict=True):
        its = points.loc[points["metric"] == metric]
        _methods(axes, its.assign(at=100 - its[x] if left else its[x]))
        for method in LEVELS:
            rows = frame.loc[(frame["method"] == method) & (frame["metric"] == metric)]
            if len(rows):
                level(axes, method, rows["value"].mean())
        axes.set_title(direction(metric))
        if metric.startswith(("precision", "recall")):  # shares
            axes.set_ylim(bottom=0)
    last = panels.flat[-1]
    last.set_xlabel(LEFT if left else xlabel or x)
    if left:
        ticks = sorted(100 - rate for rate in points[x].unique())
        log_ticks(last, "x", ticks, [f"{tick:.2g}" for tick in ticks])
        last.invert_xaxis()
    name_lines(figure)
    return figure, points


def _methods(axes: Axes, points: pd.DataFrame) -> None:
    """Draw means of a metric over the column `at`, a line per method."""
    colour = colours(points["method"].unique())
    for (method, shade), spare in zip(colour.items(), cycle("os^Dv<>"), strict=False):
        line = points.loc[points["method"] == method]
        look: dict[str, Any] = {"color": shade, "marker": MARKERS.get(method, spare), "ms": 5}
        if len(colour) > CROWD and method == OWN:
            look |= {"lw": 2.8, "elinewidth": 1.2, "zorder": 4}
        elif len(colour) > CROWD:
            line, look = line.assign(std=float("nan")), look | {"lw": 1.1}
        curve(axes, line, "at", name(method), **look)


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


FEW = 3  # seeds up to which each is drawn, in the place of a standard deviation


@style()
def ranking(
    table: pd.DataFrame, metric: str, rows: pd.DataFrame | None = None
) -> tuple[Figure, pd.DataFrame]:
    """Draw a metric of methods, a line for each, the best on top; the axis is logarithmic.

    `table` has a line per method: method, the metric's mean under its name, and its sd, NaN for one
    seed. What no method trained (``LEVELS``, "input", "start") is drawn across all lines.
    `rows` are those of the metric, one a seed: a method of few shows them instead of its sd.
    The axis is linear where a value is not above 0. It returns what it draws.
    """
    higher = bool(tables.higher_is_better(metric))
    ranked = table.sort_values(metric, ascending=not higher)
    values = {} if rows is None else dict(list(rows.groupby("method")["value"]))
    few = {method: each for method, each in values.items() if 1 < len(each) <= FEW}
    bars = ranked["sd"].mask(ranked["method"].isin(list(few))).fillna(0)
    lines = ranked.assign(bar=bars).loc[~ranked["method"].isin(list(ACROSS))]
    lines = lines.reset_index(drop=True)
    figure, axes = subplots(WIDTH, 1.0 + 0.32 * len(lines))
    for at, (method, colour) in enumerate(colours(lines["method"]).items()):
        look: dict[str, Any] = {"color": colour, "marker": MARKERS.get(method, "o")}
        bar = lines["bar"][at] or None
        axes.errorbar(lines[metric][at], at, xerr=bar, ms=8, mec="white", ls="none", **look)
        each = few.get(method, pd.Series(dtype=float))
        axes.plot(each, [at] * len(each), "|", color=colour, ms=14, mew=1.5)
    for method, mean in zip(ranked["method"], ranked[metric], strict=True):
        if method in ACROSS:
            axes.axvline(mean, label=f"{name(method)}, {tables.short(mean)}", **ACROSS[method])
    axes.set_yticks(range(len(lines)), [name(method) for method in lines["method"]])
    axes.set(xlabel=direction(metric), ylim=(len(lines) - 0.5, -0.5))
    if few:
        axes.plot([], [], "|", color=SPARE[2], ms=14, mew=1.5, label="one seed")
    seeds = [value for each in few.values() for value in each]
    _log_axis(axes, list(ranked[metric]), list(bars), seeds)
    axes.grid(axis="y")
    legend(figure, above=True)
    return figure, ranked.loc[:, ["method", metric, "sd"]]


def _log_axis(
    axes: Axes, means: Sequence[float], bars: Sequence[float], seeds: Sequence[float]
) -> None:
    """Make a ranking's axis logarithmic, if all is above 0, and as long as what it shows."""
    if min([*means, *seeds]) <= 0:
        return
    # A bar that would reach 0 ends at a third of its mean.
    ends = list(zip(means, bars, strict=True))
    low = min([*(max(mean - bar, mean / 3) for mean, bar in ends), *seeds]) / 1.2
    high = max([*(mean + bar for mean, bar in ends), *seeds]) * 1.2
    steps = (1, 2, 3, 5) if high > 10 * low else (1, 1.5, 2, 3, 5, 7)
    ticks = [n * 10**k for k in range(-3, 6) for n in steps]
    log_ticks(axes, "x", [tick for tick in ticks if low < tick < high])
    axes.set_xlim(low, high)
    axes.set_xlabel(f"{axes.get_xlabel()} (log scale)")
