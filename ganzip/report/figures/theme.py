"""What figures share: colours, names of methods, legends, panels, and saving."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ganzip import files
from ganzip.report import tables

STYLE = Path(__file__).parent / "ganzip.mplstyle"
WIDTH = 7.2  # inches: the text width of a page

# Okabe and Ito's colours and some of Tol's.  A method has one colour and marker in all figures.
COLOURS = {
    "teacher": "#000000",
    "real": "#7F7F7F",
    "regular": "#D55E00",
    "letter": "#E69F00",
    "mse": "#0072B2",
    "student": "#0072B2",
    "joint": "#009E73",
    "fine-tune": "#D55E00",
    "GS": "#E69F00",
    "CAGC": "#009E73",
    "StyleKD": "#882255",
    "ITGC": "#CC79A7",
    "GCC": "#999933",
    "NICKEL": "#332288",
    "DiME": "#56B4E9",
    "NICKEL & DiME": "#0072B2",
    "naive": "#D55E00",
    "SDAKD": "#0072B2",
    "control": "#7B4B2A",
}
# Hues that no method has, for what is none: losses, discriminators, ways to prune.
SPARE = ("#7E57C2", "#C49A6C", "#37474F", "#C2185B", "#00838F", "#B39DDB", "#8D6E63")
MARKERS = {
    **{"regular": "s", "letter": "D", "mse": "o", "student": "o", "joint": "^"},
    **{"fine-tune": "s", "GS": "v", "CAGC": "^", "StyleKD": "<", "ITGC": ">", "GCC": "D"},
    **{"NICKEL": "P", "DiME": "X", "NICKEL & DiME": "o"},
    **{"naive": "s", "SDAKD": "o", "control": "D"},
}
NAMES = {
    "regular": "regular GAN",
    "letter": "regular GAN, published recipe",
    "mse": "MSE student",
    "student": "MSE student",  # as published
    "joint": "joint-loss student",
    "teacher": "teacher",
    "real": "real images",
    "input": "enlarged input",
    "start": "student before training",
}
LEVELS: dict[str, dict[str, Any]] = {
    "teacher": {"color": COLOURS["teacher"], "ls": "--", "lw": 1.4},
    "real": {"color": COLOURS["real"], "ls": ":", "lw": 1.8},
}
# What no method trained, in figures whose lines are methods.
ACROSS = LEVELS | {
    "input": {"color": COLOURS["real"], "ls": ":", "lw": 1.8},
    "start": {"color": SPARE[2], "ls": "-.", "lw": 1.4},
}
UNITS = {"KID": "1e-3", "PSNR": "dB"}
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)))


@contextmanager
def style() -> Iterator[None]:
    """Draw in the style of ganzip.mplstyle: `with style():` around, or `@style()` on a function."""
    with plt.style.context(STYLE):
        yield


@style()
def save(figure: Figure, folder: str | Path, stem: str) -> Path:
    """Write STEM.png (200 dpi) and return its path.

    No date and no version is written, so that equal figures give equal bytes.  The figure stays
    usable.
    """
    path, buffer = Path(folder) / f"{stem}.png", io.BytesIO()
    packed = {"optimize": True}
    figure.savefig(buffer, format="png", metadata={"Software": None}, pil_kwargs=packed)
    files.write(path, buffer.getvalue())
    return path


def colours(labels: Iterable[str]) -> dict[str, str]:
    """Give every label a colour: a method its own, "joint 0.1" that of joint, others a free one."""
    labels = list(labels)
    own = {label: COLOURS[label] for label in labels if label in COLOURS}
    for label in sorted(labels, key=lambda label: kind(label) not in COLOURS):
        candidates = (COLOURS.get(kind(label), SPARE[0]), *SPARE)
        free = [colour for colour in candidates if colour not in own.values()]
        own.setdefault(label, free[0] if free else SPARE[len(own) % len(SPARE)])
    return {label: own[label] for label in labels}


def name(label: str) -> str:
    """Write a method's name out, as legends show it; what follows "joint" is the loss's alpha."""
    method, _, alpha = label.partition(" ")
    if method == "joint" and alpha:
        return f"{NAMES['joint']}, α = {alpha}"
    return NAMES.get(label, label)


def kind(label: str) -> str:
    """The method of a label: "joint" of "joint 0.1" and "joint, d = 4", "mse" of its name."""
    methods = {text: method for method, text in reversed(NAMES.items())}
    return methods.get(label, label.partition(" ")[0].removesuffix(","))


def subplots(*size: float, **panels: Any) -> tuple[Figure, Any]:
    """Make a figure and its axes; closed to pyplot at once, or Jupyter would show it twice."""
    figure, axes = plt.subplots(figsize=size, **panels)
    plt.close(figure)
    return figure, axes


def legend(figure: Figure, *, above: bool = False) -> None:
    """Put one legend for all panels outside of them: above, or beside a single panel if not so."""
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    single = len(figure.axes) == 1 and not above
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside right upper" if single else "outside upper center",
        ncols=1 if single else min(len(handles), 3),
    )


def distinct(frame: pd.DataFrame, column: str) -> str:
    """The values of a column, each once."""
    return ", ".join(sorted(set(frame[column])))


def curve(axes: Axes, points: pd.DataFrame, x: str, label: str, **look: Any) -> None:
    """Draw means over ``x`` as a line with markers, and standard deviations as bars.

    points: columns ``x``, mean and std, NaN with one seed; a legend shows bars where there are any.
    """
    line = points.sort_values(x)
    look = {"mec": "white", "ms": 6, "label": label} | look
    bars = None if line["std"].isna().to_numpy().all() else line["std"]
    axes.errorbar(line[x], line["mean"], bars, **look)


def level(axes: Axes, method: str, value: float, size: str = "") -> None:
    """Draw what has no size, the teacher or real images, as a horizontal line."""
    axes.axhline(value, label=f"{name(method)}{size}", **LEVELS[method])


def log_ticks(
    axes: Axes,
    which: Literal["x", "y"],
    values: Sequence[float],
    texts: Sequence[str] | None = None,
    base: float = 10,
) -> None:
    """Make an axis logarithmic, with ticks at these values and nowhere else."""
    scale, axis = (axes.set_xscale, axes.xaxis) if which == "x" else (axes.set_yscale, axes.yaxis)
    scale("log", base=base)
    axis.set_ticks(values, texts or [f"{value:.3g}" for value in values])
    axis.set_ticks([], minor=True)


def direction(metric: str) -> str:
    """A metric, its unit and which end of it is better, as axes and titles bear it."""
    better = {True: ", higher is better", False: ", lower is better", None: ""}
    unit = UNITS.get(metric.partition("-")[0])
    return metric + (f" in {unit}" if unit else "") + better[tables.higher_is_better(metric)]


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """Make an empty drawing whose coordinates are inches."""
    figure, axes = subplots(width, height)
    figure.set_layout_engine("none")
    axes.set_position((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    return figure, axes
