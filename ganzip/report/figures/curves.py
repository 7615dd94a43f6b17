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
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from ganzip.report import tables
from ganzip.report.figures.ends import name_lines
from ganzip.report.figures.theme import (
    DASHES,
    LEVELS,
    LOG,
    MARKERS,
    NAMES,
    SETS,
    SPARE,
    WIDTH,
    colours,
    curve,
    direction,
    distinct,
    kind,
    legend,
    level,
    log_axis,
    log_ticks,
    markers,
    name,
    style,
    subplots,
    wants_log,
)

# --------------------------------------------------------- figures of Aguinaldo et al. (2019)

SMALL = {"fontsize": 9, "color": "#333333"}  # notes in panels
HOLLOW = {"mfc": "white", "mec": None}  # markers of published points; the edge is the line's


@style()
def metric_against_d(
    frame: pd.DataFrame,
    metric: str,
    published: pd.DataFrame | None = None,
    *,
    teacher_d: int | None = None,
) -> tuple[Figure, pd.DataFrame]:
    """Draw a metric against d, one line per method: mean over seeds, standard deviation, each seed.

    `frame` holds rows; "teacher" and "real" are drawn as levels, and so is the regular GAN of
    `teacher_d`, which is the teacher.  `published`, Table 1 as `tables.published` gives it, gets
    panels of its own: its metrics are not ours.  Panels of one metric share the vertical axis.
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
    if teacher_d is not None:
        its = mine.loc[(mine["method"] == "regular") & (mine["width"].astype(str) != "")]
        its = its.loc[its["width"].astype(float) == teacher_d]
        level(ours, "teacher", its["value"].mean(), f", d = {teacher_d}")
    _share_scales(panels)
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
    for (source, _, _), (axes, its) in panels.items():
        if source == "ours":
            ring: dict[str, Any] = {"mfc": "none", "mec": "black", "mew": 1.5, "ms": 15}
            axes.plot(*_best(its), "o", label="best mean of ours", ls="none", **ring)
        if source == "published" or len(teachers):
            d = its["picked_d"].iloc[0]
            axes.axvline(d, color="black", ls=":", lw=1.5, label="d of the teacher")
            if d not in set(its["d"]):
                where: dict[str, Any] = {"xycoords": axes.get_xaxis_transform(), "rotation": 90}
                where |= {"textcoords": "offset points", "ha": "right", "va": "top"}
                axes.annotate("no score published", (d, 1), (-3, 0), **where, **SMALL)
    _share_scales(panels)
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


def _title(axes: Axes, source: str, data: str) -> None:
    text = f"{source}: {SETS.get(data, data)}"
    axes.set_title(text, fontweight="bold" if source == "ours" else "normal")


def _share_scales(panels: Mapping[Key, tuple[Axes, pd.DataFrame]]) -> None:
    """Give panels of one metric one vertical axis, since they invite to compare them."""
    for metric in dict.fromkeys(metric for _, _, metric in panels):
        drawn = [each for (_, _, its), each in panels.items() if its == metric]
        points = pd.concat([its for _, its in drawn])
        for axes, _ in drawn:
            axes.margins(y=0.1)
        ends = [end for axes, _ in drawn for end in axes.get_ylim()]
        for axes, _ in drawn:
            if wants_log(metric, points["mean"]):
                log_axis(axes, "y", points["mean"].tolist(), points["std"].tolist())
                axes.set_ylabel(axes.get_ylabel() + LOG.replace(" (", "\n("))
            else:
                axes.set_ylim(min(ends), max(ends))


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
    # What is no power of two is on a line below: the number of d = 48 would touch that of 64.
    texts = [str(d) if d & (d - 1) == 0 or d == sizes[-1] else f"\n{d}" for d in sizes]
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
    as a bar; of more than ``CROWD`` methods only the paper's own, drawn thick, has bars along its
    line, and all have one beside its end.  "teacher" and "real" are levels.  Lines are named beside
    their right ends, with the number of their seeds where it differs.  `left` says that `x` is in
    percent of the multiply-adds that pruning saves: what it leaves is drawn, on a logarithmic axis,
    and with it the share p of pruned channels where rows have a width.  So is a distance that falls
    to a third.
    The frame returned has metric, method, `x`, mean, std and seeds.
    """
    if missing := [metric for metric in metrics if metric not in set(frame["metric"])]:
        raise ValueError(f"no rows of metrics {missing}; there are {distinct(frame, 'metric')}")
    lines = frame.loc[~frame["method"].isin(list(LEVELS)) & frame["metric"].isin(list(metrics))]
    points = tables.summary(lines, ["metric", "method", x])
    names, seeds = _names(points)
    size = (WIDTH, 0.7 + 2.2 * len(metrics))
    figure, panels = subplots(*size, nrows=len(metrics), sharex=True, squeeze=False)
    for axes, metric in zip(panels.flat, metrics, strict=True):
        its = points.loc[points["metric"] == metric]
        _methods(axes, its.assign(at=100 - its[x] if left else its[x]), names)
        means = its["mean"].tolist()
        for method in LEVELS:
            rows = frame.loc[(frame["method"] == method) & (frame["metric"] == metric)]
            if len(rows):
                means.append(rows["value"].mean())
                level(axes, method, means[-1])
        axes.set_title(direction(metric))
        if wants_log(metric, means):
            log_axis(axes, "y", means, its["std"].tolist())
            axes.set_title(axes.get_title(loc="left") + LOG)
        if metric.startswith(("precision", "recall")):  # shares
            axes.set_ylim(bottom=0)
    last = panels.flat[-1]
    at = pd.Series(100 - points[x] if left else points[x])
    if left:
        pruned = _pruned(lines, x)
        ticks = sorted(at.unique())
        log_ticks(last, "x", ticks, [f"{tick:.2g}{pruned.get(100 - tick, '')}" for tick in ticks])
        xlabel = LEFT + (P if pruned else "")
    last.set_xlabel(f"{xlabel or x}\n{seeds}" if seeds else xlabel or x)
    last.set_xlim(*_room(at, log=left, bars=len(names) if len(names) > CROWD else 0))
    name_lines(figure)
    return figure, points


P = "; p: share of channels pruned"


def _names(points: pd.DataFrame) -> tuple[dict[str, str], str]:
    """Methods by name, and what all means are over; it is in the names where it differs."""
    counts = points.groupby("method", sort=False)["seeds"].agg(["min", "max"])
    texts = {
        str(method): "one seed" if high == 1 else f"{low} to {high} seeds"
        for method, low, high in counts.itertuples()
    } | {
        str(method): f"{low} seeds" for method, low, high in counts.itertuples() if low == high > 1
    }
    if len(set(texts.values())) > 1:
        return {method: f"{name(method)}, {text}" for method, text in texts.items()}, BARS
    (text,) = set(texts.values())
    every = text if text == "one seed" else f"{BARS} over {text}"
    return {method: name(method) for method in texts}, every


BARS = "points: means, bars: standard deviations"


def _pruned(lines: pd.DataFrame, x: str) -> dict[float, str]:
    """A second line for ticks, the share of pruned channels, by ``x``; none for rows without."""
    if "width" not in lines:
        return {}
    both = lines.drop_duplicates(x)
    shares = 1 - both["width"].astype(float)
    return {rate: f"\np = {p:.2g}" for rate, p in zip(both[x], shares, strict=True)}


def _room(at: pd.Series, *, log: bool, bars: int) -> tuple[float, float]:
    """The limits of a horizontal axis with room for bars beside the ends of the lines."""
    low, high = at.min(), at.max()
    after = 0.03 + bars * APART / 72 / 5  # panels are some 5 inches wide
    if log:  # what is left falls to the right
        ratio = max(high / low, 1.5)
        return high * ratio**0.04, low / ratio**after
    span = (high - low) or 1
    return low - 0.03 * span, high + after * span


APART = 4.5  # points from bar to bar


def _methods(axes: Axes, points: pd.DataFrame, names: Mapping[str, str]) -> None:
    """Draw means of a metric over the column `at`, a line per method."""
    colour = colours(names)
    marker = markers(names)
    last = (points["at"] - points["at"].iloc[-1]).abs().idxmin()
    for n, (method, text) in enumerate(names.items(), 1):
        line = points.loc[points["method"] == method]
        look: dict[str, Any] = {"color": colour[method], "marker": marker[method], "ms": 5}
        if len(names) > CROWD:
            end = line.loc[line["at"] == points.loc[last, "at"]]
            _bar(axes, end, n * APART, colour[method])
            if method == OWN:
                look |= {"lw": 2.8, "elinewidth": 1.2, "zorder": 4}
            else:
                line, look = line.assign(std=float("nan")), look | {"lw": 1.1}
        curve(axes, line, "at", text, **look)


def _bar(axes: Axes, end: pd.DataFrame, beside: float, colour: str) -> None:
    """Draw the standard deviation of a line's end some points to the right of it."""
    aside = ScaledTranslation(beside / 72, 0, axes.figure.dpi_scale_trans)
    for at, mean, std in end[["at", "mean", "std"]].dropna().itertuples(index=False):
        low = max(mean - std, mean / 3)  # an axis may be logarithmic
        look: dict[str, Any] = {"color": colour, "lw": 2, "transform": axes.transData + aside}
        axes.add_artist(Line2D([at, at], [low, mean + std], **look))


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
