"""How notebooks show tables and pictures."""

import io
from xml.etree import ElementTree

import pandas as pd
import pytest
import torch
from PIL import Image

from ganzip.report import figures, show

METHODS = pd.DataFrame({"method": ["mse", "joint"], "mean": [6.5, 30.25], "std": [0.125, None]})


def read(html):
    """The table in it, a column of texts by name, and what stands before it."""
    before, table, rest = html.data.partition("<table")
    tree = ElementTree.fromstring(
        table + rest.partition("</table>")[0].replace("&nbsp;", " ") + "</table>"
    )
    head, *rows = ([cell.text or "" for cell in row] for row in tree.iter("tr"))
    return pd.DataFrame(rows, columns=head), before


def test_a_mean_has_its_deviation_in_the_same_cell():
    frame, before = read(show.table(METHODS.rename(columns={"mean": "FD_mean", "std": "FD_std"})))
    assert frame.to_numpy().tolist() == [["mse", "6.50 ± 0.12"], ["joint", "30.25"]]
    assert list(frame) == ["method", "FD"] and before == ""


def opened_of(shown):
    return Image.open(io.BytesIO(shown.data))


@pytest.mark.parametrize(("content", "format"), [("noise", "jpeg"), ("flat", "png")])
def test_photographs_are_jpeg_and_drawings_png(content, format, tmp_path):
    torch.manual_seed(0)
    smooth = torch.nn.functional.interpolate(torch.rand(4, 3, 12, 12), 96, mode="bicubic")
    images = {"noise": (smooth + 0.02 * torch.randn(4, 3, 96, 96)) * 2 - 1}
    images["flat"] = torch.zeros(4, 3, 96, 96)
    figure = figures.sample_grid({content: images[content]})
    shown = show.picture(figure)
    with opened_of(shown) as opened:
        assert opened.format == format.upper() and shown.format == format
        assert abs(opened.width - figure.get_figwidth() * figure.dpi) < 0.2 * opened.width
    path = figures.save(figure, tmp_path, content)
    of_file = show.picture(path, width=300)
    assert isinstance(of_file.data, bytes) and len(of_file.data) <= path.stat().st_size
    assert of_file.width == 300
