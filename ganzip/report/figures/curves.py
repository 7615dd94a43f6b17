"""Curves: a metric over sizes, over cost and over training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import cycle
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from ganzip.report import tables
from ganzip.report.figures.images import pixels
from ganzip.report.figures.theme import (
    COLOURS,
    DASHES,
    DIRECTION,
    LEVELS,
    MARKERS,
    NAMES,
    SPARE,
    WIDTH,
    colours,
    distinct,
    kind,
    legend,
    name,
    style,
    subplots,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor


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
    theirs = _published_rows(published, ["student", "regular"])
    figure, (first, *others) = _panels(theirs)
    _curves(first, mine)
    for method, look in LEVELS.items():
        for d, rows in mine.loc[mine["method"] == method].groupby("width"):
            size = f", d = {d}" if d else ""
            first.axhline(rows["value"].mean(), label=f"{name(method)}{size}", **look)
    first.set_title(f"ours: {distinct(mine, 'dataset')}", fontweight="bold")
    for axes, rows in zip(others, _by_dataset(theirs), strict=True):
        _curves(axes, rows)
        axes.set_title(f"published: {rows['dataset'].iloc[0]}")
    legend(figure)
    return figure, _drawn(mine, theirs)


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
    theirs = _published_rows(published, ["regular"])
    drawn = _drawn(mine, theirs)
    ours = drawn.loc[drawn["source"] == "ours"].set_index("d")["mean"]
    best = int(ours.idxmax() if higher else ours.idxmin())
    figure, (first, *others) = _panels(theirs)
    _curves(first, mine)
    ring: dict[str, Any] = {"mfc": "none", "mec": "black", "mew": 1.5, "ms": 15, "ls": "none"}
    first.plot(best, ours[best], "o", label="best of ours", **ring)
    first.margins(y=0.15)
    first.set_title(f"ours: {distinct(mine, 'dataset')}, d = {best}", fontweight="bold")
    picked = {("ours", dataset): best for dataset in mine["dataset"]}
    for axes, rows in zip(others, _by_dataset(theirs), strict=True):
        dataset, d = rows["dataset"].iloc[0], int(rows["teacher_d"].iloc[0])
        picked["published", dataset] = d
        _curves(axes, rows, also=d)
        axes.axvline(d, color="black", ls=":", lw=1.5, label="picked in the paper")
        axes.set_title(f"published: {dataset}, d = {d}")
    legend(figure)
    keys = zip(drawn["source"], drawn["dataset"], strict=True)
    return figure, drawn.assign(picked_d=[picked[key] for key in keys])


def _published_rows(published: pd.DataFrame | None, methods: list[str]) -> pd.DataFrame:
    """Bring Table 1 into the form of rows, without the blank cells."""
    if published is None:
        return pd.DataFrame(columns=["dataset", "metric", "teacher_d", "width", "method", "value"])
    long = published.melt(["dataset", "metric", "teacher_d", "d"], methods, var_name="method")
    return long.dropna(subset="value").rename(columns={"d": "width"})


def _by_dataset(rows: pd.DataFrame) -> list[pd.DataFrame]:
    return [rows.loc[rows["dataset"] == dataset] for dataset in rows["dataset"].unique()]


def _drawn(mine: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    """Give the numbers of the curves: ours summed up over seeds, then the published ones."""
    ours = tables.summary(mine, by=["dataset", "metric", "method", "width"]).assign(source="ours")
    given = theirs.rename(columns={"value": "mean"}).assign(source="published")
    both = pd.concat([ours, given], ignore_index=True) if len(given) else ours
    columns = ("source", "dataset", "metric", "method", "d", "mean", "std", "seeds")
    return both.rename(columns={"width": "d"}).reindex(columns=columns)


def _panels(theirs: pd.DataFrame) -> tuple[Figure, list[Axes]]:
    """Make a panel for ours and one for each published data set, two in a line."""
    count = 1 + len(_by_dataset(theirs))
    lines = -(-count // 2)
    figure, grid = subplots(
        WIDTH, 0.8 + 2.6 * lines, nrows=lines, ncols=min(count, 2), squeeze=False
    )
    for axes in grid.flat[count:]:
        axes.remove()
    return figure, list(grid.flat[:count])


def _curves(axes: Axes, rows: pd.DataFrame, also: int | None = None) -> None:
    """Draw rows as lines over d, one per method, each seed a pale point; `also` is a d to show."""
    import seaborn as sns

    curves = rows.loc[~rows["method"].isin(list(LEVELS))]
    curves = curves.assign(width=curves["width"].astype(int))
    methods = list(curves["method"].unique())
    colour = colours(methods)
    for method in sorted(methods, key=lambda m: [*NAMES, kind(m)].index(kind(m))):
        line = curves.loc[curves["method"] == method]
        look: dict[str, Any] = {"color": colour[method], "marker": MARKERS.get(kind(method), "o")}
        sns.lineplot(
            data=line,
            x="width",
            y="value",
            errorbar="sd",
            err_style="bars",
            label=name(method),
            markeredgecolor="white",
            legend=False,
            ax=axes,
            **look,
        )
        if line.duplicated("width").to_numpy().any():
            axes.scatter(line["width"], line["value"], s=14, alpha=0.45, lw=0, **look)
    metric = str(rows["metric"].iloc[0])
    sizes = sorted({int(d) for d in curves["width"]} | ({also} if also else set()))
    axes.set(xlabel="d", ylabel=f"{metric}{DIRECTION[tables.higher_is_better(metric)]}")
    axes.set_xscale("log", base=2)
    # Powers of two and the last only: the number of d = 48 would touch that of 64.
    axes.set_xticks(sizes, [str(d) if d & (d - 1) == 0 or d == sizes[-1] else "" for d in sizes])
    axes.minorticks_off()
    margin = max((sizes[-1] / sizes[0]) ** 0.05, 1.1)
    axes.set_xlim(sizes[0] / margin, sizes[-1] * margin)


@style()
def speedups(frame: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw how many times faster than at C = 1 a generator is, a panel per network.

    Kaparinos and Mezaris (2025), table 3.  `frame` has network, C ("1/2" or a number), speedup and
    source: "ours", "published" or, the speed that counting promises, "multiply-adds".  Published:
    `tables.published("sdakd", 3).melt("C", var_name="network", value_name="speedup")`.
    The frame returned has network, C and a column per source.  Raises ValueError for a missing
    column, and for two values of one point.
    """
    keys = ["network", "C", "source"]
    if missing := [column for column in (*keys, "speedup") if column not in frame.columns]:
        raise ValueError(f"speedups: missing columns {missing}; expected {keys} and speedup")
    frame = frame.assign(C=[Fraction(str(size)) for size in frame["C"]])
    if (twice := frame.duplicated(keys)).to_numpy().any():
        first = dict(frame.loc[twice, keys].iloc[0].map(str))
        raise ValueError(f"speedups: two values for {first}; expected one: filter or average first")
    networks, sources = frame["network"].unique(), frame["source"].unique()
    looks = {
        source: {"color": colour, "ls": dashes, "marker": marker}
        for (source, colour), dashes, marker in zip(
            colours(sources).items(), cycle(DASHES), cycle("os^D"), strict=False
        )
    }
    figure, grid = subplots(WIDTH, 3.4, ncols=len(networks), sharey=True, squeeze=False)
    frame = frame.sort_values("C", ascending=False, kind="stable")
    parts = [frame.loc[frame["network"] == network] for network in networks]
    for axes, network, its in zip(grid.flat, networks, parts, strict=True):
        for source, look in looks.items():
            points = its.loc[its["source"] == source]
            if len(points):
                compression = [float(1 / size) for size in points["C"]]
                axes.plot(compression, points["speedup"], label=source, mec="white", **look)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        sizes = its["C"].unique()
        axes.set_xticks([float(1 / size) for size in sizes], [str(size) for size in sizes])
        axes.minorticks_off()
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set(title=network, xlabel="C, share of the channels")
    grid.flat[0].set_ylabel("speed-up over C = 1")
    legend(figure)
    drawn = pd.concat(parts).assign(C=lambda rows: rows["C"].map(str))
    wide = drawn.pivot_table("speedup", ["network", "C"], "source", sort=False)
    return figure, wide.rename_axis(columns=None).reset_index()


@style()
def history(frame: pd.DataFrame, *, smooth: int = 1) -> tuple[Figure, pd.DataFrame]:
    """Draw the loss terms of a run, a panel for each player; history.csv, long form.

    `frame` has columns step, player, term, value.  `smooth` is the number of logged points in a
    moving mean; the points themselves stay behind it, pale.  The frame returned adds `smoothed`.
    """
    if missing := [c for c in ("step", "player", "term", "value") if c not in frame.columns]:
        raise ValueError(f"history: missing columns {missing}; hand over a unit's history.csv")
    import seaborn as sns

    by = frame.groupby(["player", "term"], sort=False)["value"]
    rolled = by.transform(lambda values: values.rolling(smooth, min_periods=1, center=True).mean())
    drawn = frame.assign(smoothed=rolled)

    players = list(frame["player"].unique())
    size = (WIDTH, 0.4 + 1.9 * len(players))
    figure, panels = subplots(*size, nrows=len(players), sharex=True, squeeze=False)
    for axes, player in zip(panels.flat, players, strict=True):
        terms = drawn.loc[drawn["player"] == player]
        look: dict[str, Any] = {"data": terms, "x": "step", "hue": "term", "ax": axes}
        look["palette"] = dict(zip(terms["term"].unique(), cycle(SPARE), strict=False))
        if smooth > 1:
            sns.lineplot(y="value", lw=0.8, alpha=0.3, legend=False, **look)
        sns.lineplot(y="smoothed", **look)
        axes.set(title=player, ylabel="loss", xlabel="step")
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure, drawn


@style()
def by_method(
    frame: pd.DataFrame, x: str, metrics: Sequence[str], *, xlabel: str = "", saved: bool = False
) -> tuple[Figure, pd.DataFrame]:
    """Draw metrics against a column `x` of rows, a panel per metric and a line per method.

    Yeo et al. (2024), figures 3c and 4.  A point is the mean over seeds with the standard deviation
    as a bar; "teacher" and "real" are levels.  `saved` says that `x` is in percent of what pruning
    saves, which is drawn over what it leaves, on a logarithmic axis.
    The frame returned has metric, method, `x`, mean, std and seeds.
    """
    if missing := [metric for metric in metrics if metric not in set(frame["metric"])]:
        raise ValueError(f"no rows of metrics {missing}; there are {distinct(frame, 'metric')}")
    lines = frame.loc[~frame["method"].isin(list(LEVELS)) & frame["metric"].isin(list(metrics))]
    drawn = tables.summary(lines, ["metric", "method", x])
    colour = colours(lines["method"].unique())
    size = (WIDTH, 1.2 + 2.2 * len(metrics))
    figure, panels = subplots(*size, nrows=len(metrics), sharex=True, squeeze=False)
    for axes, metric in zip(panels.flat, metrics, strict=True):
        points = drawn.loc[drawn["metric"] == metric]
        for (method, shade), marker in zip(colour.items(), cycle("os^Dv<>"), strict=False):
            line = points.loc[points["method"] == method].sort_values(x)
            at = 100 - line[x] if saved else line[x]
            look: dict[str, Any] = {"color": shade, "marker": marker, "mec": "white", "ms": 5}
            bars = line["std"].fillna(0)
            axes.errorbar(at, line["mean"], bars, label=name(str(method)), **look)
        for level, look in LEVELS.items():
            rows = frame.loc[(frame["method"] == level) & (frame["metric"] == metric)]
            if len(rows):
                axes.axhline(rows["value"].mean(), label=name(level), **look)
        axes.set_title(f"{metric}{DIRECTION[tables.higher_is_better(metric)]}")
    last = panels.flat[-1]
    last.set_xlabel(xlabel or x)
    if saved:
        rates = sorted(drawn[x].unique())
        last.set_xscale("log")
        last.set_xticks([100 - rate for rate in rates], [f"{rate:.1f}" for rate in rates])
        last.minorticks_off()
        last.invert_xaxis()
    legend(figure)
    return figure, drawn


@style()
def quality_against_cost(
    table: pd.DataFrame, metric: str, costs: Sequence[str]
) -> tuple[Figure, pd.DataFrame]:
    """Draw a metric against costs, a panel for each and a point for each method, named beside it.

    `table` has a line per method: method, the metric, its sd, and the costs, NaN where a line has
    none.  The teacher is black, lines without a seed are grey.  It returns what it draws.
    Raises ValueError for a column that is missing.
    """
    columns = ["method", metric, "sd", *costs]
    if missing := [column for column in columns if column not in table.columns]:
        raise ValueError(f"quality_against_cost: missing columns {missing} in the table")
    figure, panels = subplots(WIDTH, 3.6 * len(costs), nrows=len(costs), squeeze=False)
    for axes, cost in zip(panels.flat, costs, strict=True):
        points = table.dropna(subset=[metric, cost]).sort_values(metric)
        lowest = -math.inf
        low, high = points[metric].min(), points[metric].max()
        records = cast(list[dict[str, Any]], points.to_dict("records"))
        for point in records:
            trained = bool(pd.notna(point["sd"]) or pd.notna(point.get("seeds")))
            own = COLOURS["mse"] if trained else COLOURS["real"]
            shade = COLOURS["teacher"] if point["method"] == "teacher" else own
            bar = 0 if pd.isna(point["sd"]) else point["sd"]
            axes.errorbar(point[cost], point[metric], bar, fmt="o", color=shade, mec="white", ms=6)
            lowest = max(point[metric], lowest + 0.05 * (high - low))  # names do not overlap
            at = {"xytext": (point[cost], lowest), "va": "center", "fontsize": "small"}
            axes.annotate(f"   {name(str(point['method']))}", (point[cost], point[metric]), **at)
        at_all = sorted(set(points[cost].tolist()))
        if at_all[-1] > 2 * at_all[0]:
            axes.set_xscale("log")
            axes.set_xticks(at_all)
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
            axes.minorticks_off()
        axes.margins(x=0.3)
        axes.set(xlabel=cost, ylabel=f"{metric}{DIRECTION[tables.higher_is_better(metric)]}")
    return figure, table.loc[:, columns]


@style()
def front(panels: Mapping[str, tuple[pd.DataFrame, str, Mapping[str, Tensor]]]) -> Figure:
    """Show what is left of quality when networks shrink: a column a title, curves over pictures.

    A column is a frame with columns method, ratio (times fewer parameters than the teacher's; 1 for
    a level), mean and std, its methods from the control to the distilled one; what its vertical
    axis is called; and pictures by label. Both axes are logarithmic.
    """
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(1.45 * WIDTH, 5.6))
    plt.close(figure)
    parts = figure.subfigures(1, len(panels), squeeze=False)[0]
    for part, (title, (frame, ylabel, images)) in zip(parts, panels.items(), strict=True):
        axes, *strips = part.subplots(1 + len(images), 1, height_ratios=[2.8] + [1] * len(images))
        axes.set_title(title, fontweight="bold")
        lines, levels = frame.loc[frame["ratio"] != 1], frame.loc[frame["ratio"] == 1]
        looks = [(COLOURS["regular"], "s"), (COLOURS["student"], "o")]
        methods = lines["method"].unique()
        if len(methods) == 3:
            looks = [(COLOURS["fine-tune"], "^"), *looks]
        for method, (shade, marker) in zip(methods, looks, strict=True):
            line = lines.loc[lines["method"] == method].sort_values("ratio")
            look: dict[str, Any] = {"color": shade, "marker": marker, "mec": "white", "ms": 6}
            axes.errorbar(line["ratio"], line["mean"], line["std"].fillna(0), label=method, **look)
        for level, mean in zip(levels["method"], levels["mean"], strict=True):
            axes.axhline(mean, **LEVELS["teacher" if level == "teacher" else "real"])
            side, below = (1.0, 3) if level == "teacher" else (0.02, -12)
            axes.annotate(level, (side, mean), xycoords=("axes fraction", "data"),
                          ha="right" if side == 1 else "left",
                          textcoords="offset points", xytext=(0, below), fontsize=9)  # fmt: skip
        axes.set(xscale="log", yscale="log", xlabel="times fewer parameters", ylabel=ylabel)
        ratios = sorted(set(lines["ratio"].round(1)))
        axes.set_xticks(ratios, [f"{ratio:.3g}" for ratio in ratios])
        axes.margins(y=0.12)
        low, high = axes.get_ylim()
        steps = (n * 10**k for k in range(-2, 5) for n in (1, 2, 5))
        ticks = [tick for tick in steps if low <= tick <= high]
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        where: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (-0.02, 1.1)}
        axes.legend(**where, ncols=3, fontsize=9, handlelength=1.2, columnspacing=1)
        for strip, (label, batch) in zip(strips, images.items(), strict=True):
            row = np.concatenate([*pixels(label, batch)], axis=1)
            strip.imshow(row.squeeze(), vmin=0, vmax=255)
            strip.set(xticks=[], title=None)
            strip.set_yticks([row.shape[0] / 2], [label])
            strip.tick_params(length=0)
            strip.spines[:].set_visible(False)
            strip.grid(False)
    return figure
