"""README's tables and its figure come from the kept runs."""

import pandas as pd
import pytest

from ganzip import keeping, page, papers, runs


def test_only_blocks_change_and_a_block_that_is_not_there_is_named():
    text = (runs.repository() / "README.md").read_text()
    changed = text.replace("<!-- runs -->\n", "<!-- runs -->\nan old line\n")
    assert changed != text and page.written(changed) == text
    with pytest.raises(ValueError, match="README.md has no block <!-- status -->"):
        page.written(text.replace("<!-- status -->", ""))


def test_every_item_of_the_papers_has_a_line_and_every_pattern_a_claim():
    table = page.status()
    assert len(table) == sum(paper in page.PAPERS for paper, *_ in papers.ITEMS)
    resting = [pattern for *_, pattern in papers.ITEMS if pattern]
    assert len([said for said in table["verdicts"].tolist() if said]) == len(resting)
    for paper in page.PAPERS:
        claims = pd.read_csv(page.kept(paper)[0] / "claims.csv")
        row = table.loc[table["item"].str.contains(f"{paper}/.*/claims.csv", regex=True)].iloc[0]
        numbers = [int(part.split()[0]) for part in row["verdicts"].split(", ")]
        assert sum(numbers) == len(claims) == int(row["ours"].split()[0])


@pytest.mark.parametrize("paper", page.PAPERS)
def test_claims_stand_beside_the_verdicts_of_other_runs(paper):
    table = page.claims(paper)
    others = page.kept(paper)[1:]
    known = {*page.SIGNS.values(), ""}
    assert set(table["verdict"]) <= known - {""}
    for place in others:
        column = table[page.label(place)]
        assert known >= set(column) != {""}
        said = pd.read_csv(place / "claims.csv").iloc[0]
        plain = [page._plain(claim) for claim in table["claim"]]
        assert column.iloc[plain.index(page._plain(said["claim"]))] == page.SIGNS[said["verdict"]]


def test_claims_of_other_features_are_the_same_claim():
    assert page._plain("better, by FD-cifar10-train") == page._plain("better, by FD-digits")
    assert page._plain("better, by IS") != page._plain("better, by FD-digits")


def test_the_front_figure_shows_three_papers():
    figure = page.front_figure()
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.lines]
    assert [title[:2] for title in titles] == ["A.", "B.", "C."]
    assert len(figure.axes) == 3 * (1 + 3)


def test_shares_are_of_the_trained_networks():
    place = page.kept("dcgan_kd")[0]
    drawn = page.shrunk(place, {"mse": "taught"}, "FD-", ("regular", 16.0))
    assert drawn["method"].tolist() == ["teacher", "taught", "taught", "taught"]
    assert drawn["ratio"].round(1).tolist() == [1.0, 2.2, 4.5, 9.1]


@pytest.mark.parametrize(
    ("paper", "metric", "groups", "form"),
    [
        ("nickel_dime", "FD-mnist", ["method", "p", "steps", "dime"], "{:.1f} ± {:.1f}"),
        (
            "sdakd",
            "KID-efflite2 test mean",
            ["network", "method", "steps", "style"],
            "{:.0f} ± {:.0f}",
        ),
    ],
)
def test_what_is_told_of_variants_is_in_their_rows(paper, metric, groups, form):
    told = (runs.repository() / "DIVERGENCES.md").read_text()
    rows = pd.read_csv(keeping.folder() / paper / "variants.csv")
    longer = rows.loc[rows["steps"].isin([135, 840, 1280])]
    found = longer.groupby(groups, dropna=False)[metric].agg(["mean", "std", "count"])
    found = found.loc[found["count"] > 1]
    assert len(found) >= 7
    for mean, std in zip(found["mean"], found["std"], strict=True):
        assert form.format(mean, std) in told


SAID = [
    ("A", "IS", "{:.2f}", {"network": "DCGAN"}, [
        ("mse", 2), ("regular", 2), ("regular", 16), ("letter", 2),
    ]),
    ("B", "KID-efflite2 test mean", "{:.0f}", {"network": "RealESRGAN"}, [
        ("SDAKD", "1/4"), ("naive (C,C)", "1/4"), ("control GT", "1/4"), ("Ablation3", "1/4"),
        ("input", "1"), ("teacher", "1"), ("naive (C,1)", "1/2"),
    ]),
    ("B", "KID-efflite2 test mean", "{:.0f}", {"network": "GCFSR"}, [
        ("SDAKD", "1/4"), ("input", "1"), ("teacher", "1"), ("Ablation1", "1/4"),
        ("Ablation1 as long", "1/4"), ("Ablation2", "1/4"),
    ]),
    ("C", "FD-mnist", "{:.0f}", {}, [
        *((m, 0.1) for m in ("NICKEL & DiME", "CAGC", "ITGC", "StyleKD", "fine-tune", "GS", "GCC")),
        *((m, 0.1) for m in ("DiME", "NICKEL", "NICKEL & DiME without D_T", "from scratch")),
        *((m, 0.3) for m in ("CAGC", "ITGC", "NICKEL & DiME")), ("teacher", 1.0),
    ]),
    ("C", "recall-mnist", "{:.3f}", {}, [("NICKEL & DiME", 0.1), ("from scratch", 0.1)]),
]  # fmt: skip


@pytest.mark.parametrize(("letter", "metric", "form", "where", "methods"), SAID)
def test_what_the_texts_say_is_in_the_rows_of_the_reference_run(
    letter, metric, form, where, methods
):
    text = (runs.repository() / "README.md").read_text()
    said = text.partition(f"<!-- {letter} text -->")[2].partition(f"<!-- /{letter} text -->")[0]
    (paper,) = [name for name, its in page.PAPERS.items() if its == letter]
    rows = pd.read_csv(page.kept(paper)[0] / "rows.csv", low_memory=False)
    rows = rows.loc[rows["metric"] == metric]
    for column, value in where.items():
        rows = rows.loc[rows[column] == value]
    for method, width in methods:
        widths = rows["width"].astype(str).str.removesuffix(".0")
        of = (rows["method"] == method) & (widths == str(width).removesuffix(".0"))
        assert of.any(), (method, width)
        assert form.format(rows.loc[of, "value"].mean()) in said, (method, width)
