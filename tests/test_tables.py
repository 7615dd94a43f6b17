"""Tables: reading rows, summing up, joining to published numbers, verdicts, showing."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ganzip.report import tables
from ganzip.report.claims import Claim, claims_table, equivalence, ordering, verdict


def row(method="mse", width: object = 2, metric="IS", value: object = 6.0, seed=0, **more):
    """A row of the digits at preset cpu; `more` overrides any column."""
    of = {"paper": "dcgan_kd", "table": "table1", "method": method, "network": "DCGAN"}
    of |= {"dataset": "digits", "width": width, "metric": metric, "value": value, "unit": ""}
    of |= {"preset": "cpu", "steps": 4000 if method == "mse" else 2000, "n_images": 5000}
    return {**of, "features": "digits", "seed": seed, **more}


@pytest.fixture
def frame():
    """Two methods at d = 2 and 4, two metrics, two seeds; a third size that only mse has."""
    found = [
        row(method, d, metric, value + step * seed, seed)
        for (method, d, metric, value, step) in [
            ("mse", 2, "IS", 6.0, 0.5),
            ("mse", 4, "IS", 7.0, 0.5),
            ("mse", 3, "IS", 6.5, 0.5),
            ("mse", 2, "FD-digits", 80.0, 2.0),
            ("regular", 2, "IS", 5.0, 0.5),
            ("regular", 4, "IS", 5.5, 0.5),
            ("regular", 2, "FD-digits", 130.0, 2.0),
        ]
        for seed in (0, 1)
    ]
    return pd.DataFrame(found)


def small_params(d):
    return 32 * d**2 + 3219 * d + 1


# --------------------------------------------------------------------------------- summing up


def test_summary_by_hand():
    found = tables.summary(pd.DataFrame([row(value=v, seed=s) for s, v in enumerate((1, 2, 6))]))
    assert len(found) == 1
    assert found["mean"].iloc[0] == 3.0
    assert found["std"].iloc[0] == pytest.approx(math.sqrt(7))  # (4 + 1 + 9) / (3 - 1)
    assert found["seeds"].iloc[0] == 3


def test_one_seed_has_no_spread_and_a_diverged_one_is_not_left_out():
    assert math.isnan(tables.summary(pd.DataFrame([row()]))["std"].iloc[0])
    found = tables.summary(pd.DataFrame([row(value=6.0), row(value=math.nan, seed=1)]))
    assert math.isnan(found["mean"].iloc[0]) and found["seeds"].iloc[0] == 2


def test_summary_refuses_to_mix_configurations(frame):
    with pytest.raises(ValueError, match="method mse, metric IS, seed 0, which differ in width"):
        tables.summary(frame, by=["method", "metric"])
    with pytest.raises(ValueError, match="which differ in nothing"):
        tables.summary(pd.concat([frame, frame]))


def test_values_come_in_the_order_of_seeds(frame):
    found = tables.values(frame[::-1], method="mse", width=2, metric="IS")
    assert found.to_dict() == {0: 6.0, 1: 6.5}
    assert tables.values(frame, method="joint").empty
    with pytest.raises(ValueError, match="2 rows for seed 0.*differ in method, value, steps"):
        tables.values(frame, width=4)


def test_beside_shows_two_budgets_where_they_differ(frame):
    wide = tables.beside(tables.summary(frame), {"student": "mse", "regular": "regular"})
    wide = wide.set_index(["metric", "width"])
    assert wide.loc[("IS", 2), "student_mean"] == 6.25
    assert wide.loc[("IS", 2), "regular_std"] == pytest.approx(0.5 / math.sqrt(2))
    assert wide.loc[("IS", 2), "steps"] == "4000 / 2000"
    assert wide.loc[("IS", 2), "seeds"] == 2
    assert wide.loc[("IS", 3), "steps"] == 4000  # no regular GAN of that size
    assert math.isnan(wide["regular_mean"].loc[("IS", 3)])


# ---------------------------------------------------------------------- beside the published


def test_compare_keeps_every_published_row_as_it_is(frame):
    paper = tables.published("dcgan_kd", 1)
    ours = tables.summary(frame.query("method == 'mse' and metric == 'IS'"))
    found = tables.compare(ours, paper, on={"d": "width", "metric": "metric"})
    printed = found.loc[: len(paper) - 1, list(paper.columns)]
    pd.testing.assert_frame_equal(printed, paper, check_dtype=False)
    assert {"data", *tables.BUDGET} <= set(found.columns)
    filled = found.dropna(subset=["mean", "d"])
    assert filled[["dataset", "d", "mean", "steps"]].values.tolist() == [
        ["MNIST", 2, 6.25, 4000],
        ["MNIST", 4, 7.25, 4000],
    ]
    assert len(found) == 25
    assert found.loc[24, list(paper.columns)].isna().all()
    assert (found.loc[24, "our_width"], found.loc[24, "mean"]) == (3, 6.75)


def test_dcgan_table1_fills_what_we_ran_and_appends_the_rest(frame):
    table = tables.dcgan_table1(
        frame, dataset="digits", stands_for="MNIST", teacher_d=16, params=small_params
    )
    paper = tables.published("dcgan_kd", 1).drop(columns="teacher_params")
    printed = table.iloc[:24][["dataset", "metric", "teacher_d", "d", "params", "ratio"]]
    pd.testing.assert_frame_equal(printed, paper.iloc[:, :6], check_dtype=False)
    for column in ("student", "regular"):  # blank cells stay blank
        theirs = table.loc[:23, f"published_{column}"]
        pd.testing.assert_series_equal(theirs, paper.loc[:, column], check_names=False)

    filled = table.iloc[:24].dropna(subset="our_params")
    assert filled[["dataset", "d"]].values.tolist() == [["MNIST", 2], ["MNIST", 4]]
    first = filled.iloc[0]
    assert (first["our_params"], first["our_ratio"]) == (6567, 9.1)  # 59,697 / 6,567
    assert (first["student_mean"], first["regular_mean"]) == (6.25, 5.25)
    assert (first["steps"], first["seeds"], first["preset"]) == ("4000 / 2000", 2, "cpu")

    rest = table.iloc[24:]
    assert rest[["d", "our_metric"]].values.tolist() == [[3, "IS"], [2, "FD-digits"]]
    assert rest[["dataset", "metric", "published_student", "params", "ratio"]].isna().all(axis=None)


SDAKD_METRICS = {"val64": "KID-efflite2 val 16x", "test64": "KID-efflite2 test 16x"}


def sdakd_frame(runs):
    """Rows of (network, method, C): scores that grow with run and seed, notes, CPU seconds."""
    found = []
    for number, (network, method, width) in enumerate(runs):
        for seed in (0, 1):
            its = {"network": network, "dataset": "photos", "steps": 160, "features": "lite2"}
            for i, metric in enumerate(SDAKD_METRICS.values()):
                score = 100.0 * number + 10 * i + seed
                found.append(row(method, width, metric, score, seed, n_images=48, **its))
            notes = {"perceptual steps": 160, "blocks": 4, "parameters": 1000 + number}
            for metric, value in notes.items():
                found.append(row(method, width, metric, value, seed, n_images=0, **its))
    return pd.DataFrame(found).assign(unit_key="0123456789ab")


def test_sdakd_tables_keep_every_published_cell_first():
    runs = [("GCFSR", "teacher", "1"), ("RealESRGAN", "SDAKD", "1/4")]
    for number, column in ((1, "val64"), (2, "val4"), (4, "test16")):
        paper = tables.published("sdakd", number)
        table = tables.sdakd_table(sdakd_frame(runs), number, {column: "KID-efflite2 val 16x"})
        printed = table.iloc[: len(paper), : paper.shape[1]]
        pd.testing.assert_frame_equal(printed, paper)


def test_sdakd_table1_fills_the_rows_of_its_network_and_appends_controls():
    frame = sdakd_frame(
        [
            ("GCFSR", "teacher", 1),  # as a csv file gives it back
            ("GCFSR", "naive (C,1)", "1/4"),
            ("GCFSR", "naive (C,C)", "1/4"),
            ("GCFSR", "DCD_modified", "1/2"),
            ("GCFSR", "SDAKD", "1/4"),
            ("GCFSR", "Ablation3", "1/4"),  # in Table 4
            ("RealESRGAN", "SDAKD", "1/8"),
            ("GCFSR", "control GT", "1/4"),
        ]
    )
    lost = frame.eval("method == 'control GT' and metric == 'blocks' and seed == 1")
    table = tables.sdakd_table(frame.loc[~lost], 1, SDAKD_METRICS)  # the seeds still weigh the same
    assert len(table) == 14 + 1
    filled = table.iloc[:14].dropna(subset="our_method")
    keys = ["method", "gen_C", "disc_C", "our_method", "our_width", "val64_ours_mean"]
    assert filled[keys].to_numpy().tolist() == [
        ["GCFSR_reproduced", "1", "1", "teacher", "1", 0.5],
        ["DCD_modified", "1/2", "1", "DCD_modified", "1/2", 300.5],
        ["GCFSR_naive", "1/4", "1", "naive (C,1)", "1/4", 100.5],
        ["GCFSR_naive", "1/4", "1/4", "naive (C,C)", "1/4", 200.5],
        ["SDAKD", "1/4", "1/4", "SDAKD", "1/4", 400.5],
    ]
    control = table.iloc[14]
    assert control[["method", "gen_C", "val64", "test16"]].isna().all()
    assert control[["our_method", "our_width", "data"]].tolist() == ["control GT", "1/4", "photos"]
    assert (control["val64_ours_mean"], control["test64_ours_mean"]) == (700.5, 710.5)
    assert control["test64_ours_std"] == pytest.approx(math.sqrt(0.5))
    assert control["our_metric"] == "KID-efflite2 val 16x / KID-efflite2 test 16x"
    assert control[["seeds", "steps", "n_images", "features", "preset"]].tolist() == [
        *(2, 160, 48, "lite2", "cpu")
    ]
    notes = ["perceptual_steps", "blocks", "parameters"]
    assert control[notes].tolist() == [160, 4, 1007]
    assert list(table.columns[-3:]) == notes


def test_sdakd_table4_places_ablations_at_one_quarter_only():
    runs = [("GCFSR", method, "1/4") for method in ("Ablation1", "Ablation3", "SDAKD", "OMGD")]
    runs += [("GCFSR", "teacher", "1"), ("GCFSR", "Ablation3", "1/2"), ("GCFSR", "SDAKD", "1/8")]
    frame = sdakd_frame(runs).query("metric != 'parameters'")
    table = tables.sdakd_table(frame, 4, SDAKD_METRICS)
    ours = table[["variant", "our_method", "our_width"]].fillna("").to_numpy().tolist()
    assert ours == [
        ["GCFSR_reproduced", "teacher", "1"],
        ["Ablation1", "Ablation1", "1/4"],
        ["Ablation2", "", ""],
        ["Ablation3", "Ablation3", "1/4"],
        ["SDAKD", "SDAKD", "1/4"],
        ["", "OMGD", "1/4"],  # the paper has it at 1/2
        ["", "Ablation3", "1/2"],
    ]
    assert list(table.columns[-3:]) == ["preset", "perceptual_steps", "blocks"]


# ------------------------------------------------------------------------------------- claims


@pytest.mark.parametrize(
    ("better", "worse", "higher", "expected"),
    [
        # Means 2 and 5, both variances 1, n = 3: t = 3 / sqrt(2/3) = 3.67 with 4 degrees of
        # freedom, over the two-sided 90 % point of 2.13.
        ([4, 5, 6], [1, 2, 3], True, "supported"),
        ([4, 5, 6], [1, 2, 3], False, "contradicted"),
        # Means 2 and 3: t = 1.22, under 2.13.
        ([2, 3, 4], [1, 2, 3], True, "inconclusive"),
        # n = 2, both variances 2: t = 4 / sqrt(2) = 2.83, under 2.92; 6 / sqrt(2) = 4.24, over it.
        ([5, 7], [1, 3], True, "inconclusive"),
        ([7, 9], [1, 3], True, "supported"),
        ([9], [1, 2, 3], True, "inconclusive"),
        ([], [], True, "inconclusive"),
        ([9, math.nan], [1, 2], True, "inconclusive"),
        ([3, 3], [2, 2], True, "supported"),
        ([3, 3], [3, 3], True, "inconclusive"),
    ],
)
def test_verdicts_by_hand(better, worse, higher, expected):
    assert verdict(better, worse, higher) == expected


def test_nickel_dime_labels_and_known_numbers_come_from_the_csv():
    rates = tables.nickel_dime_rates()
    assert rates == {0.5: "74.96", 0.7: "90.73", 0.8: "95.73", 0.9: "98.92", 0.95: "99.69"}
    table = tables.nickel_dime_published(["CAGC", "NICKEL & DiME"])
    assert len(table) == 10
    known = table.dropna(subset="published_fid")
    assert known[["method", "p", "published_fid"]].to_numpy().tolist() == [
        ["NICKEL & DiME", 0.8, 10.45], ["NICKEL & DiME", 0.9, 15.93],
        ["NICKEL & DiME", 0.95, 29.38],
    ]  # fmt: skip


def nickel_row(method, p, metric, value, seed=0, **more):
    empty = dict.fromkeys(tables.ROW, "")
    own = {"method": method, "width": round(1 - p, 6), "metric": metric, "value": value}
    rest = {"dataset": "digits", "steps": 5, "n_images": 9, "seed": seed, "preset": "cpu"}
    return {**empty, **own, **rest, **more}


def test_nickel_dime_table_by_hand():
    found = []
    for method, p, score in (
        ("CAGC", 0.9, 300.0),
        ("CAGC", 0.75, 200.0),
        ("fine-tune", 0.9, 400.0),
    ):
        for seed in (0, 1):
            named = {"FD-x": score + 2 * seed, "FD-x last": score, "FD-x best": score - 50}
            named |= {"KID-x": 1.0, "precision-x": 0.5, "recall-x": 0.25, "parameters": 100 * p}
            named |= {"compression rate": 100 * p, "multiply-adds": 1000.0}
            found += [nickel_row(method, p, k, v, seed) for k, v in named.items()]
    found.append(nickel_row("content-aware", 0.9, "FD-x", 999.0))  # pruned only: not in it
    table = tables.nickel_dime_table(pd.DataFrame(found), "FD-x", ["CAGC", "NICKEL & DiME"])
    assert list(zip(table["method"], table["p"], strict=True)) == [
        ("CAGC", 0.9), ("NICKEL & DiME", 0.8), ("NICKEL & DiME", 0.9), ("NICKEL & DiME", 0.95),
        ("CAGC", 0.75), ("fine-tune", 0.9),
    ]  # fmt: skip
    first = table.iloc[0]
    assert (first["published_rate"], first["our_rate"]) == (98.92, 90.0)
    assert math.isnan(first["published_fid"]) and first["our_metric"] == "FD-x"
    assert (first["distance_mean"], first["distance_std"]) == (301.0, pytest.approx(2**0.5))
    assert (first["last_mean"], first["best_mean"], first["recall_mean"]) == (300.0, 250.0, 0.25)
    assert (first["seeds"], first["steps"], first["preset"]) == (2, 5, "cpu")
    assert table["published_rate"].isna().tolist() == [False] * 4 + [True] * 2


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        ([0.50, 0.52, 0.51], [0.52, 0.51, 0.53], "supported"),
        ([0.50, 0.52, 0.51], [0.80, 0.81, 0.83], "contradicted"),
        ([0.3, 0.7, 0.5], [0.52, 0.51, 0.53], "inconclusive"),
        ([0.5], [0.5, 0.5], "inconclusive"),
        ([0.5, 0.5], [0.55, 0.55], "supported"),
        ([0.5, math.nan], [0.5, 0.5], "inconclusive"),
    ],
)
def test_alike_is_an_interval_within_the_margin(one, other, told):
    claim = equivalence("a is b", "figure", one, other, margin=0.1)
    assert (claim.text, claim.verdict) == ("a is b, to 0.1", told)


def test_the_interval_of_a_difference_is_welchs():
    one, other = [1.0, 2.0, 4.0], [1.5, 2.5, 2.0, 3.0]
    low, high = stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.9)
    widest = max(abs(low), abs(high))
    for share, told in ((1.001, "supported"), (0.999, "inconclusive")):
        assert equivalence("", "", one, other, margin=share * widest).verdict == told


def test_the_same_seeds_are_compared_seed_by_seed():
    """Units of one seed have first weights, batches and noise in common."""
    one, apart = pd.Series([10.0, 20.0, 30.0]), [1.0, 1.2, 0.9]
    other = pd.Series([11.0, 21.2, 30.9])
    assert verdict(one.tolist(), other.tolist(), False) == "inconclusive"
    assert verdict(one, other, False) == "supported"
    assert verdict(one, other.set_axis([0, 1, 3]), False) == "inconclusive"
    assert verdict(one.iloc[:2], other.iloc[:2], False) == "inconclusive"  # one degree of freedom
    # The threshold is that of the t-test of pairs.
    noise = float(np.std(apart, ddof=1)) / math.sqrt(3)
    least = float(stats.t.ppf(0.95, 2)) * noise
    for share, told in ((1.001, "supported"), (0.999, "inconclusive")):
        assert verdict(one, other - np.mean(apart) + share * least, False) == told
        margin = sum(apart) / 3 + share * least
        assert equivalence("", "", one, other, margin=margin).verdict == told


def test_what_no_number_of_seeds_takes_away_widens_the_interval():
    one, other = [0.50, 0.52, 0.51], [0.52, 0.51, 0.53]
    for shared, told in ((0.0, "supported"), (0.06, "inconclusive")):
        assert equivalence("", "", one, other, margin=0.1, shared=shared).verdict == told
    far = [0.70, 0.71, 0.73]
    for shared, told in ((0.0, "contradicted"), (0.1, "inconclusive")):
        assert equivalence("", "", one, far, margin=0.1, shared=shared).verdict == told


def test_claims_table():
    claim = ordering("students win", "", better=[4, 5, 6], worse=[1, 2, 3], higher_is_better=True)
    ours = "5.00 ± 1.00 (3 seeds) against 2.00 ± 1.00 (3 seeds)"
    assert claim == Claim("students win", "", ours, "supported")
    assert list(claims_table([claim]).columns) == ["claim", "published", "ours", "verdict"]
    assert len(claims_table([])) == 0


def test_direction_of_metrics():
    names = ("IS-digits", "FID", "FD-efflite2", "PSNR", "VoL")
    assert [tables.higher_is_better(n) for n in names] == [True, False, False, True, None]


# ------------------------------------------------------------------------------------ showing


@pytest.mark.parametrize(
    ("number", "text"),
    [(5.8, "5.80"), (38.72, "38.72"), (12152.3, "12152"), (0.0454, "0.045"), (0.0, "0.00"),
     (-0.5, "-0.50"), (math.nan, "")],
)  # fmt: skip
def test_short(number, text):
    assert tables.short(number) == text


def test_spread_says_how_many_seeds():
    assert tables.spread([]) == "no runs"
    assert tables.spread([6.5]) == "6.50 (1 seed)"
    assert tables.spread([1, 2, 6]) == "3.00 ± 2.65 (3 seeds)"
    assert tables.spread([1, math.nan]).startswith("not finite")


def test_saved_csv_is_stable_and_keeps_whole_numbers(tmp_path):
    shown = pd.DataFrame(
        {"params": [47324929.0, math.nan], "IS": [1 / 3, 2.0], "data": ["a", None]}
    )
    first = tables.save(shown, tmp_path / "new" / "a.csv").read_bytes()
    again = tables.save(shown.copy(), tmp_path / "b.csv").read_bytes()
    assert first == again == b"params,IS,data\n47324929,0.333333,a\n,2,\n"


def test_a_deviation_that_all_seeds_share_makes_verdicts_careful():
    better, worse = [1.0, 1.1, 0.9], [2.0, 2.1, 1.9]
    for shared, expected in ((0.0, "supported"), (0.1, "supported"), (0.7, "inconclusive")):
        assert verdict(better, worse, higher_is_better=False, shared=shared) == expected
    assert verdict([1.0, 1.0], [2.0, 2.0], False, 0.5) == "supported"  # z = 2
    assert verdict([1.0, 1.0], [2.0, 2.0], False, 0.7) == "inconclusive"
