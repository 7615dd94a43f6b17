"""The front figure: what is left of quality when networks shrink, curves over pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ganzip.report.figures.images import pixels, strip
from ganzip.report.figures.theme import (
    COLOURS,
    LEVELS,
    MARKERS,
    WIDTH,
    curve,
    log_ticks,
    style,
    subplots,
)


@dataclass(frozen=True)
class Panel:
    """A column of the front figure.

    scores: columns method, ratio (times fewer parameters than the teacher's; 1 for a level), mean
    and std. measure: what the vertical axis shows, lower is better. images: by label.
    """

    title: str
    scores: pd.DataFrame
    measure: str
    images: Mapping[str, Tensor]


# Methods by what the front figure calls them.
CALLED = {"alone": "regular", "taught": "mse", "fine-tuned": "fine-tune", "N & D": "NICKEL & DiME"}


@style()
def front(panels: Sequence[Panel]) -> Figure:
    """Show what is left of quality when networks shrink: curves over pictures, a column a panel.

    Axes are logarithmic; a vertical one whose means lie within a factor of five, or are not above 0
    as an unbiased estimate may be, is linear and holds 0. Methods of a single ratio are side
    by side.
    """
    heights = [3.2] + [1] * max(len(panel.images) for panel in panels)
    rows: dict[str, Any] = {"nrows": len(heights), "height_ratios": heights, "squeeze": False}
    figure, grid = subplots(1.3 * WIDTH, 5.6, ncols=len(panels), **rows)
    for (axes, *strips), panel in zip(grid.T, panels, strict=True):
        _quality(axes, panel)
        for below, (label, batch) in zip(strips, panel.images.items(), strict=False):
            strip(below, label, pixels(label, batch))
        for empty in strips[len(panel.images) :]:
            empty.remove()
    return figure


def _quality(axes: Axes, panel: Panel) -> None:
    """Draw a panel's methods, and its levels across."""
    frame = panel.scores
    points, levels = frame.loc[frame["ratio"] != 1], frame.loc[frame["ratio"] == 1]
    low, high = min(frame["mean"]), max(frame["mean"])
    linear = low <= 0 or high < 5 * low
    if points["ratio"].nunique() == 1:
        _side_by_side(axes, points)
    else:
        _over_ratios(axes, points)
    for text, mean in zip(levels["method"], levels["mean"], strict=True):
        teacher = text == "teacher"
        axes.axhline(mean, **LEVELS["teacher" if teacher else "real"])
        below = teacher and mean > 0  # methods are above it, and names of other levels too
        at: dict[str, Any] = {
            "ha": "right" if teacher else "left",
            "xytext": (0, -12 if below else 3),
        }
        place = (1.0 if teacher else 0.02, mean)
        within = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        axes.annotate(f"{text}, {mean:.0f}", place, **within, **at)
    axes.set_title(panel.title, fontweight="bold")
    scale = "" if linear else ", log scale"
    axes.set_ylabel(f"{panel.measure}\nlower is better{scale}", fontsize=10)
    if linear:
        axes.set_ylim(min(0, 1.15 * low), 1.25 * high)
    else:  # room for the teacher's name below, and for the legend above
        axes.set_ylim(low / 1.6, high * (high / low) ** 0.35)
        log_ticks(axes, "y", *_ticks(*axes.get_ylim()))


def _ticks(low: float, high: float) -> tuple[list[float], list[str]]:
    """Round numbers between two, for a logarithmic axis, and as texts."""
    steps = (n * 10**k for k in range(-2, 5) for n in (1, 2, 5))
    ticks = [tick for tick in steps if low <= tick <= high]
    return ticks, [f"{tick:g}" for tick in ticks]


def _over_ratios(axes: Axes, points: pd.DataFrame) -> None:
    """Draw methods as curves over the ratio of parameters, with a legend."""
    for method in points["method"].unique():
        line = points.loc[points["method"] == method]
        curve(axes, line, "ratio", method, **_look(method))
    axes.margins(x=0.1)
    ratios = sorted(set(points["ratio"].round(1)))
    log_ticks(axes, "x", ratios, [times(ratio) for ratio in ratios])
    axes.set_xlabel("times fewer parameters")
    axes.legend(loc="upper left", fontsize=10, handlelength=1.2, labelspacing=0.2)


def _side_by_side(axes: Axes, points: pd.DataFrame) -> None:
    """Draw methods of one ratio beside each other, the mean over each."""
    points = points.reset_index(drop=True)
    for at, (method, mean, std) in points[["method", "mean", "std"]].iterrows():
        curve(axes, points.loc[[at]].assign(at=at), "at", method, **_look(method))
        top = mean + (0 if pd.isna(std) else std)
        over: dict[str, Any] = {"ha": "center", "textcoords": "offset points", "xytext": (0, 6)}
        axes.annotate(f"{mean:.0f}", (at, top), **over)
    axes.set_xticks(points.index, points["method"])
    axes.set_xlim(-0.6, len(points) - 0.4)
    axes.set_xlabel(f"{times(points['ratio'].iloc[0])} times fewer parameters")


def _look(label: str) -> dict[str, str]:
    """The colour and marker of a method by what the front figure calls it."""
    method = CALLED.get(label, label)
    return {"color": COLOURS[method], "marker": MARKERS[method]}


def times(ratio: float) -> str:
    """Write a ratio: a whole number or, below 10, with a decimal."""
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}"
