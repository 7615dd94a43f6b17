"""Networks that come with the repository, in ``figures/<paper>/<run>/weights/``.

    G = ganzip.load("nickel_dime/nickel-dime-p90")

Each is a file of 16 bits with a card (``export``): the best teacher, and of every method and size
the best student of it among its seeds, by the metric that decides in its paper.
"""

import io
import re
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from ganzip import export, metrics
from ganzip.files import repository
from ganzip.units import Unit, manifests, read_rows

PLACE, SUFFIX = "weights", ".safetensors"
TEACHER = "teacher"
MAIN = "night"  # the preset whose networks come first
# The metric that chooses, and that is shown: the first that a unit has. Of the evaluations of paper
# C it is the last, since that network is the one in the file.
DISTANCES = (r"FID last", r"FD-\w+ last", r"FID", r"FID test mean", r"KID-\w+ test mean", r"FD-\w+")


def folder() -> Path:
    """Where kept runs are, one folder a paper."""
    return repository() / "figures"


def files(paper: str) -> dict[str, Path]:
    """The files of a paper by name, the teacher first; of one name that of preset ``MAIN``."""
    places = sorted(folder().glob(f"{paper}/*/{PLACE}"), key=lambda p: MAIN in p.parent.name)
    found = {path.stem: path for place in places for path in place.glob(f"*{SUFFIX}")}
    return dict(sorted(found.items(), key=lambda item: (item[0] != TEACHER, item[0])))


def find(name: str) -> Path:
    """The file of a network, "paper/name"; raises FileNotFoundError, which says what there is."""
    paper, _, short = name.partition("/")
    there = files(paper) if paper.isidentifier() else {}
    if short in there:
        return there[short]
    every = [f"{path.parents[2].name}/{path.stem}" for path in folder().glob(f"*/*/{PLACE}/*")]
    raise FileNotFoundError(
        f"{name} is no file and no network of this repository, which has "
        f"{', '.join(sorted(set(every))) or 'none yet'}; take one of those, or a path"
    )


def overview(paper: str) -> pd.DataFrame:
    """The networks of a paper: name, how it was trained, parameters, distance and its metric."""
    lines = []
    for name, path in files(paper).items():
        held = export.card(path)
        metric, value = distance(pd.DataFrame(held.metrics))
        sizes = [f"{k} = {v:g}" for k, v in held.training.items() if k in ("d", "p", "alpha")]
        lines.append(
            {
                "network": f"{paper}/{name}",
                "method": held.training["method"],
                "size": ", ".join(sizes) or str(held.training.get("C", "")),
                "data": held.training["data"],
                "preset": held.training["preset"],
                "steps": held.training["steps"],
                "parameters": metrics.params(export.load(path)),
                "metric": metric,
                "distance": value,
            }
        )
    return pd.DataFrame(lines)


def keep(units: Iterable[Unit], root: Path, place: Path) -> list[Path]:
    """Write a finished run's networks into ``place``; returns their files.

    Generators alone; of units that differ by their seed the one with the smallest distance, among
    those whose weights are here, and of students among those of the teacher that is kept, since
    they are shown beside it.
    """
    units = list(units)
    teachers = {unit.needs["teacher"].key for unit in units if "teacher" in unit.needs}

    def name_of(unit: Unit) -> str:
        """Its name without the seed; of a teacher that is also something else, TEACHER."""
        name = re.sub(r"-seed\d+$", "", unit.name)
        return name if unit.key not in teachers or TEACHER in name else TEACHER

    best: dict[str, tuple[float, Unit]] = {}
    for unit in sorted(units, key=lambda unit: unit.key not in teachers):
        if not unit.has_weights(root) or not any(k.startswith("G.") for k in unit.weights(root)):
            continue
        teacher = unit.needs.get("teacher")
        if teacher is not None and best.get(name_of(teacher), (0, teacher))[1].key != teacher.key:
            continue
        name, (_, score) = name_of(unit), distance(read_rows([unit], root))
        if name not in best or score < best[name][0]:
            best[name] = score, unit
    written = []
    for name, (_, unit) in best.items():
        net, its = import_module(f"ganzip.papers.{unit.paper}").network_of(unit, root)
        written.append(place / f"{name}{SUFFIX}")
        export.save(written[-1], net, its, dtype=torch.float16)
    return written


def distance(rows: pd.DataFrame) -> tuple[str, float]:
    """The first of ``DISTANCES`` that rows of one unit have, and its value.

    A teacher's rows have also those of the enlarged input, which come later.
    """
    for pattern in DISTANCES:
        found = rows.loc[rows["metric"].str.fullmatch(pattern)]
        if len(found):
            return str(found["metric"].iloc[0]), float(found["value"].iloc[0])
    return "", float("nan")


def card(
    unit: Unit,
    root: Path,
    arguments: Mapping[str, Any],
    example: torch.Tensor,
    *,
    noise: bool,
    width: float = 1.0,
    **more: Any,
) -> export.Card:
    """The card of a finished unit's network: how it was trained and what was measured of it.

    arguments: its constructor's. example: one input. more: stands beside method, steps, seed, data
    and preset.
    """
    names = ("method", "steps", "seed", "data", "preset", "network", "d", "p", "alpha", "C")
    rows = pd.read_csv(io.BytesIO(unit.read(root, manifests.ROWS)), keep_default_na=False)
    return export.Card(
        arguments=dict(arguments),
        input_shape=tuple(example.shape),
        input_kind="noise" if noise else "image in [-1, 1]",
        width=width,
        training={k: unit.config[k] for k in names if k in unit.config} | more,
        metrics=rows.to_dict("records"),
        provenance={"unit": unit.key},
    )
