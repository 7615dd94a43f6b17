"""Figures: sample grids, curves, histograms and the two diagrams of Aguinaldo et al. (2019).

Every function returns a matplotlib Figure that is closed to pyplot: it shows once, where a notebook
displays it, and `save` writes it.  A function that draws numbers returns them as a frame beside the
figure, so that a notebook can print what it shows.  Images are (N, C, H, W) in [-1, 1].
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from ganzip import files, tables

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

STYLE = Path(__file__).parent / "ganzip.mplstyle"
WIDTH = 7.2  # inches: the text width of a page

# Okabe and Ito's colours.  A method has the same colour and marker in every figure.
COLOURS = {
    "teacher": "#000000",
    "real": "#7F7F7F",
    "regular": "#D55E00",
    "letter": "#E69F00",
    "mse": "#0072B2",
    "student": "#0072B2",
    "joint": "#009E73",
    "fine-tune": "#7F7F7F",
    "GS": "#E69F00",
    "CAGC": "#D55E00",
    "StyleKD": "#882255",
    "ITGC": "#CC79A7",
    "GCC": "#999933",
    "NICKEL": "#009E73",
    "DiME": "#56B4E9",
    "NICKEL & DiME": "#0072B2",
}
SPARE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = {"regular": "s", "letter": "D", "mse": "o", "student": "o", "joint": "^"}
NAMES = {
    "regular": "regular GAN",
    "letter": "regular GAN, published recipe",
    "mse": "MSE student",
    "student": "student, as published",
    "joint": "joint-loss student",
    "teacher": "teacher",
    "real": "real images",
}
LEVELS: dict[str, dict[str, Any]] = {
    "teacher": {"color": COLOURS["teacher"], "ls": "--", "lw": 1.4},
    "real": {"color": COLOURS["real"], "ls": ":", "lw": 1.8},
}
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)))
DIRECTION = {True: ", higher is better", False: ", lower is better", None: ""}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the style of ganzip.mplstyle: `with style():` around, or `@style()` on a function."""
    import matplotlib.pyplot as plt

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
    found = {label: COLOURS[label] for label in labels if label in COLOURS}
    for label in sorted(labels, key=lambda label: _kind(label) not in COLOURS):
        wanted = (COLOURS.get(_kind(label), SPARE[0]), *SPARE)
        free = [colour for colour in wanted if colour not in found.values()]
        found.setdefault(label, free[0] if free else SPARE[len(found) % len(SPARE)])
    return {label: found[label] for label in labels}


def name(label: str) -> str:
    """Write a method's name out, as legends show it; what follows "joint" is the loss's alpha."""
    alpha = label.partition(" ")[2]
    if _kind(label) == "joint" and alpha:
        return f"{NAMES['joint']}, α = {alpha}"
    return NAMES.get(label, label)


def _kind(label: str) -> str:
    return label.partition(" ")[0]


def _new(*size: float, **panels: Any) -> tuple[Figure, Any]:
    """Make a figure and its axes; closed to pyplot at once, or Jupyter would show it twice."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=size, **panels)
    plt.close(figure)
    return figure, axes


# -------------------------------------------------------------------------------------- images


@style()
def sample_grid(
    images: Mapping[str, Tensor],
    *,
    columns: int | None = None,
    headers: Sequence[str] = (),
    title: str = "",
) -> Figure:
    """Show images, one labelled block per entry: a row, or more where it has over `columns` images.

    Hand every entry the images of the same z in the same order, and a column shows one z.  Images
    of several sizes are drawn equally large.  `headers` label the columns.
    Raises ValueError for anything but (N, 1 or 3, H, W), and for entries of unequal N.
    """
    blocks = {label: _pixels(label, batch) for label, batch in images.items()}
    counts = {label: len(block) for label, block in blocks.items()}
    if len(set(counts.values())) != 1:
        raise ValueError(f"images: found {counts} images, expected as many under every label")
    count = next(iter(counts.values()))
    columns = min(columns or count, count)
    lines = -(-count // columns)

    # All sizes are in inches and laid out by hand: a layout engine would not keep the cells equal,
    # and labels are measured so that none is cut.
    height, width = next(iter(blocks.values())).shape[1:3]
    edge, between = 0.1, 0.12
    left = edge + max(map(_text_width, images)) + between
    cell = min(max((WIDTH - left - edge) / columns, 0.25), 1.0)
    block = lines * cell * height / width
    room = max(block, 0.22 * max(label.count("\n") + 1 for label in images))
    pitch = room + between
    top = edge + 0.28 * bool(title) + 0.22 * bool(headers)
    figure, axes = _canvas(left + columns * cell + edge, top + len(blocks) * pitch - between + edge)
    start = figure.get_figheight() - top
    for row, (label, batch) in enumerate(blocks.items()):
        up = start - row * pitch - (room - block) / 2
        axes.text(left - between, up - block / 2, label, ha="right", va="center", linespacing=1.3)
        for i, picture in enumerate(batch):
            x, y = left + i % columns * cell, up - (i // columns + 1) * block / lines
            _picture(axes, picture, (x, x + cell, y, y + block / lines), margin=0.01)
    for i, header in enumerate(headers):
        x, y = left + (i + 0.5) * cell, start + 0.05
        axes.text(x, y, header, ha="center", va="bottom", fontsize=10)
    if title:
        axes.text(left, figure.get_figheight() - edge, title, ha="left", va="top")
    return figure


def interpolation(images: Mapping[str, Tensor], *, title: str = "") -> Figure:
    """Show strips of a walk between two latent codes; columns bear the share of the second code."""
    steps = len(next(iter(images.values())))
    shares = [f"{i / max(steps - 1, 1):.3g}" for i in range(steps)]
    return sample_grid(images, headers=shares, title=title)


def compression_artefacts(
    images: Mapping[str, Tensor],
    sharpness: Mapping[str, Sequence[float] | Tensor],
    *,
    columns: int | None = None,
) -> tuple[Figure, pd.DataFrame]:
    """Show teacher and students at the same z, the Variance of Laplacian written beside each.

    Aguinaldo et al. (2019), figure 11.  `sharpness` holds one value per measured image, as many as
    one likes; the frame has label, mean, std (n - 1) and n_images.
    """
    if missing := [label for label in images if label not in sharpness]:
        raise ValueError(f"sharpness: no values for {missing}; expected one sequence per label")
    series = {label: pd.Series(np.asarray(sharpness[label], dtype=float)) for label in images}
    frame = pd.DataFrame({label: s.agg(["mean", "std", "count"]) for label, s in series.items()})
    frame = frame.T.rename_axis("label").rename(columns={"count": "n_images"}).reset_index()
    spread = [f"VoL {m:.0f} ± {s:.0f}" for m, s in zip(frame["mean"], frame["std"], strict=True)]
    labels = [f"{name(label)}\n{note}" for label, note in zip(images, spread, strict=True)]
    shown = dict(zip(labels, images.values(), strict=True))
    return sample_grid(shown, columns=columns), frame.astype({"n_images": int})


@style()
def comparison(
    images: Mapping[str, Tensor],
    zooms: Sequence[tuple[int, int, int]],
    *,
    captions: Mapping[str, Sequence[str]] | None = None,
) -> Figure:
    """Show images side by side, a column per label and a row per image, each over its detail.

    Kaparinos and Mezaris (2025), figure 4.  `zooms` holds one square (top, left, size) per row, in
    pixels of the largest images; smaller ones, such as inputs, are drawn as large, pixel by pixel.
    `captions` are written under the details, one per row for each of its labels: "27.1 dB".
    Raises ValueError for entries of unequal N, and for squares or captions that do not fit them.
    """
    blocks = {label: _pixels(label, batch) for label, batch in images.items()}
    counts = {label: len(block) for label, block in blocks.items()}
    if set(counts.values()) != {len(zooms)}:
        raise ValueError(f"images: found {counts}, expected {len(zooms)} each, as many as zooms")
    notes = captions or {}
    if wrong := [k for k, column in notes.items() if k not in images or len(column) != len(zooms)]:
        raise ValueError(f"captions: {wrong} should be labels of images, with {len(zooms)} texts")
    height, width = max(block.shape[1:3] for block in blocks.values())
    for top, left, size in zooms:
        if min(top, left, size - 1) < 0 or top + size > height or left + size > width:
            raise ValueError(f"zooms: {(top, left, size)} leaves the image of {height} x {width}")

    # In inches and by hand, as in sample_grid; a column is as wide as its texts need.
    edge, between, line = 0.1, 0.06, 0.2
    texts = [text for column in notes.values() for text in column]
    widest = max(map(_text_width, [*images, *texts]))
    cell = max(min((WIDTH - 2 * edge) / len(images) - between, 1.8), widest)
    tall = cell * height / width
    over = line * max(label.count("\n") + 1 for label in images) + between
    under = line * max((text.count("\n") + 1 for text in texts), default=0)
    pitch = tall + cell + under + 3 * between
    page = 2 * edge + over + len(zooms) * pitch - 2 * between
    figure, axes = _canvas(2 * edge + len(images) * (cell + between) - between, page)
    centred: dict[str, Any] = {"ha": "center", "fontsize": 10}
    for column, (label, block) in enumerate(blocks.items()):
        x, y = edge + column * (cell + between), page - edge - over
        axes.text(x + cell / 2, y + between, label, va="bottom", **centred)
        for row, (pixels, (top, left, size)) in enumerate(zip(block, zooms, strict=True)):
            whole, scale = _enlarged(pixels, height, width), cell / width
            _picture(axes, whole, (x, x + cell, y - tall, y), margin=0)
            _outline(axes, x + left * scale, y - (top + size) * scale, size * scale)
            foot = y - tall - between - cell
            detail = whole[top : top + size, left : left + size]
            _picture(axes, detail, (x, x + cell, foot, foot + cell), margin=0)
            _outline(axes, x, foot, cell)
            if label in notes:
                axes.text(x + cell / 2, foot - between, notes[label][row], va="top", **centred)
            y -= pitch
    figure.set_dpi(72)  # inside a notebook, which photographs at 100 would fill; files have 150
    return figure


def _enlarged(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Repeat the pixels of (h, w, C) bytes until they are (height, width, C)."""
    h, w = pixels.shape[:2]
    return pixels[np.arange(height) * h // height][:, np.arange(width) * w // width]


def _outline(axes: Axes, left: float, bottom: float, size: float) -> None:
    """Frame a square so that it stands out from bright and from dark pictures."""
    from matplotlib.patches import Rectangle

    for colour, lw in (("white", 3.0), (SPARE[1], 1.6)):
        axes.add_patch(Rectangle((left, bottom), size, size, fill=False, ec=colour, lw=lw))


def _pixels(label: str, images: Tensor) -> np.ndarray:
    """Turn images into bytes, (N, H, W, C)."""
    if images.ndim != 4 or images.shape[1] not in (1, 3) or not len(images):
        raise ValueError(
            f"images {label!r}: found shape {tuple(images.shape)}, expected (N, 1 or 3, H, W)"
        )
    array = images.detach().cpu().float().clamp(-1, 1).numpy()
    return np.round((array + 1) * 127.5).astype(np.uint8).transpose(0, 2, 3, 1)


def _picture(
    axes: Axes, pixels: np.ndarray, box: tuple[float, float, float, float], margin: float
) -> None:
    """Draw (H, W, C) bytes into the box (left, right, bottom, top), a margin on each side."""
    left, right, bottom, top = box
    extent = (left + margin, right - margin, bottom + margin, top - margin)
    shown = pixels.repeat(3, axis=2) if pixels.shape[2] == 1 else pixels
    axes.imshow(shown, extent=extent, interpolation="nearest", aspect="auto")


def _text_width(text: str) -> float:
    """Width in inches of the longest line of a text, in the current font."""
    import matplotlib as mpl
    from matplotlib.textpath import TextPath

    size = mpl.rcParams["font.size"]
    lines = filter(None, text.split("\n"))  # an empty line has no path
    widths = [TextPath((0, 0), line, size=size).get_extents().width for line in lines]
    return max(widths, default=0.0) / 72


# -------------------------------------------------------------------------------------- curves


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
            f"no rows of metric {metric!r} but the levels; there are {_listed(frame, 'metric')}"
        )
    theirs = _published_rows(published, ["student", "regular"])
    figure, (first, *others) = _panels(theirs)
    _curves(first, mine)
    for method, look in LEVELS.items():
        for d, rows in mine.loc[mine["method"] == method].groupby("width"):
            size = f", d = {d}" if d else ""
            first.axhline(rows["value"].mean(), label=f"{name(method)}{size}", **look)
    first.set_title(f"ours: {_listed(mine, 'dataset')}", fontweight="bold")
    for axes, rows in zip(others, _by_dataset(theirs), strict=True):
        _curves(axes, rows)
        axes.set_title(f"published: {rows['dataset'].iloc[0]}")
    _legend(figure)
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
    first.set_title(f"ours: {_listed(mine, 'dataset')}, d = {best}", fontweight="bold")
    picked = {("ours", dataset): best for dataset in mine["dataset"]}
    for axes, rows in zip(others, _by_dataset(theirs), strict=True):
        dataset, d = rows["dataset"].iloc[0], int(rows["teacher_d"].iloc[0])
        picked["published", dataset] = d
        _curves(axes, rows, also=d)
        axes.axvline(d, color="black", ls=":", lw=1.5, label="picked in the paper")
        axes.set_title(f"published: {dataset}, d = {d}")
    _legend(figure)
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
    figure, grid = _new(WIDTH, 0.8 + 2.6 * lines, nrows=lines, ncols=min(count, 2), squeeze=False)
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
    for method in sorted(methods, key=lambda m: [*NAMES, _kind(m)].index(_kind(m))):
        line = curves.loc[curves["method"] == method]
        look: dict[str, Any] = {"color": colour[method], "marker": MARKERS.get(_kind(method), "o")}
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


def _legend(figure: Figure) -> None:
    """Put one legend for all panels outside of them: above, or beside a single panel."""
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    single = len(figure.axes) == 1
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside right upper" if single else "outside upper center",
        ncols=1 if single else min(len(handles), 3),
    )


def _listed(frame: pd.DataFrame, column: str) -> str:
    return ", ".join(sorted(set(frame[column])))


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
    figure, grid = _new(WIDTH, 3.4, ncols=len(networks), sharey=True, squeeze=False)
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
    _legend(figure)
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
    figure, panels = _new(*size, nrows=len(players), sharex=True, squeeze=False)
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
    figure, axes = _new(WIDTH, 3.4)
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
    figure, grid = _new(*size, nrows=len(panels), sharex=True, squeeze=False)
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
    _legend(figure)
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


# ------------------------------------------------------------- figures of Yeo et al. (2024)


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
        raise ValueError(f"no rows of metrics {missing}; there are {_listed(frame, 'metric')}")
    lines = frame.loc[~frame["method"].isin(list(LEVELS)) & frame["metric"].isin(list(metrics))]
    drawn = tables.summary(lines, ["metric", "method", x])
    colour = colours(lines["method"].unique())
    size = (WIDTH, 1.2 + 2.2 * len(metrics))
    figure, panels = _new(*size, nrows=len(metrics), sharex=True, squeeze=False)
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
    _legend(figure)
    return figure, drawn


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
    figure, grid = _new(*size, nrows=len(panels), ncols=2, squeeze=False)
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
    _legend(figure)
    return figure, _by_panel(counts), _by_panel(moments)


# ------------------------------------------------------------------------------------ diagrams

TEACHER, STUDENT, CRITIC, LOSS, PLAIN = "#EDEDED", "#DCEBF6", "#DDF3EB", "#FBE6D8", "#FFFFFF"
STUDENT_GRADIENT, CRITIC_GRADIENT = "#D55E00", "#00795A"
NOTE: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 10}


@style()
def scheme_mse() -> Figure:
    """Draw training with the MSE loss.  Aguinaldo et al. (2019), figure 3 and equation (3)."""
    figure, axes = _canvas(WIDTH, 3.05)
    _latent(axes, 0.55, 1.75)
    _box(axes, 2.3, 2.4, 1.55, 0.8, "teacher $g_T$\n(frozen)", TEACHER)
    _box(axes, 2.3, 1.1, 1.55, 0.8, r"student $g_\theta$", STUDENT)
    _box(axes, 4.35, 2.4, 1.05, 0.8, "$g_T(z)$", PLAIN)
    _box(axes, 4.35, 1.1, 1.05, 0.8, r"$g_\theta(z)$", PLAIN)
    _box(axes, 6.3, 1.75, 1.4, 0.8, "MSE", LOSS)
    _arrow(axes, (0.95, 1.75), (1.52, 2.4))
    _arrow(axes, (0.95, 1.75), (1.52, 1.1))
    _arrow(axes, (3.08, 2.4), (3.82, 2.4))
    _arrow(axes, (3.08, 1.1), (3.82, 1.1))
    _arrow(axes, (4.88, 2.4), (5.6, 1.9))
    _arrow(axes, (4.88, 1.1), (5.6, 1.6))
    _arrow(axes, (6.3, 1.35), (6.3, 0.45), (2.3, 0.45), (2.3, 0.7), gradient=STUDENT_GRADIENT)
    axes.text(4.35, 0.5, "student's gradient", color=STUDENT_GRADIENT, **NOTE)
    equation = r"$\min_\theta\ \mathrm{E}_{z \sim N(0, I)}\,\|g_T(z) - g_\theta(z)\|^2$"
    axes.text(WIDTH / 2, 0.2, equation, ha="center", va="center", fontsize=11)
    return figure


@style()
def scheme_joint() -> Figure:
    """Draw training with the joint loss.  Aguinaldo et al. (2019), figure 4 and equation (4)."""
    figure, axes = _canvas(WIDTH, 4.4)
    _latent(axes, 0.55, 3.2)
    _box(axes, 2.3, 3.85, 1.55, 0.8, "teacher $g_T$\n(frozen)", TEACHER)
    _box(axes, 2.3, 2.55, 1.55, 0.8, r"student $g_\theta$", STUDENT)
    _box(axes, 4.2, 3.85, 1.05, 0.8, "$g_T(z)$", PLAIN)
    _box(axes, 4.2, 2.55, 1.05, 0.8, r"$g_\theta(z)$", PLAIN)
    _box(axes, 6.0, 3.2, 1.5, 0.8, "MSE\n" r"times $1 - \alpha$", LOSS)
    _box(axes, 2.3, 1.3, 1.55, 0.8, "real data $x$", PLAIN)
    _box(axes, 4.2, 1.3, 1.5, 0.8, "discriminator\n$f_w$", CRITIC)
    _box(axes, 6.0, 1.3, 1.5, 0.8, "adversarial\n" r"times $\alpha$", LOSS)
    _arrow(axes, (0.95, 3.2), (1.52, 3.85))
    _arrow(axes, (0.95, 3.2), (1.52, 2.55))
    _arrow(axes, (3.08, 3.85), (3.67, 3.85))
    _arrow(axes, (3.08, 2.55), (3.67, 2.55))
    _arrow(axes, (4.73, 3.85), (5.25, 3.35))
    _arrow(axes, (4.73, 2.55), (5.25, 3.05))
    _arrow(axes, (4.2, 2.15), (4.2, 1.7))
    _arrow(axes, (3.08, 1.3), (3.45, 1.3))
    _arrow(axes, (4.95, 1.42), (5.25, 1.42))
    _arrow(axes, (5.25, 1.15), (4.95, 1.15), gradient=CRITIC_GRADIENT)
    _arrow(axes, (6.75, 1.3), (7.0, 1.3), gradient=STUDENT_GRADIENT, head=False)
    down, along, up = (7.0, 0.65), (1.15, 0.65), (1.15, 1.92)
    route = ((6.75, 3.2), (7.0, 3.2), down, along, up, (2.3, 1.92), (2.3, 2.15))
    _arrow(axes, *route, gradient=STUDENT_GRADIENT)
    axes.text(2.3, 0.69, "student's gradient", color=STUDENT_GRADIENT, **NOTE)
    axes.text(5.1, 0.69, "discriminator's gradient", color=CRITIC_GRADIENT, **NOTE)
    equation = (
        r"$\min_\theta \max_w\ \mathrm{E}_x \log f_w(x) + \mathrm{E}_z\,[\,"
        r"\alpha \log(1 - f_w(g_\theta(z))) + (1 - \alpha)\,\|g_T(z) - g_\theta(z)\|^2\,]$"
    )
    axes.text(WIDTH / 2, 0.25, equation, ha="center", va="center", fontsize=11)
    return figure


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """Make an empty drawing whose coordinates are inches."""
    figure, axes = _new(width, height)
    figure.set_layout_engine("none")
    axes.set_position((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    return figure, axes


def _box(axes: Axes, x: float, y: float, width: float, height: float, text: str, fill: str) -> None:
    """Draw a box around (x, y) with a text in it."""
    from matplotlib.patches import FancyBboxPatch

    corner, shape = (x - width / 2, y - height / 2), "round,pad=0,rounding_size=0.08"
    axes.add_patch(FancyBboxPatch(corner, width, height, shape, fc=fill, ec="#333333", lw=1.2))
    axes.text(x, y, text, ha="center", va="center", linespacing=1.35)


def _latent(axes: Axes, x: float, y: float) -> None:
    """Draw the latent code, a circle around (x, y)."""
    from matplotlib.patches import Circle

    axes.add_patch(Circle((x, y), 0.4, fc=PLAIN, ec="#333333", lw=1.2))
    axes.text(x, y, "$z$", ha="center", va="center")


def _arrow(axes: Axes, *points: tuple[float, float], gradient: str = "", head: bool = True) -> None:
    """Draw an arrow through points; dashed and in the colour `gradient` where one flows."""
    look: dict[str, Any] = {"color": gradient or "#333333", "lw": 1.4}
    axes.plot(*zip(*points, strict=True), ls=(0, (4, 2)) if gradient else "-", **look)
    if head:
        props = {"arrowstyle": "-|>", "mutation_scale": 12, "shrinkA": 0, "shrinkB": 0, **look}
        (x0, y0), (x1, y1) = points[-2:]
        near = (x1 - 0.01 * (x1 - x0), y1 - 0.01 * (y1 - y0))
        axes.annotate("", points[-1], near, arrowprops=props)


# ---------------------------------------------------------------------- figure of one's own GAN


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
    figure, panels = _new(WIDTH, 3.6 * len(costs), nrows=len(costs), squeeze=False)
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
        for name, mean in zip(levels["method"], levels["mean"], strict=True):
            axes.axhline(mean, **LEVELS["teacher" if name == "teacher" else "real"])
            side, below = (1.0, 3) if name == "teacher" else (0.02, -12)
            axes.annotate(name, (side, mean), xycoords=("axes fraction", "data"),
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
            row = np.concatenate([*_pixels(label, batch)], axis=1)
            strip.imshow(row.squeeze(), vmin=0, vmax=255)
            strip.set(xticks=[], title=None)
            strip.set_yticks([row.shape[0] / 2], [label])
            strip.tick_params(length=0)
            strip.spines[:].set_visible(False)
            strip.grid(False)
    return figure
