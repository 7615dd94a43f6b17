"""What kept enlargers make of photos that no network of this repository has seen in training.

The photos are those inside scikit-learn and scikit-image, reduced four times by bicubic resizing:
what students of ``RealESRGAN-bicubic`` are trained for, on other photos. And what GCFSR's networks
make of the test images of their run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ganzip import data, degrade, export, metrics, zoo
from ganzip.measure.images import images_of
from ganzip.papers import sdakd_rows
from ganzip.papers import super_resolution as sr
from ganzip.report import figures
from ganzip.units import Run, Unit, find_units

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE, FACTOR = 192, 4
# A square of each photo, top and left, and in it the square that is shown larger: top, left, size.
PLACES = {
    "china": ((100, 215), (50, 20, 64)),
    "astronaut": ((10, 130), (60, 64, 64)),
    "chelsea": ((60, 130), (40, 10, 64)),
}
COMPARED, C = ("SDAKD", "naive (C,C)", sr.CONTROL), "1/4"  # the students of the figure


def students() -> dict[tuple[str, str], nn.Module]:
    """The kept students by method and C, smallest first."""
    found: dict[tuple[str, str], nn.Module] = {}
    for path in zoo.files("sdakd").values():
        its = export.card(path).training
        if its["network"] == sr.PLAIN:
            found[its["method"], its["C"]] = export.load(path)
    return dict(sorted(found.items(), key=lambda item: (metrics.params(item[1]), item[0])))


@torch.no_grad()
def enlarged(networks: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Images (3, 3, H, W) in [-1, 1] by name: inputs, bicubic, every network's, the truth."""
    photos = data.photos("photos")
    pieces = [
        photos[name][:, top:, left:][:, :SIDE, :SIDE] for name, ((top, left), _) in PLACES.items()
    ]
    truth = data.to_float(torch.stack(pieces))
    small = degrade.bicubic(truth, SIDE // FACTOR, SIDE // FACTOR).clamp(-1, 1)
    shown = {"input": small, "bicubic": degrade.bicubic(small, SIDE, SIDE).clamp(-1, 1)}
    shown |= {name: images_of(G, small).clamp(-1, 1) for name, G in networks.items()}
    return shown | {"truth": truth}


def details(shown: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The squares that are shown larger, (3, 3, h, h), by name; h is smaller for the input."""

    def cut(images: Tensor) -> Tensor:
        scale = images.shape[-1] / SIDE
        places = [[round(n * scale) for n in zoom] for _, zoom in PLACES.values()]
        squares = zip(images, places, strict=True)
        return torch.stack([each[:, y : y + h, x : x + h] for each, (y, x, h) in squares])

    return {name: cut(images) for name, images in shown.items()}


def restorations(units: Sequence[Unit], root: Path, n: int = 7) -> dict[str, Tensor]:
    """Test images at the middle factor, restored by GCFSR's teacher and students of C = 1/4.

    Of those that are done; kept with the teacher, see ``compute_once``. Empty without one.
    """
    done = [u for u in find_units(units, network="GCFSR", seed=0) if u.done(root)]
    teachers = find_units(done, method="teacher")
    if not teachers:
        return {}
    shown = {"teacher": teachers[0]} | {
        f"{unit.config['method']}\nC = {C}": unit for unit in find_units(done, C=C)
    }

    def answers() -> dict[str, Tensor]:
        examples = sr.examples(Run(teachers[0], root), "test")
        label = list(examples)[len(examples) // 2]
        cond, truth = examples[label].cond[:n], examples[label].truth[:n]
        its = {k: images_of(sdakd_rows.generator_of(u, root), cond) for k, u in shown.items()}
        return {f"input, {label}": cond[:, :3], **its, "photo": truth}

    return sdakd_rows.draw_once(teachers[0], root, "restorations", answers, list(shown))


def networks() -> dict[str, nn.Module]:
    """Students that are compared and the released teacher, by a label; none without students."""
    # A word of the method a line: the widest label is the least width of a column.
    kept = students()
    found = {
        "\n".join([*method.split(), f"C = {C}"]): kept[method, C]
        for method in COMPARED
        if (method, C) in kept
    }
    found |= {"teacher": sr.load_released("cpu")} if found else {}
    return {f"{label}\n{metrics.params(G) / 1e6:.2f} M": G for label, G in found.items()}


def figure() -> Figure | None:
    """A column a network, each image over its detail, PSNR beneath; None without kept students."""
    kept = networks()
    if not kept:
        return None
    shown = enlarged(kept)
    del shown["input"]  # bicubic enlargement shows it better
    captions = sdakd_rows.captions(shown, shown["truth"])
    return figures.comparison(shown, [zoom for _, zoom in PLACES.values()], captions=captions)
