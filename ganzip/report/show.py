"""How notebooks show tables and pictures: short enough to read, light enough to keep.

`table` folds what is long, `picture` keeps photographs as JPEG, and `opening` is the one picture
with which a notebook begins.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from ganzip import zoo
from ganzip.report import keeping, tables

if TYPE_CHECKING:
    from IPython.display import HTML, Image
    from matplotlib.figure import Figure

LONG = 20  # rows of a table that is not folded
QUALITY = 90  # of JPEG; colours have the full resolution
# Blank where a row has no number of ours, so one value beside blanks says it for all rows.
BUDGET = {*tables.BUDGET, "data", "our_metric", "our_teacher_d", "blocks"}
OPENING = {
    "dcgan_kd": "networks.png",
    "sdakd": "networks.png",
    "nickel_dime": "networks.png",
    "your_own_gan": "cpu/unseen.png",
}


def table(frame: pd.DataFrame, title: str = "", *, across: str = "", digits: int = 2) -> HTML:
    """A frame as a reader wants it: short numbers, "mean ± std" in one cell, no index.

    What all rows have in common stands above the table, and columns without any value are left
    out. More than 20 rows are folded: a click on ``title`` shows them. Of a `tables.summary`,
    ``across`` names the column whose values become columns, such as "metric".
    """
    from IPython.display import HTML

    cells = tables.with_spread(tables.tidy(frame, digits))
    cells = _wide(cells, across) if across else cells
    cells = cells.loc[:, [bool((cells[name] != "").any()) for name in cells]]
    common = _common(cells) if len(cells) > 2 else {}
    cells = cells.drop(columns=list(common))
    cells.columns = [_words(name) for name in cells]
    with pd.option_context("display.max_colwidth", None):
        html = cells.to_html(index=False, border=0)
    # Text reads from the left; a page that allows no style aligns it as it likes.
    html = re.sub(r"<td>(?=[^<]*[A-Za-z]{2})", '<td style="text-align: left">', html)
    html = re.sub(r">\n +<(?!tr)", "><", html.replace(" ± ", "&nbsp;±&nbsp;"))
    if common:
        same = ", ".join(f"{_words(name)} = {value}" for name, value in common.items())
        html = f"<p>In all rows: {same}.</p>\n{html}"
    if len(cells) > LONG:
        head = f"{title}: {len(cells)} rows" if title else f"{len(cells)} rows"
        return HTML(f"<details><summary>{head} (click)</summary>\n{html}\n</details>")
    return HTML(f"<p><b>{title}</b></p>\n{html}" if title else html)


def _wide(cells: pd.DataFrame, across: str) -> pd.DataFrame:
    """The means with a column for each value of `across`; rows and columns keep their order."""
    keys = [name for name in cells if name not in (across, "mean")]
    wide = cells.set_index([*keys, across])["mean"].unstack(across, sort=False)
    wide.columns.name = None
    return wide.fillna("").reset_index()


def _common(cells: pd.DataFrame) -> Mapping[str, str]:
    """Columns of one value, by name."""
    values = {str(name): set(cells[name]) for name in cells}
    values = {name: v - {""} if name in BUDGET else v for name, v in values.items()}
    return {name: v.pop() for name, v in values.items() if len(v) == 1}


def _words(name: object) -> str:
    return str(name).replace("_", " ")


def picture(source: Figure | Path, width: int | None = None) -> Image:
    """A figure at its own resolution, or a picture file: as PNG, or as JPEG where that halves it.

    ``width`` is in pixels of the page, by default the picture's own; a JPEG has 1.5 times as many.
    """
    from IPython.display import Image
    from PIL import Image as pillow

    if isinstance(source, Path):
        png = source.read_bytes()
    else:
        buffer = io.BytesIO()
        source.savefig(buffer, format="png", dpi=source.dpi, bbox_inches="tight")
        png = buffer.getvalue()
    buffer = io.BytesIO()
    with pillow.open(io.BytesIO(png)) as opened:
        pixels = opened.convert("RGB")
    if width:  # no finer than a page can show
        pixels.thumbnail((round(1.5 * width), pixels.height), pillow.Resampling.LANCZOS)
    pixels.save(buffer, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
    jpeg = buffer.getvalue()
    if len(jpeg) < 0.6 * len(png):
        return Image(jpeg, format="jpeg", width=width)
    return Image(png, format="png", width=width)


def opening(paper: str) -> Image:
    """The picture that makes a paper's point, of a kept run or of kept networks.

    Nothing is trained for it.
    """
    alone = zoo.folder() / paper / OPENING[paper]  # of no single run
    return picture(alone if alone.exists() else keeping.file_of(paper, OPENING[paper]), width=800)
