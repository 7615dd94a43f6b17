"""Rows: measured numbers under the labels of their unit. And units by what they are."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import pandas as pd

from ganzip.report import tables
from ganzip.units import Run, Unit, find_units

Key = TypeVar("Key")


class Number(NamedTuple):
    """A measured number.

    unit: of the value, "" for none. n_images: how many images it rests on. features: the network
    whose features it compares, if any.
    """

    metric: str
    value: float
    unit: str = ""
    n_images: int = 0
    features: str = ""


def rows(
    run: Run, numbers: Iterable[Number], labels: Mapping[str, Any], **others: Any
) -> list[dict[str, Any]]:
    """Rows of ``tables.ROW`` from numbers of a unit.

    labels: what rows of the unit say of it beside its configuration: table, network, width, ...;
    others: those that these rows say otherwise, such as the method.
    """
    own = {name: run.config[name] for name in ("method", "preset", "steps", "seed")}
    own |= {"paper": run.unit.paper, "dataset": run.config["data"], **labels, **others}
    lines = (own | number._asdict() for number in numbers)
    return [{column: line[column] for column in tables.ROW} for line in lines]


def pair_seeds(seeds: Mapping[Key, int]) -> list[tuple[Key, int]]:
    """Every size of a network, such as d or p, with each of as many seeds as it has."""
    return [(size, seed) for size, count in seeds.items() for seed in range(count)]


def overview(
    units: Iterable[Unit], columns: Mapping[str, str | Callable[[Unit], Any]]
) -> pd.DataFrame:
    """A plan, one line a kind of run: ``columns``, and its number of seeds.

    columns: by name a key of the configuration, or a function of the unit; blank without the key.
    """

    def cell(unit: Unit, of: str | Callable[[Unit], Any]) -> Any:
        return unit.config.get(of, "") if isinstance(of, str) else of(unit)

    lines = [
        {name: cell(unit, of) for name, of in columns.items()} | {"seed": unit.config["seed"]}
        for unit in units
    ]
    kinds = pd.DataFrame(lines).groupby(list(columns), sort=False)
    return kinds.agg(seeds=("seed", "count")).reset_index()


def pick(units: Iterable[Unit], *, seed: int = 0, **config: Any) -> Unit:
    """The unit of a configuration; raises ValueError where the plan has none, or several."""
    found = find_units(units, seed=seed, **config)
    if len(found) != 1:
        text = ", ".join(f"{name} = {value}" for name, value in config.items())
        raise ValueError(f"{len(found)} units of {text}, seed = {seed}; expected 1: say more of it")
    return found[0]
