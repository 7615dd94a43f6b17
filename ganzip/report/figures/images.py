"""Pictures: sample grids, walks between latent codes, comparisons with enlarged details."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ganzip.report.figures.theme import SPARE, WIDTH, canvas, name, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor


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
    blocks = {label: pixels(label, batch) for label, batch in images.items()}
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
    figure, axes = canvas(left + columns * cell + edge, top + len(blocks) * pitch - between + edge)
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
    rows = dict(zip(labels, images.values(), strict=True))
    return sample_grid(rows, columns=columns), frame.astype({"n_images": int})


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
    blocks = {label: pixels(label, batch) for label, batch in images.items()}
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
    figure, axes = canvas(2 * edge + len(images) * (cell + between) - between, page)
    centred: dict[str, Any] = {"ha": "center", "fontsize": 10}
    for column, (label, block) in enumerate(blocks.items()):
        x, y = edge + column * (cell + between), page - edge - over
        axes.text(x + cell / 2, y + between, label, va="bottom", **centred)
        for row, (array, (top, left, size)) in enumerate(zip(block, zooms, strict=True)):
            whole, scale = _enlarged(array, height, width), cell / width
            _picture(axes, whole, (x, x + cell, y - tall, y), margin=0)
            _outline(axes, x + left * scale, y - (top + size) * scale, size * scale)
            foot = y - tall - between - cell
            detail = whole[top : top + size, left : left + size]
            _picture(axes, detail, (x, x + cell, foot, foot + cell), margin=0)
            _outline(axes, x, foot, cell)
            if label in notes:
                axes.text(x + cell / 2, foot - between, notes[label][row], va="top", **centred)
            y -= pitch
    figure.set_dpi(72)  # inside a notebook, which photographs at 100 would fill; files have 200
    return figure


def _enlarged(array: np.ndarray, height: int, width: int) -> np.ndarray:
    """Repeat the pixels of (h, w, C) bytes until they are (height, width, C)."""
    h, w = array.shape[:2]
    return array[np.arange(height) * h // height][:, np.arange(width) * w // width]


def _outline(axes: Axes, left: float, bottom: float, size: float) -> None:
    """Frame a square so that it stands out from bright and from dark pictures."""
    from matplotlib.patches import Rectangle

    for colour, lw in (("white", 3.0), (SPARE[1], 1.6)):
        axes.add_patch(Rectangle((left, bottom), size, size, fill=False, ec=colour, lw=lw))


def pixels(label: str, images: Tensor) -> np.ndarray:
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
    colours = pixels.repeat(3, axis=2) if pixels.shape[2] == 1 else pixels
    axes.imshow(colours, extent=extent, interpolation="nearest", aspect="auto")


def _text_width(text: str) -> float:
    """Width in inches of the longest line of a text, in the current font."""
    import matplotlib as mpl
    from matplotlib.textpath import TextPath

    size = mpl.rcParams["font.size"]
    lines = filter(None, text.split("\n"))  # an empty line has no path
    widths = [TextPath((0, 0), line, size=size).get_extents().width for line in lines]
    return max(widths, default=0.0) / 72
