"""What a network costs: parameters, multiply-adds, time of a pass; and what its training took.

Times are no results: equal plans give equal rows, but other times in every run. So no table of
results holds any, and ``tables/cost.csv`` holds all.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

import pandas as pd
import torch
from torch import Tensor, nn

from ganzip import metrics
from ganzip.measure.rows import Number

Key = TypeVar("Key", str, float)
TIMES = ("latency", "time", "speed-up")  # metrics that differ from run to run
TRAINING = "training"  # a quantity of the costs: CPU seconds of a unit
KINDS = ["network", "method", "width"]


def sizes(G: nn.Module, example: Tensor, adds: int | None = None) -> list[Number]:
    """Parameters, and multiply-adds of one input, unless they are counted otherwise: ``adds``."""
    count = metrics.macs(G, example) if adds is None else adds
    return [Number("parameters", metrics.params(G)), Number("multiply-adds", count)]


@torch.no_grad()
def pass_seconds(nets: Mapping[Key, nn.Module], cond: Tensor, count: int) -> dict[Key, float]:
    """Seconds of a forward pass of each network: the median of ``count``, which take turns."""
    passes = {key: partial(G.eval(), cond) for key, G in nets.items()}
    return metrics.latency(passes, count, on_gpu=cond.is_cuda)


def count(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> tuple[int, int]:
    """Multiply-adds of a pass of one input of a shape, and parameters; uses no memory."""
    with torch.device("meta"):
        net = make()
        return metrics.macs(net, torch.zeros(1, *shape)), metrics.params(net)


def results_and_costs(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of units without times; and all times, in columns ``KINDS``, quantity, value, unit.

    Training counts in CPU seconds, the mean over a kind's seeds.
    """
    timed = frame["metric"].isin(TIMES)
    units = frame.drop_duplicates("unit_key").query("cpu_seconds > 0")
    training = units.groupby(KINDS, sort=False).agg(value=("cpu_seconds", "mean")).reset_index()
    training = training.assign(quantity=TRAINING, unit="CPU s")
    passes = frame.loc[timed].rename(columns={"metric": "quantity"})
    costs = pd.concat([training, passes], ignore_index=True)
    results = frame.loc[~timed].reset_index(drop=True)
    return results.drop(columns="cpu_seconds"), costs.loc[:, [*KINDS, "quantity", "value", "unit"]]


def training_seconds(costs: pd.DataFrame) -> pd.DataFrame:
    """CPU seconds of training, a line a method of a network, a column a width."""
    training = costs.loc[costs["quantity"] == TRAINING]
    table = training.pivot(index=["network", "method"], columns="width", values="value")
    return table.reset_index()
