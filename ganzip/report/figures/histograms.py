"""Histograms of what discriminators say of images."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ganzip import metrics
from ganzip.report.figures.theme import (
    COLOURS,
    DASHES,
    SPARE,
    WIDTH,
    colours,
    legend,
    name,
    style,
    subplots,
)

BINS = 30  # of logits
SHADES = (SPARE[1], "#5E35B1")  # that no method has, pale and dark, told apart without red or green
Panels = Mapping[str, Mapping[str, Tensor]]  # labelled sets of numbers by title
# Counts (panel, left, right, one column per label) and moments (panel, label, n, mean, std).
Frames = tuple[pd.DataFrame, pd.DataFrame]


@style()
def logit_histogram(
    logits: Mapping[str, Tensor],
) -> tuple[Figure, pd.DataFrame, pd.DataFrame]:
    """Draw histograms of a discriminator's logits, with the value at which it cannot tell.

    A row per label, over the outline of "real" where that is one of them, with the AUC of real
    against it.  Returns the figure, the counts (left, right, one column per label; all share the
    bins) and the moments (label, n, mean, std).  Raises ValueError for logits that are empty or not
    finite.
    """
    looks = {label: {"color": colour} for label, colour in colours(logits).items()}
    counts, moments = _counts("logits", logits, BINS)
    rows = [label for label in logits if label != "real"] or list(logits)
    size = (WIDTH, 0.9 + 1.15 * len(rows))
    figure, grid = subplots(*size, nrows=len(rows), sharex=True, sharey=True, squeeze=False)
    for axes, label in zip(grid.flat, rows, strict=True):
        if "real" in logits:
            _stairs(axes, counts, "real", looks["real"], filled=label == "real")
        if label != "real":
            _stairs(axes, counts, label, looks[label])
            note = name(label)
            if "real" in logits:
                note += f"\nAUC {metrics.auc(logits['real'], logits[label]):.2f}"
            _note(axes, note, looks[label]["color"])
        axes.axvline(0, **_equilibrium(0))
        axes.set_ylim(0, None)
    figure.supylabel("images per bin", fontsize="medium")
    grid.flat[-1].set_xlabel("logit of the discriminator")
    legend(figure, above=True)
    return figure, counts, moments


@style()
def probability_histograms(
    panels: Panels,
) -> tuple[Figure, pd.DataFrame, pd.DataFrame]:
    """Draw a column of histograms of the probability of real that discriminators give images.

    Kaparinos and Mezaris (2025), figures 2 and 3.  `panels` maps a title to labelled sets of one
    value per image; a label looks the same in all panels, which share the bins and both axes.  What
    follows a label's first line, such as an AUC, is a note that its panel bears.
    Returns the figure, the counts (panel, left, right, one column per label) and the moments
    (panel, label, n, mean, std).  Raises ValueError for a set that is empty or leaves [0, 1].
    """
    notes = {title: dict(label.split("\n") for label in sets if "\n" in label)
             for title, sets in panels.items()}  # fmt: skip
    panels = {
        title: {label.partition("\n")[0]: values for label, values in sets.items()}
        for title, sets in panels.items()
    }
    for title, sets in panels.items():
        for label, values in sets.items():
            if len(values) and (values.min() < 0 or values.max() > 1):
                raise ValueError(
                    f"{title!r}, {label!r}: found values from {values.min():.3g} to "
                    f"{values.max():.3g}; expected probabilities, such as the sigmoid of logits"
                )
    # Lines differ in dashes too: in grey, the colours are alike.
    own = zip(colours(_labels(panels)).items(), cycle(DASHES), strict=False)
    looks = {label: {"color": colour, "ls": dashes} for (label, colour), dashes in own}
    size = (WIDTH, 0.7 + 2.3 * len(panels))
    figure, grid = subplots(*size, nrows=len(panels), sharex=True, sharey=True, squeeze=False)
    frames = {}
    for axes, (title, sets) in zip(grid.flat, panels.items(), strict=True):
        frames[title] = _histogram(axes, title, sets, np.linspace(0, 1, 21), looks)
        axes.axvline(0.5, **_equilibrium(0.5))
        for n, (label, note) in enumerate(notes[title].items()):
            _note(axes, f"{label}: {note}", looks[label]["color"], below=n)
        axes.set(title=title, xlim=(0, 1))
    counts = pd.concat([its.drop(columns=["left", "right"]) for its, _ in frames.values()])
    grid.flat[0].set_ylim(0, 1.05 * counts.max(axis=None))
    grid.flat[-1].set_xlabel("D(student): the probability of real that D gives a student's image")
    legend(figure)
    return figure, *_by_panel(frames)


@style()
def equilibrium(
    panels: Panels, traces: pd.DataFrame, *, beside: tuple[Panels, pd.DataFrame] | None = None
) -> tuple[Figure, pd.DataFrame, pd.DataFrame]:
    """Draw what discriminators say at the end of training, and of generated images over it.

    Yeo et al. (2024), figures 3a and 3b.  A row per discriminator: `panels` maps its title to
    labelled sets of logits, `traces` has columns panel, label, step, value and, to say how many
    seeds it shows, seed.  At the line, 0, a discriminator cannot tell.  Labels that begin with
    "real" are dashed outlines in the colour of the label that ends alike; of the others the means
    are marked, and an arrow goes from the first to the last.  All rows share axes, also with
    another figure, whose panels and traces are `beside`.  Returns the figure, the counts
    (panel, left, right, one column per label) and the moments (panel, label, n, mean, std).
    """
    labels = _labels(panels)
    ends = dict.fromkeys(label.partition(" ")[2] for label in labels)
    colour = dict(zip(ends, cycle((*SHADES, *SPARE[1:])), strict=False))
    real = [label for label in labels if label.startswith("real")]
    looks: dict[str, dict[str, Any]] = {
        label: {
            "color": colour[label.partition(" ")[2]],
            "ls": DASHES[1] if label in real else "-",
        }
        for label in labels
    }
    size = (WIDTH, 1.0 + 2.1 * len(panels))
    figure, grid = subplots(*size, nrows=len(panels), ncols=2, squeeze=False, sharex="col")
    every = [(panels, traces), *([beside] if beside else [])]
    logits = [x.detach().cpu().numpy() for sets, _ in every for x in _tensors(sets)]
    means = pd.concat([each["value"] for _, each in every])
    frames = {}
    for (left, right), (title, sets) in zip(grid, panels.items(), strict=True):
        frames[title] = _histogram(left, title, sets, BINS, looks, real)
        left.axvline(0, **_equilibrium(0))
        generated = [label for label in sets if label not in real]
        _move(left, {label: sets[label].mean().item() for label in generated}, looks)
        left.set_title(_subscripts(title))
        left.set_xlim(_limits(np.concatenate([x.ravel() for x in logits])))
        for label, rows in traces.loc[traces["panel"] == title].groupby("label", sort=False):
            right.plot(rows["step"], rows["value"], marker="o", ms=3, **looks[str(label)])
        right.axhline(0, **_equilibrium(0))
        right.set(title="generated images, over training", ylabel="mean logit")
        right.set_ylim(_limits(means.to_numpy()))
    grid[-1, 0].set_xlabel("logit at the end")
    grid[-1, 1].set_xlabel(f"step{_seeds(traces)}")
    legend(figure)
    return figure, *_by_panel(frames)


def _move(axes: Axes, means: Mapping[str, float], looks: Mapping[str, dict[str, Any]]) -> None:
    """Mark means at the top of a panel, with their values, and the move from first to last."""
    axes.set_ylim(0, 1.3 * axes.get_ylim()[1])
    across, low = axes.get_xaxis_transform(), min(means.values())
    beside = {"textcoords": "offset points", "xycoords": across}
    white = {"fc": "white", "ec": "none", "pad": 0.5}
    for label, mean in means.items():
        colour = looks[label]["color"]
        axes.plot([mean, mean], [0, 0.86], color=colour, lw=1.2, transform=across)
        left = mean == low
        at: dict[str, Any] = {"ha": "right" if left else "left", "va": "bottom", "bbox": white}
        at |= {"xytext": (-3 if left else 3, 0), "fontsize": 9.5, "color": _legible(colour)}
        axes.annotate(f"{mean:.1f}".replace("-", "−"), (mean, 0.89), **beside, **at)
    first, last = (list(means.values())[at] for at in (0, -1))
    if first != last:
        arrow = {"arrowstyle": "->", "color": "#333333", "shrinkA": 0, "shrinkB": 0}
        ends: dict[str, Any] = {"xycoords": across, "textcoords": across}
        axes.annotate("", (last, 0.86), (first, 0.86), arrowprops=arrow, **ends)


def _subscripts(text: str) -> str:
    """Write D_S and D_T as mathematics."""
    return re.sub(r"\b([A-Z])_([A-Z])\b", r"$\1_\2$", text)


def _note(axes: Axes, text: str, colour: str, below: int = 0) -> None:
    """Write into the upper right corner of a panel, some lines below its top."""
    where: dict[str, Any] = {"ha": "right", "va": "top", "textcoords": "offset points"}
    where |= {"xycoords": "axes fraction", "color": _legible(colour), "fontsize": 10}
    axes.annotate(text, (1, 1), (0, -14 * below), **where)


def _legible(colour: str) -> str:
    """A colour for letters: those of tan are too pale."""
    return COLOURS["control"] if colour == SPARE[1] else colour


def _tensors(panels: Panels) -> Iterable[Tensor]:
    return (values for sets in panels.values() for values in sets.values())


def _seeds(traces: pd.DataFrame) -> str:
    """How many seeds traces are of, in brackets, if they say it."""
    count = len(set(traces["seed"])) if "seed" in traces else 0
    return {0: "", 1: " (one seed)"}.get(count, f" ({count} seeds)")


def _limits(values: np.ndarray) -> tuple[float, float]:
    """An axis that holds these values and 0, with a margin."""
    low, high = min(values.min(), 0), max(values.max(), 0)
    margin = 0.05 * (high - low)
    return low - margin, high + margin


def _labels(panels: Panels) -> Iterable[str]:
    return dict.fromkeys(label for sets in panels.values() for label in sets)


def _equilibrium(value: float) -> dict[str, Any]:
    """How the line looks at which a discriminator cannot tell."""
    return {"color": "#333333", "lw": 1.4, "ls": "-.", "label": f"equilibrium: {value:g}"}


def _histogram(
    axes: Axes,
    title: str,
    sets: Mapping[str, Tensor],
    bins: int | np.ndarray,
    looks: Mapping[str, dict[str, Any]],
    hollow: Collection[str] = (),
) -> Frames:
    """Draw labelled numbers as stairs over shared bins; return their counts and moments.

    They are filled but for the ``hollow`` labels.
    """
    counts, moments = _counts(title, sets, bins)
    for label in sets:
        _stairs(axes, counts, label, looks[label], filled=label not in hollow)
    axes.set(ylabel="images per bin", ylim=(0, None))
    return counts, moments


def _counts(title: str, sets: Mapping[str, Tensor], bins: int | np.ndarray) -> Frames:
    """Counts of labelled numbers over shared bins, and their moments."""
    arrays = {k: np.asarray(x.detach().cpu(), dtype=float).ravel() for k, x in sets.items()}
    for label, array in arrays.items():
        if not len(array) or not np.isfinite(array).all():
            raise ValueError(f"{title!r}, {label!r}: empty or not finite; expected finite numbers")
    edges = np.histogram_bin_edges(np.concatenate(list(arrays.values())), bins)
    counts = pd.DataFrame({"left": edges[:-1], "right": edges[1:]})
    for label, array in arrays.items():
        counts[label] = np.histogram(array, edges)[0]
    moments = pd.DataFrame(
        {k: pd.Series(a).agg(["count", "mean", "std"]) for k, a in arrays.items()}
    )
    moments = moments.T.rename_axis("label").rename(columns={"count": "n"}).reset_index()
    return counts, moments.astype({"n": int})


def _stairs(
    axes: Axes, counts: pd.DataFrame, label: str, look: dict[str, Any], *, filled: bool = True
) -> None:
    """Draw a column of counts, its outline and, pale, what is under it."""
    edges = [*counts["left"], counts["right"].iloc[-1]]
    if filled:
        axes.stairs(counts[label], edges, fill=True, color=look["color"], alpha=0.25)
    axes.stairs(counts[label], edges, lw=1.8, label=name(label), **look)


def _by_panel(frames: Mapping[str, Frames]) -> Frames:
    """Put the frames of panels under each other, the panel's title in the first column."""
    counts, moments = (
        pd.concat(dict(zip(frames, each, strict=True)), names=["panel"])
        .reset_index("panel")
        .reset_index(drop=True)
        for each in zip(*frames.values(), strict=True)
    )
    return counts, moments
