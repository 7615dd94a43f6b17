"""Pictures: sample grids, walks between latent codes, comparisons with enlarged details."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from ganzip.report.figures.theme import WIDTH, name, style, subplots, text_width

FRAME = "#D55E00"  # of details
SMALL = 10  # points, of what stands over and under pictures


@style()
def sample_grid(
    images: Mapping[str, Tensor], *, headers: Sequence[str] = (), title: str = ""
) -> Figure:
    """Show images, a labelled row per entry.

    Hand every entry the images of the same z in the same order, and a column shows one z.  Images
    of several sizes are drawn equally large.  `headers` label the columns; methods have the names
    that they have in all figures.
    Raises ValueError for anything but (N, 1 or 3, H, W), and for entries of unequal N.
    """
    images = {name(label): batch for label, batch in images.items()}
    rows = _rows(images)
    count, height, width, _ = next(iter(rows.values())).shape
    left = text_width(images) + 0.3
    cell = min(max((WIDTH - left) / count, 0.25), 1.0)
    pitch = max(cell * height / width, 0.22 * max(map(_lines, images))) + 0.14
    above = bool(title) * (0.08 + 0.2 * _lines(title)) + 0.22 * bool(headers)
    size = (left + count * cell, len(rows) * pitch + above)
    figure, grid = subplots(*size, nrows=len(rows), layout="compressed", squeeze=False)
    for axes, (label, row) in zip(grid.flat, rows.items(), strict=True):
        strip(axes, label, row)
    first = grid.flat[0]
    first.set_title(title)
    if headers:
        first.xaxis.tick_top()
        wide = (first.get_xlim()[1] + 0.5) / count
        first.set_xticks([(i + 0.5) * wide for i in range(count)], headers)
    return figure


def interpolation(images: Mapping[str, Tensor]) -> Figure:
    """Show strips of a walk between two latent codes; columns bear the share of the second code."""
    steps = len(next(iter(images.values())))
    shares = [f"{i / max(steps - 1, 1):.3g}" for i in range(steps)]
    return sample_grid(images, headers=shares, title="share of the second latent code")


def compression_artefacts(
    images: Mapping[str, Tensor], sharpness: Mapping[str, Sequence[float] | Tensor]
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
    # Without an adversarial share, a student goes on as it began.
    longer = [re.sub(r"^joint, alpha 0(?=,|$)", "MSE, longer", label) for label in images]
    labels = [f"{name(label)}\n{note}" for label, note in zip(longer, spread, strict=True)]
    rows = dict(zip(labels, images.values(), strict=True))
    counts = "-".join(f"{n:.0f}" for n in sorted({*frame["n_images"]}))
    title = f"VoL: Variance of Laplacian of the one seed shown,\nmean ± std over {counts} images"
    return sample_grid(rows, title=title), frame.astype({"n_images": int})


def busiest(images: Tensor, size: int) -> list[tuple[int, int, int]]:
    """Of each image (N, C, H, W) the square in which neighbours differ most: top, left, size."""
    grey, step = images.mean(1, keepdim=True), max(1, size // 4)
    change = F.pad(grey.diff(dim=2).abs(), (0, 0, 0, 1)) + F.pad(grey.diff(dim=3).abs(), (0, 1))
    scores = F.avg_pool2d(change, size, step)
    places = scores.flatten(1).argmax(1).tolist()
    return [(*(step * n for n in divmod(place, scores.shape[-1])), size) for place in places]


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
    Images too small to enlarge are alone, with no zooms.  `captions` are written at the bottom of
    rows, one per row for each of its labels: "27.1 dB".
    Raises ValueError for entries of unequal N, and for squares or captions that do not fit them.
    """
    columns, notes = _rows(images), captions or {}
    count, height, width, _ = next(iter(columns.values())).shape
    if zooms and count != len(zooms):
        raise ValueError(f"images: found {count} each, expected {len(zooms)}, as many as zooms")
    if wrong := [k for k, column in notes.items() if k not in images or len(column) != count]:
        raise ValueError(f"captions: {wrong} should be labels of images, with {count} texts")
    for top, left, size in zooms:
        if min(top, left, size - 1) < 0 or top + size > height or left + size > width:
            raise ValueError(f"zooms: {(top, left, size)} leaves the image of {height} x {width}")

    texts = [text for column in notes.values() for text in column]
    parts = 1 + bool(zooms)  # of a row: images, and their details
    cell = max(min(WIDTH / len(images) - 0.08, 1.8), text_width([*images, *texts], SMALL) + 0.06)
    pitch = cell * (height / width + parts - 1) + 0.2 * max(map(_lines, texts), default=0) + 0.2
    page = (len(images) * (cell + 0.08), count * pitch + 0.2 * max(map(_lines, images)))
    ratios = [height / width, 1][:parts] * count
    across = {"ncols": len(images), "height_ratios": ratios, "layout": "compressed"}
    figure, grid = subplots(*page, nrows=parts * count, squeeze=False, **across)
    for column, (label, pictures) in zip(grid.T, columns.items(), strict=True):
        column[0].set_title(label, loc="center", fontsize=SMALL)
        for row, picture in enumerate(pictures):
            over, under = column[parts * row], column[parts * row + parts - 1]
            _show(over, picture)
            if zooms:
                top, left, size = zooms[row]
                _outline(over, left, top, size)
                _show(under, picture[top : top + size, left : left + size])
                _outline(under, 0, 0, size)
            if label in notes:
                under.set_xlabel(notes[label][row], fontsize=SMALL)
    figure.set_dpi(72)  # inside a notebook, which photographs at 100 would fill; files have 200
    return figure


def strip(axes: Axes, label: str, pictures: np.ndarray) -> None:
    """Draw (N, H, W, 3) bytes as a row of pictures, its label on the left."""
    gap = [(0, 0), (0, 0), (0, max(1, pictures.shape[2] // 30)), (0, 0)]
    _show(axes, np.concatenate([*np.pad(pictures, gap, constant_values=255)], axis=1))
    axes.set_yticks([pictures.shape[1] / 2], [label])


def pixels(label: str, images: Tensor) -> np.ndarray:
    """Turn images (N, 1 or 3, H, W) in [-1, 1] into bytes, (N, H, W, 3)."""
    if images.ndim != 4 or images.shape[1] not in (1, 3) or not len(images):
        raise ValueError(
            f"images {label!r}: found shape {tuple(images.shape)}, expected (N, 1 or 3, H, W)"
        )
    array = images.detach().cpu().float().clamp(-1, 1).expand(-1, 3, -1, -1).numpy()
    return np.round((array + 1) * 127.5).astype(np.uint8).transpose(0, 2, 3, 1)


def _rows(images: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Images as bytes by label, (N, H, W, 3): the pixels of smaller ones are repeated."""
    blocks = {label: pixels(label, batch) for label, batch in images.items()}
    counts = {label: len(block) for label, block in blocks.items()}
    if len(set(counts.values())) != 1:
        raise ValueError(f"images: found {counts} images, expected as many under every label")
    height, width = np.max([block.shape[1:3] for block in blocks.values()], axis=0)
    for label, block in blocks.items():
        _, h, w, _ = block.shape
        tall = block[:, np.arange(height) * h // height]
        blocks[label] = tall[:, :, np.arange(width) * w // width]
    return blocks


def _show(axes: Axes, picture: np.ndarray) -> None:
    """Draw (H, W, 3) bytes pixel by pixel, without ticks and frame."""
    axes.imshow(picture, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.grid(False)


def _outline(axes: Axes, left: float, top: float, size: float) -> None:
    """Frame a square of pixels so that it stands out from bright and from dark pictures."""
    for colour, lw in (("white", 3.0), (FRAME, 1.6)):
        look = {"fill": False, "ec": colour, "lw": lw, "clip_on": False}
        axes.add_patch(Rectangle((left - 0.5, top - 0.5), size, size, **look))


def _lines(text: str) -> int:
    return text.count("\n") + 1
