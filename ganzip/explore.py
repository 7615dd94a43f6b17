"""Looking at trained generators: pick a method, a size and a seed, and walk through z.

Nothing is trained here: units that are done are loaded, and networks of the zoo; others are not
offered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganzip import export, zoo
from ganzip.measure.images import images_of, interpolate, noise
from ganzip.nets import stylegan2
from ganzip.report import figures
from ganzip.units import Unit

# What tells generators of papers A and C apart, in the order in which one chooses.
CHOICES = {"method": "method", "d": "d", "p": "p, pruned", "alpha": "alpha", "seed": "seed"}
NOISES = 20  # of the fixed list that no network was trained on


@dataclass(frozen=True)
class Generator:
    """A generator that draws from noise.

    facts: its values of ``CHOICES``. draw: images of z (n, latent). teacher: of a student.
    """

    facts: Mapping[str, Any]
    latent: int
    draw: Callable[[Tensor], Tensor]
    teacher: Generator | None = None

    @property
    def label(self) -> str:
        """What it is, in two lines: "mse", "d = 4"."""
        named = [f"{k} = {self.facts[k]:g}" for k in ("d", "p", "alpha") if k in self.facts]
        return "\n".join([self.facts["method"], *named])


def generators(units: Iterable[Unit], root: Path) -> list[Generator]:
    """Those of finished units whose weights are here."""
    return [
        of_unit(unit, root)
        for unit in units
        if unit.has_weights(root)
        and "latent" in unit.config
        and any(name.startswith("G.") for name in unit.weights(root))
    ]


def of_unit(unit: Unit, root: Path) -> Generator:
    """The generator of a finished unit."""
    its = unit.needs.get("teacher")
    teacher = None if its is None else of_unit(its, root)
    generator_of = import_module(f"ganzip.papers.{unit.paper}").generator_of

    def draw(z: Tensor) -> Tensor:
        return images_of(generator_of(unit, root), z, 500)

    return Generator(_facts(unit.config), unit.config["latent"], draw, teacher)


def of_zoo(paper: str) -> list[Generator]:
    """Those that come with the repository for paper A ("dcgan_kd") or C ("nickel_dime")."""
    files = zoo.files(paper)
    its = files.pop(zoo.TEACHER, None)
    teacher = [] if its is None else [_of_file(its)]
    others = [_of_file(path, *teacher) for path in files.values()]
    return [one for one in (*others, *teacher) if one.latent]


def _of_file(path: Path, teacher: Generator | None = None) -> Generator:
    card = export.card(path)
    teacher = teacher if card.width < 1 else None  # a GAN of that size that learnt alone has none
    latent = card.input_shape[1] if card.input_kind == "noise" else 0

    @lru_cache(maxsize=1)
    def network() -> Any:
        return export.load(path)

    @torch.no_grad()
    def draw(z: Tensor) -> Tensor:
        with stylegan2.stored_noise(network()):
            return network()(z)

    return Generator(_facts(card.training), latent, draw, teacher)


def _facts(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: config[name] for name in CHOICES if name in config}


def options(generators: Sequence[Generator], choice: Mapping[str, Any], name: str) -> list[Any]:
    """Values of one of ``CHOICES`` among the generators that fit what was chosen before it."""
    fitting = matching(generators, choice)
    return sorted({one.facts[name] for one in fitting if name in one.facts})


def matching(generators: Sequence[Generator], choice: Mapping[str, Any]) -> list[Generator]:
    """Generators that have the values of a choice, where they have such a value at all."""
    return [g for g in generators if all(g.facts.get(k, v) == v for k, v in choice.items())]


def walk(generator: Generator, first: int = 0, last: int = 1, steps: int = 7) -> Any:
    """A figure: images from one z to another, the teacher's of the same z above.

    first, last: of the fixed list of ``NOISES``. The way is a great circle.
    """
    z = noise(NOISES, generator.latent)
    path = interpolate(z[[first, last]], steps)
    teacher = generator.teacher
    rows = {} if teacher is None else {"teacher": teacher.draw(path)}
    return figures.sample_grid(rows | {generator.label: generator.draw(path)})


def panel(generators: Sequence[Generator]) -> Any:
    """Widgets over generators; raises ValueError where there are none.

    Choosing a method leaves those sizes, alphas and seeds that it has.
    """
    import ipywidgets as widgets
    from IPython.display import display

    if not generators:
        raise ValueError("no generator is here; run the paper's notebook first")
    names = [name for name in CHOICES if any(name in one.facts for one in generators)]
    boxes = {name: widgets.Dropdown(description=CHOICES[name]) for name in names}
    ends = [
        widgets.IntSlider(value=i, max=NOISES - 1, description=text, continuous_update=False)
        for i, text in enumerate(("from z", "to z"))
    ]
    output = widgets.Output()

    def refresh(*_: Any) -> None:
        choice: dict[str, Any] = {}
        for name, box in boxes.items():
            values = options(generators, choice, name)
            if list(box.options) != values:
                value = box.value if box.value in values else next(iter(values), None)
                box.unobserve(refresh, "value")
                box.options, box.value = values, value
                box.observe(refresh, "value")
            box.layout.display = "" if values else "none"
            if values:
                choice[name] = box.value
        (one, *_rest) = matching(generators, choice)
        with output:
            output.clear_output(wait=True)
            display(walk(one, ends[0].value, ends[1].value))

    for box in boxes.values():
        box.observe(refresh, "value")
    for end in ends:
        end.observe(refresh, "value")
    refresh()
    return widgets.VBox([widgets.HBox([*boxes.values()]), widgets.HBox(ends), output])
