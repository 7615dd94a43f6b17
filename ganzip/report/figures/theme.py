"""What figures share: colours, names of methods, legends, panels, and saving."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath

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
FREE = "os^Dv<>PXhp*"  # markers
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
SETS = {
    "mnist": "MNIST",
    "fashion": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
    "celeba": "Celeb-A",
    "faces-lfw-112": "LFW faces",
    "faces-ffhq-style-256": "FFHQ-style faces",
    "photos-bsds-train": "BSDS photos",
    "photos-bsds-test": "BSDS photos",
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
    """Give every label a colour: a method its own, "joint 0.1" that of joint, others a free one.

    Of methods that share a colour, each being its own paper's, all but the first of ``COLOURS``
    get a free one.
    """
    return _apart(labels, COLOURS, SPARE)


def markers(labels: Iterable[str]) -> dict[str, str]:
    """Give every label a marker, as :func:`colours` gives colours."""
    return _apart(labels, MARKERS, FREE)


def _apart(labels: Iterable[str], usual: Mapping[str, str], free: Sequence[str]) -> dict[str, str]:
    """Give every label its usual look or its kind's, or a free one if another label has that."""
    labels = list(labels)
    found: dict[str, str] = {}
    for label in [label for label in usual if label in labels]:
        if usual[label] not in found.values():
            found[label] = usual[label]
    for label in sorted(labels, key=lambda label: kind(label) not in usual):
        near = [] if label in usual else [usual.get(kind(label), free[0])]
        candidates = [*near, *free]
        left = [look for look in candidates if look not in found.values()]
        found.setdefault(label, left[0] if left else free[len(found) % len(free)])
    return {label: found[label] for label in labels}


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
    # A handle with the spaces around it is 0.56 inches wide.
    fits = sum(text_width([text], 10) + 0.56 for text in handles) < figure.get_figwidth()
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside right upper" if single else "outside upper center",
        ncols=1 if single else len(handles) if fits else min(len(handles), 3),
        columnspacing=1.2,
    )


def text_width(texts: Iterable[str], size: float | None = None) -> float:
    """Width in inches of the longest line of some texts, in the current font."""
    size = size or mpl.rcParams["font.size"]
    # A line without letters has no path.
    lines = [line for text in texts for line in text.split("\n") if line]
    paths = [TextPath((0, 0), line, size=size) for line in lines]
    return max((path.get_extents().width for path in paths), default=0.0) / 72


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


def wants_log(metric: str, means: Iterable[float]) -> bool:
    """Whether a curve is seen better on a logarithmic axis: a distance that falls to a third."""
    means = [mean for mean in means if not pd.isna(mean)]
    return tables.higher_is_better(metric) is False and 0 < 3 * min(means) < max(means)


def log_axis(
    axes: Axes,
    which: Literal["x", "y"],
    means: Sequence[float],
    bars: Sequence[float] = (),
    seeds: Sequence[float] = (),
) -> None:
    """Make an axis logarithmic and as long as the means, bars and single seeds that it shows."""
    # A bar that would reach 0 ends at a third of its mean.
    ends = [(mean, 0.0 if pd.isna(bar) else bar) for mean, bar in zip(means, bars, strict=False)]
    low = min([*(max(mean - bar, mean / 3) for mean, bar in ends), *means, *seeds]) / 1.2
    high = max([*(mean + bar for mean, bar in ends), *means, *seeds]) * 1.2
    steps = (1, 2, 3, 5) if high > 10 * low else (1, 1.5, 2, 3, 5, 7)
    ticks = [n * 10**k for k in range(-3, 6) for n in steps]
    log_ticks(axes, which, [tick for tick in ticks if low < tick < high])
    (axes.set_xlim if which == "x" else axes.set_ylim)(low, high)


LOG = " (log scale)"  # what titles and labels of such axes end with


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
