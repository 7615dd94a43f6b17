"""Histograms of what discriminators say."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ganzip.report.figures.theme import DASHES, SPARE, WIDTH, colours, legend, name, style, subplots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor


@style()
def logit_histogram(
    logits: Mapping[str, Tensor],
    *,
    bins: int = 30,
    equilibrium: float = 0.0,
    limits: tuple[float, float] | None = None,
    xlabel: str = "logit of the discriminator",
) -> tuple[Figure, pd.DataFrame, pd.DataFrame]:
    """Draw histograms of what a discriminator says, with the value at which it cannot tell.

    For probabilities: `equilibrium=0.5, limits=(0, 1)`.  Returns the figure, the counts (columns
    left, right and one per label; all share the bins) and the moments (label, n, mean, std).
    Raises ValueError for logits that are empty or not finite, or lie outside of `limits`.
    """
    arrays = {label: _numbers(f"logits {label!r}", x) for label, x in logits.items()}
    everything = np.concatenate(list(arrays.values()))
    edges = np.histogram_bin_edges(everything, bins, limits)
    if everything.min() < edges[0] or everything.max() > edges[-1]:
        raise ValueError(f"limits: {limits} leave out values; expected all values inside")
    figure, axes = subplots(WIDTH, 3.4)
    looks = {label: {"color": colour} for label, colour in colours(arrays).items()}
    counts, moments = _histogram(axes, arrays, edges, looks)
    axes.axvline(equilibrium, color="#009E73", lw=1.8, label=f"equilibrium: {equilibrium:g}")
    axes.set(xlabel=xlabel)
    figure.legend(loc="outside upper center", ncols=min(len(arrays) + 1, 4))
    return figure, counts, moments


@style()
def probability_histograms(
    panels: Mapping[str, Mapping[str, Tensor]], *, bins: int = 20
) -> tuple[Figure, pd.DataFrame, pd.DataFrame]:
    """Draw a column of histograms of P(real), the sigmoid of what a discriminator says of an image.

    Kaparinos and Mezaris (2025), figures 2 and 3.  `panels` maps a title to labelled sets of one
    value per image; a label looks the same in all panels, which share the bins and the axis [0, 1].
    Returns the figure, the counts (panel, left, right, one column per label) and the moments
    (panel, label, n, mean, std).  Raises ValueError for a set that is empty or leaves [0, 1].
    """
    edges = np.linspace(0, 1, bins + 1)
    labels = dict.fromkeys(label for sets in panels.values() for label in sets)
    # Lines differ in dashes too: in grey, the colours are alike.
    looks = {
        label: {"color": colour, "ls": dashes}
        for (label, colour), dashes in zip(colours(labels).items(), cycle(DASHES), strict=False)
    }
    size = (WIDTH, 0.7 + 2.3 * len(panels))
    figure, grid = subplots(*size, nrows=len(panels), sharex=True, squeeze=False)
    counts, moments = {}, {}
    for axes, (title, sets) in zip(grid.flat, panels.items(), strict=True):
        arrays = {label: _numbers(f"{title!r}, {label!r}", x) for label, x in sets.items()}
        for label, array in arrays.items():
            if array.min() < 0 or array.max() > 1:
                raise ValueError(
                    f"{title!r}, {label!r}: found values from {array.min():.3g} to "
                    f"{array.max():.3g}; expected probabilities, such as the sigmoid of logits"
                )
        counts[title], moments[title] = _histogram(axes, arrays, edges, looks)
        axes.axvline(0.5, color="black", lw=1.0, label="equilibrium: 0.5")
        axes.set(title=title, xlim=(0, 1))
    grid.flat[-1].set_xlabel("P(real), as the discriminator sees it")
    legend(figure)
    return figure, _by_panel(counts), _by_panel(moments)


def _numbers(what: str, values: Tensor) -> np.ndarray:
    array = np.asarray(values.detach().cpu(), dtype=float).ravel()
    if not len(array) or not np.isfinite(array).all():
        raise ValueError(f"{what}: empty or not finite; expected finite numbers")
    return array


def _histogram(
    axes: Axes,
    arrays: Mapping[str, np.ndarray],
    edges: np.ndarray,
    looks: Mapping[str, dict[str, Any]],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw labelled numbers as filled stairs over shared bins; return their counts and moments."""
    counts = pd.DataFrame({"left": edges[:-1], "right": edges[1:]})
    for label, array in arrays.items():
        counts[label] = np.histogram(array, edges)[0]
        axes.stairs(counts[label], edges, fill=True, color=looks[label]["color"], alpha=0.25)
        axes.stairs(counts[label], edges, lw=1.8, label=name(label), **looks[label])
    axes.set(ylabel="images per bin", ylim=(0, None))
    moments = pd.DataFrame(
        [(label, len(a), a.mean(), pd.Series(a).std()) for label, a in arrays.items()],
        columns=["label", "n", "mean", "std"],
    )
    return counts, moments


def _by_panel(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Put the frames of panels under each other, the panel's title in the first column."""
    return pd.concat(frames, names=["panel"]).reset_index("panel").reset_index(drop=True)


@style()
def equilibrium(
    panels: Mapping[str, Mapping[str, Tensor]], traces: pd.DataFrame, *, bins: int = 30
) -> tuple[Figure, pd.DataFrame, pd.DataFrame]:
    """Draw what discriminators say at the end of training, and of generated images over it.

    Yeo et al. (2024), figures 3a and 3b.  A row per discriminator: `panels` maps its title to
    labelled sets of logits, `traces` has columns panel, label, step and value.  At the line, 0, a
    discriminator cannot tell.  Labels that begin with "real" are dashed and have the colour of the
    label that ends alike.  Returns the figure, the counts (panel, left, right, one column per
    label) and the moments (panel, label, n, mean, std).
    """
    labels = dict.fromkeys(label for sets in panels.values() for label in sets)
    kinds = dict.fromkeys(label.partition(" ")[2] for label in labels)
    colour = dict(zip(kinds, cycle(("#D55E00", "#0072B2", *SPARE[3:])), strict=False))
    looks: dict[str, dict[str, Any]] = {
        label: {
            "color": colour[label.partition(" ")[2]],
            "ls": DASHES[1] if label.startswith("real") else "-",
        }
        for label in labels
    }
    ideal: dict[str, Any] = {"color": "#009E73", "lw": 1.8, "label": "equilibrium: 0"}
    size = (WIDTH, 0.8 + 2.3 * len(panels))
    figure, grid = subplots(*size, nrows=len(panels), ncols=2, squeeze=False)
    counts, moments = {}, {}
    for (left, right), (title, sets) in zip(grid, panels.items(), strict=True):
        arrays = {label: _numbers(f"{title!r}, {label!r}", x) for label, x in sets.items()}
        edges = np.histogram_bin_edges(np.concatenate(list(arrays.values())), bins)
        counts[title], moments[title] = _histogram(left, arrays, edges, looks)
        left.axvline(0, **ideal)
        left.set(title=title, xlabel="logit at the end")
        for label, rows in traces.loc[traces["panel"] == title].groupby("label", sort=False):
            right.plot(rows["step"], rows["value"], marker="o", ms=3, **looks[str(label)])
        right.axhline(0, **ideal)
        right.set(title="generated images, over training", xlabel="step", ylabel="mean logit")
    legend(figure)
    return figure, _by_panel(counts), _by_panel(moments)
