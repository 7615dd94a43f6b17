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
    as an unbiased estimate may be, is linear and holds 0. Methods of a single ratio are side by
    side, each with its name and mean.
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
    lines, levels = frame.loc[frame["ratio"] != 1], frame.loc[frame["ratio"] == 1]
    single = lines["ratio"].nunique() == 1
    draw = _side_by_side if single else _over_ratios
    draw(axes, lines)
    low, high = min(frame["mean"]), max(frame["mean"])
    linear = low <= 0 or high < 5 * low
    for text, mean in zip(levels["method"], levels["mean"], strict=True):
        teacher = text == "teacher"
        axes.axhline(mean, **LEVELS["teacher" if teacher else "real"])
        at: dict[str, Any] = {"ha": "right" if teacher else "left"}
        under = teacher and mean > 0 and (linear or single)  # methods may be over it
        at |= {"textcoords": "offset points", "xytext": (0, -13 if under else 3)}
        place = (1.0 if teacher else 0.02, mean)
        axes.annotate(f"{text}, {mean:.0f}", place, xycoords=("axes fraction", "data"), **at)
    axes.set_title(panel.title, fontweight="bold")
    scale = "" if linear else ", log scale"
    axes.set_ylabel(f"{panel.measure}\nlower is better{scale}", fontsize=10)
    axes.margins(x=0.1, y=0.15)
    if linear:
        axes.set_ylim(min(0, 1.15 * low), 1.15 * high)
    else:
        axes.set_yscale("log")
    if single:  # names are over the points
        room = (1.4 if linear else 2) * max(lines["mean"] + lines["std"].fillna(0))
        axes.set_ylim(top=max(room, axes.get_ylim()[1]))
    if not linear:
        low, high = axes.get_ylim()
        steps = (n * 10**k for k in range(-2, 5) for n in (1, 2, 5))
        ticks = [tick for tick in steps if low <= tick <= high]
        log_ticks(axes, "y", ticks, [f"{tick:g}" for tick in ticks])


def _over_ratios(axes: Axes, points: pd.DataFrame) -> None:
    """Draw methods as curves over the ratio of parameters, with a legend above."""
    for method in points["method"].unique():
        line = points.loc[points["method"] == method]
        curve(axes, line, "ratio", method, **_look(method))
    ratios = sorted(set(points["ratio"].round(1)))
    log_ticks(axes, "x", ratios, [_times(ratio) for ratio in ratios])
    axes.set_xlabel("times fewer parameters")
    where: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (-0.14, 1.1), "ncols": 3}
    close: dict[str, Any] = {"handlelength": 0.8, "columnspacing": 0.6, "handletextpad": 0.3}
    axes.legend(**where, **close, fontsize=10)


def _side_by_side(axes: Axes, points: pd.DataFrame) -> None:
    """Draw methods of one ratio beside each other, the name and the mean over each."""
    points = points.reset_index(drop=True)
    for at, (method, mean, std) in points[["method", "mean", "std"]].iterrows():
        curve(axes, points.loc[[at]].assign(at=at), "at", method, **_look(method))
        top = mean + (0 if pd.isna(std) else std)
        over: dict[str, Any] = {"ha": "center", "textcoords": "offset points", "xytext": (0, 6)}
        axes.annotate(f"{method}\n{mean:.0f}", (at, top), **over)
    axes.set(xticks=[], xlim=(-0.6, len(points) - 0.4))
    axes.set_xlabel(f"{_times(points['ratio'].iloc[0])} times fewer parameters")


def _look(label: str) -> dict[str, str]:
    """The colour and marker of a method by what the front figure calls it."""
    method = CALLED.get(label, label)
    return {"color": COLOURS[method], "marker": MARKERS[method]}


def _times(ratio: float) -> str:
    """Write a ratio: a whole number or, below 10, with a decimal."""
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}"
