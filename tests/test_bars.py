"""What preset night is to reach, and what rows say of it."""

import pandas as pd
import pytest

from ganzip.report import bars, keeping


def rows(*lines):
    columns = ("network", "method", "width", "metric", "value", "seed")
    return pd.DataFrame([dict(zip(columns, line, strict=True)) for line in lines])


def test_a_bar_is_reached_by_the_mean_over_seeds_or_it_is_not():
    found = bars.table(
        "nickel_dime",
        rows(
            ("StyleGAN2", "teacher", "1.0", "FD-mnist", 8.0, 0),
            ("StyleGAN2", "teacher", "1.0", "FD-mnist last", 11.0, 0),
            ("StyleGAN2", "NICKEL & DiME", "0.1", "recall-mnist", 0.2, 0),
            ("StyleGAN2", "NICKEL & DiME", "0.1", "recall-mnist", 0.5, 1),
            ("StyleGAN2", "NICKEL & DiME", "0.3", "recall-mnist", 0.9, 0),
        ),
    ).set_index("what")
    assert found["reached"].tolist() == ["no", "yes", "not measured yet"]
    assert found["ours"].tolist() == ["11.000 (1 seed)", "0.350 ± 0.212 (2 seeds)", "no runs"]


def test_a_bar_may_be_a_share_of_what_another_method_has():
    plain = "RealESRGAN-bicubic"
    metric = "KID-efflite2 test mean"
    given = rows((plain, "input", "1", metric, 200, 0), (plain, "SDAKD", "1/4", metric, 140, 0))
    found = bars.table("sdakd", given).set_index("what")
    line = found.filter(like=f"{plain}:", axis=0).iloc[0]
    assert (line["bar"], line["ours"], line["reached"]) == ("at most 0.75", "0.700 (1 seed)", "yes")
    assert set(found["reached"]) == {"yes", "not measured yet"}


@pytest.mark.parametrize("paper", bars.BARS)
def test_every_bar_names_what_rows_of_its_paper_have(paper):
    """A misspelt network, method or metric would be "not measured yet" for ever."""
    files = (keeping.folder() / paper).glob("*/rows.csv")
    kept = pd.concat([pd.read_csv(path, low_memory=False) for path in files])
    for bar in bars.BARS[paper]:
        its = kept.query(f"network == '{bar.network}'")
        its = its.loc[its["metric"].str.fullmatch(bar.metric)]
        assert {bar.method, *([bar.of] if bar.of else [])} <= set(its["method"]), bar.text
