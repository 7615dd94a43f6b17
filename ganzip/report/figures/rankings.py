"""Rankings: a metric of methods, the best on top."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ganzip.report import tables
from ganzip.report.figures.theme import (
    ACROSS,
    LOG,
    SPARE,
    WIDTH,
    colours,
    direction,
    legend,
    log_axis,
    markers,
    name,
    style,
    subplots,
)

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
    marker = markers(lines["method"])
    for at, (method, colour) in enumerate(colours(lines["method"]).items()):
        look: dict[str, Any] = {"color": colour, "marker": marker[method]}
        bar = lines["bar"][at] or None
        axes.errorbar(lines[metric][at], at, xerr=bar, ms=8, mec="white", ls="none", **look)
        each = few.get(method, pd.Series(dtype=float))
        axes.plot(each, [at] * len(each), "|", color=colour, ms=14, mew=1.5)
    seeds = [value for each in few.values() for value in each]
    shown = [*lines[metric], *seeds]
    for method, mean in zip(ranked["method"], ranked[metric], strict=True):
        if method in ACROSS:
            text = f"{name(method)}, {tables.short(mean)}"
            if _far(mean, shown):
                _beyond(axes, text, left=mean < min(shown))
            else:
                axes.axvline(mean, label=text, **ACROSS[method])
                shown.append(mean)
    axes.set_yticks(range(len(lines)), [name(method) for method in lines["method"]])
    axes.set(xlabel=direction(metric), ylim=(len(lines) - 0.5, -0.5))
    if few:
        axes.plot([], [], "|", color=SPARE[2], ms=14, mew=1.5, label="one seed")
        axes.plot([], [], "o", color=SPARE[2], ms=8, mec="white", ls="none", label="mean")
    if min(shown) > 0:
        log_axis(axes, "x", lines[metric].tolist(), lines["bar"].tolist(), shown)
        axes.set_xlabel(axes.get_xlabel() + LOG)
    axes.grid(axis="y")
    legend(figure, above=True)
    return figure, ranked.loc[:, ["method", metric, "sd"]]


FAR = 4  # times, beyond which a level would leave an axis empty


def _far(mean: float, shown: Sequence[float]) -> bool:
    return min(mean, *shown) > 0 and (FAR * mean < min(shown) or mean > FAR * max(shown))


def _beyond(axes: Axes, text: str, *, left: bool) -> None:
    """Write what lies beyond an end of a ranking, where its last lines leave room."""
    where: dict[str, Any] = {"transform": axes.transAxes, "va": "bottom", "fontsize": 10}
    if left:
        axes.text(0.01, 0.03, f"← {text}", ha="left", **where)
    else:
        axes.text(0.99, 0.03, f"{text} →", ha="right", **where)
