"""Times are no results: what notebooks save is equal in two runs of a plan, but for costs."""

import pandas as pd
import pytest

from ganzip import files
from ganzip.measure import cost
from ganzip.papers import sdakd_claims, your_own_gan_rows
from ganzip.papers import sdakd_rows as paper_b
from ganzip.presets import COMPARED
from ganzip.report import tables
from ganzip.report.claims import claims_table

FIGURES = files.repository() / "figures"


def rows(paper, factor):
    """Kept rows of a paper, as if the machine had taken ``factor`` times as long."""
    frame = pd.read_csv(FIGURES / paper / "cpu" / "rows.csv", keep_default_na=False)
    frame["value"] = pd.to_numeric(frame["value"])
    extra = {"sdakd": "time", "nickel_dime": "latency", "your_own_gan": "latency"}.get(paper)
    if extra and extra not in set(frame["metric"]):
        one = frame.drop_duplicates(["network", "method"]).assign(metric=extra, value=2.5)
        frame = pd.concat([frame, one], ignore_index=True)
    timed = frame["metric"].isin(cost.TIMES)
    frame.loc[timed, "value"] *= factor
    return frame.assign(cpu_seconds=3.0 * factor)


def saved(paper, factor):
    """The tables that its notebook makes of rows, and its costs, as they are saved."""
    frame, costs = cost.results_and_costs(rows(paper, factor))
    found = {"rows": frame, "cost": costs}
    if paper == "sdakd":
        distance = "KID-efflite2"
        names = {"val4": f"{distance} val 4x", "test4": f"{distance} test 4x"}
        found["table2"] = tables.sdakd_table(frame.loc[frame["method"] != "speed"], 2, names)
        found["beside"] = paper_b.likeness_table(frame, "RealESRGAN", distance)
        found["claims"] = claims_table(sdakd_claims.claims(frame, distance))
    if paper == "nickel_dime":
        found["main"] = tables.nickel_dime_table(frame, "FD-digits", list(COMPARED))
    if paper == "your_own_gan":
        found["table"] = your_own_gan_rows.table(frame)
        reasons = your_own_gan_rows.recommendation(frame)
        found["recommendation"] = pd.DataFrame({"recommendation": reasons})
    return {name: table.to_csv() for name, table in found.items()}


@pytest.mark.parametrize("paper", ["dcgan_kd", "sdakd", "nickel_dime", "your_own_gan"])
def test_a_slower_machine_saves_the_same_tables_but_for_costs(paper):
    one, other = (saved(paper, factor) for factor in (1.0, 1.7))
    assert {name for name in one if one[name] != other[name]} == {"cost"}


def test_costs_are_means_over_seeds_and_the_times_among_rows():
    frame = pd.DataFrame(
        {
            "network": "N",
            "method": ["a", "a", "a", "speed"],
            "width": [2, 2, 2, 4],
            "metric": ["FD", "KID", "FD", "latency"],
            "value": [1.0, 2.0, 3.0, 9.0],
            "unit": ["", "", "", "ms"],
            "unit_key": ["x", "x", "y", "z"],
            "cpu_seconds": [10.0, 10.0, 20.0, 0.0],
        }
    )
    results, costs = cost.results_and_costs(frame)
    assert results["metric"].tolist() == ["FD", "KID", "FD"] and "cpu_seconds" not in results
    assert costs.to_numpy().tolist() == [
        ["N", "a", 2, cost.TRAINING, 15.0, "CPU s"],
        ["N", "speed", 4, "latency", 9.0, "ms"],
    ]
    assert cost.training_seconds(costs).to_numpy().tolist() == [["N", "a", 15.0]]
