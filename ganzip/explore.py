"""Looking at finished generators: pick a method, a size and a seed, and walk through z.

Nothing is trained here: units that are done are loaded, others are not offered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganzip import figures
from ganzip.papers import dcgan_kd, judging
from ganzip.runs import Unit

# What tells the units of papers A and C apart, in the order in which one chooses.
CHOICES = {"method": "method", "d": "d", "p": "p, pruned", "alpha": "alpha", "seed": "seed"}
NOISES = 20  # of the fixed list that no network was trained on


def generators(units: Iterable[Unit], root: Path) -> list[Unit]:
    """The finished units that have a generator which draws from noise."""
    return [
        unit
        for unit in units
        if unit.done(root)
        and "latent" in unit.config
        and any(name.startswith("G.") for name in unit.weights(root))
    ]


def offered(units: Sequence[Unit], chosen: Mapping[str, Any], name: str) -> list[Any]:
    """Values of one of ``CHOICES`` among the units that fit what was chosen before it."""
    fitting = matching(units, chosen)
    return sorted({u.config[name] for u in fitting if name in u.config})


def matching(units: Sequence[Unit], chosen: Mapping[str, Any]) -> list[Unit]:
    """Units whose configuration has the chosen values, where it has such a value at all."""
    return [u for u in units if all(u.config.get(k, v) == v for k, v in chosen.items())]


def walk(unit: Unit, root: Path, first: int = 0, last: int = 1, steps: int = 7) -> Any:
    """A figure: the unit's images from one z to another, its teacher's of the same z above.

    first, last: of the fixed list of ``NOISES``. The way is a great circle.
    """
    z = judging.noise(NOISES, unit.config["latent"])
    path = dcgan_kd.interpolate(z[[first, last]], steps)
    teacher = unit.needs.get("teacher")
    rows = {} if teacher is None else {"teacher": _images(teacher, root, path)}
    return figures.sample_grid(rows | {label(unit): _images(unit, root, path)})


def label(unit: Unit) -> str:
    """What a unit is, as far as it was chosen: "mse d = 4"."""
    named = [f"{k} = {unit.config[k]:g}" for k in ("d", "p", "alpha") if k in unit.config]
    return "\n".join([unit.config["method"], *named])


@lru_cache(maxsize=64)
def _kept(unit: Unit, root: Path, path: tuple[tuple[float, ...], ...]) -> Tensor:
    return import_module(f"ganzip.papers.{unit.paper}").images_of(unit, root, torch.tensor(path))


def _images(unit: Unit, root: Path, path: Tensor) -> Tensor:
    return _kept(unit, root, tuple(map(tuple, path.tolist())))


def panel(units: Iterable[Unit], root: Path) -> Any:
    """Widgets over the finished generators of a plan; raises ValueError where there are none.

    Choosing a method leaves those sizes, alphas and seeds that it has.
    """
    import ipywidgets as widgets
    from IPython.display import display

    ready = generators(units, root)
    if not ready:
        raise ValueError(f"no generator under {root} is done; run the paper's notebook first")
    names = [name for name in CHOICES if any(name in unit.config for unit in ready)]
    boxes = {name: widgets.Dropdown(description=CHOICES[name]) for name in names}
    ends = [
        widgets.IntSlider(value=i, max=NOISES - 1, description=text, continuous_update=False)
        for i, text in enumerate(("from z", "to z"))
    ]
    shown = widgets.Output()

    def refresh(*_: Any) -> None:
        chosen: dict[str, Any] = {}
        for name, box in boxes.items():
            values = offered(ready, chosen, name)
            if list(box.options) != values:
                kept = box.value if box.value in values else next(iter(values), None)
                box.unobserve(refresh, "value")
                box.options, box.value = values, kept
                box.observe(refresh, "value")
            box.layout.display = "" if values else "none"
            if values:
                chosen[name] = box.value
        (unit, *_rest) = matching(ready, chosen)
        with shown:
            shown.clear_output(wait=True)
            display(walk(unit, root, ends[0].value, ends[1].value))

    for box in boxes.values():
        box.observe(refresh, "value")
    for end in ends:
        end.observe(refresh, "value")
    refresh()
    return widgets.VBox([widgets.HBox([*boxes.values()]), widgets.HBox(ends), shown])
