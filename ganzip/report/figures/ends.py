"""Names of lines beside their right ends, in the place of a legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from sklearn.isotonic import isotonic_regression

SIZE = 9.5  # points
PITCH = 1.35 * SIZE / 72  # inches from name to name


@dataclass(frozen=True)
class End:
    """The right end of a line, in shares of the panel's width and height, and its name."""

    x: float
    y: float
    text: str
    line: Line2D


def name_lines(figure: Figure) -> None:
    """Write the name of every line beside its right end, in all panels of a figure."""
    figure.draw_without_rendering()  # limits and heights are known after it
    for axes in figure.axes:
        axes.autoscale(False)  # or what is written here would move them
        ends = sorted(_ends(axes), key=lambda end: end.y)
        pitch = PITCH * figure.dpi / axes.get_window_extent().height
        for end, place in zip(ends, apart([end.y for end in ends], pitch), strict=True):
            _write(axes, end, place)


def apart(places: Sequence[float], gap: float) -> list[float]:
    """The nearest places in [0, 1] to rising ones that are ``gap`` apart; more than fit leave it.

    Least squares: neighbours that are too near share the mean of what they want.
    """
    if not places:
        return []
    steps = gap * np.arange(len(places))
    spare = 1 - (len(places) - 1) * gap  # below 0 where there are too many: then all are shifted
    return (isotonic_regression(places - steps, y_min=0, y_max=spare) + steps).tolist()


def _ends(axes: Axes) -> list[End]:
    """The right ends of the lines of a panel that have a name."""
    found = []
    for handle, text in zip(*axes.get_legend_handles_labels(), strict=True):
        line = handle.lines[0] if isinstance(handle, ErrorbarContainer) else handle
        if not isinstance(line, Line2D):
            continue
        points = line.get_transform().transform(line.get_xydata())
        points = axes.transAxes.inverted().transform(points[np.isfinite(points).all(1)])
        if len(points):
            x, y = max(points.tolist())
            found.append(End(x, y, text, line))
    return found


def _write(axes: Axes, end: End, place: float) -> None:
    """Write a name at a height, a thin line leading to it from the end of its own."""
    look = {"color": end.line.get_color(), "transform": axes.transAxes, "clip_on": False}
    # Level as far as the panel reaches, or leaders would cross in it.
    axes.plot([end.x, 1, 1.04, 1.05], [end.y, end.y, place, place], lw=0.8, **look)
    mark = {"marker": end.line.get_marker(), "ms": 5, "ls": "none", "mec": "white"}
    axes.plot([1.05], [place], **mark, **look)
    weight = "bold" if end.line.get_linewidth() > 2 else "normal"  # as thick as the paper's own
    where = {"transform": axes.transAxes, "va": "center", "fontsize": SIZE}
    axes.text(1.065, place, end.text, fontweight=weight, **where)
