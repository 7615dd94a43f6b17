"""What kept enlargers make of photos that no network of this repository has seen in training.

The photos are those inside scikit-learn and scikit-image, reduced four times by bicubic resizing:
what students of ``RealESRGAN-bicubic`` are trained for, on other photos. And what GCFSR's networks
make of the test images of their run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch
from torch import Tensor, nn

from ganzip import data, degrade, export, metrics, zoo
from ganzip.measure.images import images_of
from ganzip.papers import sdakd_rows
from ganzip.papers import super_resolution as sr
from ganzip.report import figures, tables
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


def details(shown: Mapping[str, Tensor], height: int, width: int) -> dict[str, Tensor]:
    """What is around the middle of the squares that are shown larger, by name.

    shown: images of ``SIDE`` pixels; the answers are (3, 3, height, width).
    """
    places = [
        (min(max(0, y + (side - height) // 2), SIDE - height),
         min(max(0, x + (side - width) // 2), SIDE - width))
        for _, (y, x, side) in PLACES.values()
    ]  # fmt: skip
    return {
        name: torch.stack(
            [image[:, y : y + height, x : x + width]
             for image, (y, x) in zip(images, places, strict=True)]
        )
        for name, images in shown.items()
    }  # fmt: skip


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
    """Students that are compared and the released teacher, by method; none without students."""
    kept = students()
    found = {method: kept[method, C] for method in COMPARED if (method, C) in kept}
    return found | ({"teacher": sr.load_released("cpu")} if found else {})


def scores() -> dict[str, float]:
    """Kernel distances by method: of the kept students and, in their run, of teacher and input."""
    found: dict[str, float] = {}
    for path in zoo.files("sdakd").values():
        card, rows = export.card(path), path.parents[1] / "rows.csv"
        if card.training["network"] == sr.PLAIN and card.training["C"] == C:
            found[card.training["method"]] = zoo.distance(pd.DataFrame(card.metrics))[1]
            frame = pd.read_csv(rows, keep_default_na=False) if rows.exists() else pd.DataFrame()
            for method in ("teacher", "input") if len(frame) else ():
                its = frame.loc[(frame["network"] == sr.PLAIN) & (frame["method"] == method)]
                found[method] = zoo.distance(its)[1]
    return found


def figure() -> Figure | None:
    """A column a network, each image over its detail, PSNR beneath; None without kept students.

    The best is next to the truth, by the kernel distance that its header bears.
    """
    kept, distances = networks(), scores()
    if not kept:
        return None
    shown = enlarged(kept)
    del shown["input"]  # bicubic enlargement shows it better
    distances["bicubic"] = distances.get("input", math.inf)
    order = sorted(shown, key=lambda name: -distances.get(name, -1))
    columns = {header(name, kept.get(name), distances.get(name)): shown[name] for name in order}
    captions = sdakd_rows.captions(columns, shown["truth"])
    return figures.comparison(columns, [zoom for _, zoom in PLACES.values()], captions=captions)


def header(name: str, network: nn.Module | None, distance: float | None) -> str:
    """A network's name, its C and parameters, and its kernel distance, a line each."""
    lines = [name]
    if network is not None:
        size = f"{metrics.params(network) / 1e6:.2f} M"
        lines.append(size if name == "teacher" else f"C = {C}, {size}")
    if distance is not None and math.isfinite(distance):
        lines.append(f"KID {tables.short(distance, 0)}")
    return "\n".join(lines)
