"""What pages and README show comes from the kept runs."""

import re

import pandas as pd
import pytest

from ganzip import files, metrics, papers
from ganzip.nets import dcgan
from ganzip.report import effects, keeping, ongoing, pages, tables


@pytest.fixture(scope="module")
def texts():
    return pages.render()


def test_every_page_is_what_the_rows_give(texts):
    names = {path.relative_to(files.repository()).as_posix() for path in texts}
    assert names == {
        "README.md",
        "figures/RESULTS.md",
        *(f"figures/{paper}/README.md" for paper in (*pages.PAPERS, "your_own_gan")),
    }
    for path, text in texts.items():
        assert path.read_text() == text, f"{path} is not what the rows give: make figures"
    kept = pd.read_csv(keeping.folder() / "runs.csv")
    assert kept["run"].tolist() == pages.manifest()["run"].tolist()


def test_a_page_shows_every_figure_table_and_run_of_its_paper(texts):
    for paper in pages.PAPERS:
        place, text = keeping.reference(paper), texts[keeping.folder() / paper / "README.md"]
        shown = {path.name for path in place.iterdir() if f"{place.name}/{path.name})" in text}
        assert shown >= {path.name for path in place.glob("*.png")}
        for owner, _, file, _ in papers.ITEMS:
            assert owner != paper or file in shown, file
        for other in keeping.runs_of(paper):
            assert pages.label(other) in text and f"{other.name}/rows.csv" in text
        at = [text.index(f"**{pages.label(each)}**") for each in keeping.runs_of(paper)]
        assert at == sorted(at)
        assert all(claim in text for claim in pd.read_csv(place / "claims.csv")["claim"])


def test_only_blocks_change_and_a_block_that_is_not_there_is_named():
    text = (files.repository() / "README.md").read_text()
    changed = text.replace("<!-- found -->\n", "<!-- found -->\nan old line\n")
    assert changed != text and pages.fill(changed) == text
    with pytest.raises(ValueError, match="README.md has no block <!-- found -->"):
        pages.fill(text.replace("<!-- found -->", ""))


def test_every_item_of_the_papers_has_a_line_and_every_pattern_a_claim():
    table = pages.status()
    assert len(table) == sum(paper in pages.PAPERS for paper, *_ in papers.ITEMS)
    resting = [pattern for *_, pattern in papers.ITEMS if pattern]
    assert len([said for said in table["verdicts"].tolist() if said]) == len(resting)
    for paper in pages.PAPERS:
        claims = pd.read_csv(keeping.file_of(paper, "claims.csv"))
        row = table.loc[table["item"].str.contains(f"{paper}/.*/claims.csv", regex=True)].iloc[0]
        numbers = [int(part.split()[0]) for part in row["verdicts"].split(", ")]
        assert sum(numbers) == len(claims) == int(row["ours"].split()[0])


@pytest.mark.parametrize("paper", pages.PAPERS)
def test_claims_stand_beside_the_verdicts_of_other_runs(paper):
    table = pages.claims(paper)
    assert set(table["verdict"]) <= set(effects.VERDICTS)
    for place in keeping.runs_of(paper)[1:]:
        column = table[pages.label(place)]
        assert {*effects.VERDICTS, ""} >= set(column) != {""}
        said = pd.read_csv(place / "claims.csv").iloc[0]
        plain = [pages._plain(claim) for claim in table["claim"]]
        assert column.iloc[plain.index(pages._plain(said["claim"]))] == said["verdict"]


def test_shares_are_of_the_trained_networks():
    place = keeping.folder() / "dcgan_kd" / "cpu-mnist-x1.3"
    drawn = pages.ratios(place, {"taught": "mse"}, "FD-", ("regular", 16.0))
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
    told = (files.repository() / "DIVERGENCES.md").read_text()
    rows = pd.read_csv(keeping.folder() / paper / "variants.csv")
    longer = rows.loc[rows["steps"].isin([135, 840, 1280])]
    found = longer.groupby(groups, dropna=False)[metric].agg(["mean", "std", "count"])
    found = found.loc[found["count"] > 1]
    assert len(found) >= 7
    for mean, std in zip(found["mean"], found["std"], strict=True):
        assert form.format(mean, std) in told


def test_numbers_of_the_kept_teacher_of_paper_c_are_in_its_rows():
    told = (files.repository() / "DIVERGENCES.md").read_text()
    (line,) = [line for line in told.splitlines() if line.startswith("| teacher of 10,000 steps")]
    teachers = (keeping.folder() / "teachers" / "nickel_dime" / "units").glob("teacher-*/rows.csv")
    (rows,) = (f for f in map(pd.read_csv, teachers) if set(f["preset"]) == {"night"})
    found = dict(zip(rows["metric"].tolist(), rows["value"].tolist(), strict=True))
    assert f"FD-mnist {found['FD-mnist last']:.1f} at its end" in line
    assert f"recall {found['recall-mnist last']:.2f}" in line and set(rows["steps"]) == {10_000}


def test_numbers_of_the_first_night_are_in_the_rows_of_its_pilots():
    told = (files.repository() / "DIVERGENCES.md").read_text()
    (line,) = [line for line in told.splitlines() if "pilots-night.csv" in line]
    rows = pd.read_csv(keeping.folder() / "dcgan_kd" / "pilots-night.csv")
    whole = rows.query("steps == 10000")
    assert len(whole) == 9
    for score, distance in whole[["IS", "FD-mnist"]].to_numpy():
        assert re.search(rf"\b{score:.2f} and( an FD of)? {distance:.0f}\b", line), (
            score,
            distance,
        )


def test_differences_and_shares_that_the_texts_name_are_those_of_rows():
    texts, kid = pages.render(), "KID-efflite2 test mean"
    B, A = keeping.reference("sdakd"), keeping.reference("dcgan_kd")
    naive, ours = (
        pages.values(B, m, "1/4", kid, network="GCFSR") for m in ("naive (C,C)", "SDAKD")
    )
    gaps = [a - b for a, b in zip(naive, ours, strict=True)]
    page = texts[keeping.folder() / "sdakd" / "README.md"]
    assert f"the difference is {min(gaps):.0f} to {max(gaps):.0f}" in page
    for metric, share in (("IS", 2 / 5), ("FD-mnist", 2 / 3)):  # as the texts say
        untuned, tuned, student = (
            float(pages.mean(A, m, 2, metric)) for m in ("letter", "regular", "mse")
        )
        assert abs((tuned - untuned) / (student - untuned) - share) < 0.06


def test_numbers_of_effects_that_do_not_show_are_in_rows():
    """DIVERGENCES is written by hand; its numbers of reference runs are those of their rows."""
    told, A = (files.repository() / "DIVERGENCES.md").read_text(), keeping.reference("dcgan_kd")
    student, teacher = (pages.mean(A, *row, "IS") for row in (("mse", 2), ("regular", 16)))
    assert f"has an IS of {student}, its teacher {teacher}" in told
    penalty, clipping = (pages.mean(A, m, 4, "FD-mnist", 0) for m in ("wgan-gp", "wgan"))
    assert f"FD {penalty}, with clipping {clipping}" in told
    dose, none = (pages.values(A, f"joint {a} warm", 4, "VoL") for a in ("0.0001", "0"))
    assert "VoL {:,.0f} against {:,.0f}".format(*(sum(x) / len(x) for x in (dose, none))) in told
    told = told[told.index("## Effects that do not show") :]
    kid, B = "KID-efflite2 test mean", keeping.reference("sdakd")
    where = {"RealESRGAN": (("SDAKD", "1/4"), ("naive (C,C)", "1/4"), ("control GT", "1/4"),
                            ("OMGD", "1/2"), ("DCD", "1/2"), ("naive (C,1)", "1/2")),
             "GCFSR": (("SDAKD", "1/4"), ("naive (C,C)", "1/4"), ("control GT", "1/4"),
                       ("Ablation1 as long", "1/4"), ("Ablation2", "1/4"))}  # fmt: skip
    for network, rows in where.items():
        for method, C in rows:
            assert pages.spread(B, method, C, kid, network=network) in told, (network, method)
    (night,), plain = ongoing.runs_of("sdakd"), "RealESRGAN-bicubic"
    line = next(line for line in told.splitlines() if "at preset night" in line)
    for method in ("SDAKD", "naive (C,C)", "control GT", "input", "teacher"):
        C = "1" if method in ("input", "teacher") else "1/4"
        assert re.search(rf"\b{pages.mean(night, method, C, kid, 0, network=plain)}\b", line), (
            method
        )
    faces = ongoing.table(night).query("network == 'GCFSR'")[["method", "width"]].to_numpy()
    scores = {(m, C): pages.values(night, m, C, kid, network="GCFSR") for m, C in faces}
    (costless,) = scores.pop(("input", "1"))  # "all are better than the enlarged input"
    assert max(max(each) for each in scores.values()) < costless
    line = next(line for line in told.splitlines() if "the teacher's share of SDAKD's lead" in line)
    for method in ("SDAKD", "naive (C,C)", "control GT"):
        assert pages.spread(night, method, "1/4", kid, network="GCFSR") in line
    claims = pd.read_csv(keeping.reference("nickel_dime") / "claims.csv")
    near = claims.loc[claims["claim"].str.contains("logits are nearer to 0"), "ours"]
    line = next(line for line in told.splitlines() if line.startswith("| C: logits"))
    for mean, std in re.findall(r"(\S+) ± (\S+) ", " ".join(near)):
        assert f"{float(mean):.1f} ± {float(std):.1f}" in line


# What the texts say in words, by run: a claim and its verdict.
SAID = {
    "dcgan_kd/cpu-mnist-x1.3": {
        "student is better than a regular GAN of its size, d=2": ["supported"] * 2,
        "student is better than a regular GAN of its size, d=4": ["supported", "inconclusive"],
        "student is better than a regular GAN of its size, d=8": ["inconclusive"] * 2,
        "gap to the regular GAN is wider": ["supported"] * 2,
        "No student beats": ["supported"] * 2,
        "No loss": ["contradicted"] * 2,
        "MSE students are blurred": ["supported"],
        "sharper at alpha": ["supported"] * 3,
    },
    "dcgan_kd/cpu": {
        "sharper at alpha 0.01": ["supported"],
        "sharper at alpha (0.0001|0.1)": ["inconclusive"] * 2,
    },
    "dcgan_kd/cpu-cifar10": {"better than a regular GAN": ["inconclusive"] * 6},
    "dcgan_kd/cpu-faces-lfw-112": {
        "better than a regular GAN": ["inconclusive", "supported", "supported"]
    },
    "sdakd/cpu": {
        "RealESRGAN, C = 1/4: SDAKD is better than naive": ["contradicted"] * 2,
        "bicubic, .*SDAKD is better than (naive|control)": ["supported", "contradicted"],
        "SDAKD is better than (OMGD|DCD)": ["inconclusive"] * 6,
    },
    "sdakd/cpu-faces-ffhq-style-256+photos-bsds-train-x1.5": {
        "RealESRGAN, C = 1/[248]: SDAKD is better than naive": ["supported"] * 6,
        "SDAKD is better than control": ["inconclusive", "supported", "inconclusive"],
        "RealESRGAN, .*SDAKD is like Ablation3": ["supported"],
        "GCFSR, C = 1/4: SDAKD is better than naive": ["supported"] * 2,
        "GCFSR, C = 1/[28]: SDAKD is better than naive": ["inconclusive"] * 4,
        "bicubic, .*SDAKD is better than (naive|control)": ["inconclusive"] * 2,
        "stage 2 adds$": ["supported"],
        "student discriminator adds$": ["inconclusive"],
        "stage 2 adds more than as many": ["inconclusive"],
        "adds more than stage 2": ["contradicted"],
        "SDAKD is better than (OMGD|DCD)": ["supported"] * 6,
        "D.student. is nearer to 0.5": ["supported"] * 2,
        "is near 0": ["contradicted"] * 2,
    },
    "nickel_dime/cpu-s3": {
        "p = 0.9: NICKEL & DiME is better than (CAGC|StyleKD|GS|ITGC|GCC|fine)": ["supported"] * 6,
        "p = 0.9: NICKEL & DiME is better than (DiME|NICKEL,|NICKEL & DiME without)": ["supported"]
        * 3,
        "p = 0.[57]: NICKEL & DiME is better than (CAGC|ITGC)": ["contradicted"] * 3,
        "p = 0.5: NICKEL & DiME is better than fine": ["contradicted"],
        "p = 0.7: NICKEL & DiME is better than fine": ["inconclusive"],
        "gap to CAGC is wider|CAGC collapses": ["supported"] * 2,
        "more recall than CAGC": ["supported"],
        "efflite0 is better than DiME,": ["inconclusive"],
        "DiME is better than DiME, batch": ["inconclusive"],
        "loses at most": ["contradicted"],
        "farther from 0|drift|D_S: logits are nearer": ["supported"] * 4,
        "D_T: logits are nearer": ["inconclusive"],
    },
    "nickel_dime/narrow-mnist-s3": {
        "p = 0.9: NICKEL & DiME is better than from scratch": ["inconclusive"],
        "p = 0.9: NICKEL & DiME is better than CAGC": ["supported"],
    },
}


@pytest.mark.parametrize("run", SAID)
def test_what_the_texts_say_is_the_verdict_of_the_run(run):
    claims = pd.read_csv(keeping.folder() / run / "claims.csv")
    for pattern, verdicts in SAID[run].items():
        on = [re.search(pattern, claim) is not None for claim in claims["claim"]]
        assert claims.loc[on, "verdict"].tolist() == verdicts, pattern


def test_what_the_texts_say_of_paper_b_at_preset_night_is_its_verdicts():
    """README's table calls four lines significant, and says where the teacher's answers help."""
    (night,), text = ongoing.runs_of("sdakd"), (files.repository() / "README.md").read_text()
    told = ongoing.verdicts(night)
    found = dict(zip(told["claim"].tolist(), told["verdict"].tolist(), strict=True))
    assert "behind it on the second and the fourth; all four are significant" in text
    for network, said in (("GCFSR", "supported"), ("RealESRGAN-bicubic", "contradicted")):
        assert found[f"{network}, C = 1/4: SDAKD is better than naive (C,C)"] == said
    assert found["RealESRGAN-bicubic, C = 1/4: SDAKD is better than control GT"] == "contradicted"
    assert found["GCFSR, C = 1/4: SDAKD is better than control GT"] == "inconclusive"
    (alike,) = (name for name in found if name.startswith("GCFSR, C = 1/4: SDAKD is like control"))
    assert found[alike] == "supported"


def test_what_is_said_of_other_widths_is_in_their_rows():
    text = (files.repository() / "DIVERGENCES.md").read_text()
    (line,) = [each for each in text.splitlines() if "widths.csv" in each]
    said = line.partition("widths.csv")[2].partition("A step of CAGC")[0]
    rows = pd.read_csv(keeping.folder() / "nickel_dime" / "widths.csv")
    left_out = rows.query("p == 0.9 and method == 'CAGC'")
    for value in rows.drop(left_out.index)["FD-digits last"]:
        assert re.search(rf"\b{value:.0f}\b", said), value


def test_a_number_without_rows_is_an_error():
    place = keeping.folder() / "dcgan_kd" / "cpu-mnist-x1.3"
    assert pages.mean(place, "mse", 2, "IS") == "3.69"
    with pytest.raises(ValueError, match="cpu-mnist-x1.3 has no rows of"):
        pages.mean(place, "mse", 3, "IS")
    with pytest.raises(ValueError, match="of several networks; say which"):
        pages.mean(keeping.reference("sdakd"), "SDAKD", "1/4", "KID-efflite2 test mean")
    with pytest.raises(ValueError, match="expected one a seed"):
        pages.variant("nickel_dime", "FD-mnist", method="CAGC")


def test_counts_that_the_texts_name_are_published():
    table = tables.published("dcgan_kd", 1)
    assert 62_077 in set(table.loc[table["dataset"] != "MNIST", "params"])
    assert metrics.params(dcgan.Generator(4, channels=1)) == 62_077
    assert table.loc[(table["dataset"] == "MNIST") & (table["d"] == 2), "regular"].item() == 1.86


def test_what_another_processor_changed_is_in_its_rows():
    kept = pd.read_csv(keeping.folder() / "dcgan_kd" / "processors.csv")
    equal = (kept["verdict, Xeon"] == kept["verdict, EPYC"]).sum()
    readme = (files.repository() / "README.md").read_text()
    assert f"[{equal} of {len(kept)} claims](figures/dcgan_kd/processors.csv)" in readme
    claims = pd.read_csv(keeping.folder() / "dcgan_kd" / "cpu" / "claims.csv")
    assert kept["verdict, Xeon"].tolist() == claims["verdict"].tolist()
