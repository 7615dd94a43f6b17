"""What carries over: every main claim is tested somewhere, and ratios are those of the rows."""

import re

import pandas as pd
import pytest

from ganzip.report import effects, keeping, pages


@pytest.mark.parametrize("paper", pages.PAPERS)
def test_every_main_claim_has_claims_of_the_reference_run(paper):
    every = pages.claims(paper)
    found = effects.main_claims(paper, every)
    assert found["claim"].tolist() == list(effects.MAIN_CLAIMS[paper])
    runs = [pages.label(place) for place in keeping.runs_of(paper)]
    assert list(found)[: len(runs) + 1] == ["claim", *runs]
    for text, pattern in effects.MAIN_CLAIMS[paper].items():
        on = [re.search(pattern, claim) is not None for claim in every["claim"]]
        cell = found.set_index("claim").loc[text, runs[0]]
        assert cell == effects.tally(every.loc[on, "verdict"])


def test_a_verdict_that_nobody_has_is_not_counted():
    assert effects.tally(["supported", "", "inconclusive", "supported"]) == (
        "2 supported, 1 inconclusive"
    )


def test_ratios_are_of_means_over_seeds():
    cells = [("SDAKD", 1.0), ("SDAKD", 3.0), ("naive (C,C)", 8.0)]
    rows = pd.DataFrame(
        {"network": network, "method": m, "width": C, "metric": "KID-x test mean", "value": x}
        for network in ("RealESRGAN", "GCFSR")
        for C in ("1/2", "1/4", "1/8")
        for m, x in cells
    )
    found = effects.effects("sdakd", rows)
    assert found["of"].tolist() == ["published, FID", "ours, KID"] * 2
    ours = found.loc[found["of"] == "ours, KID", ["C = 1/2", "C = 1/4", "C = 1/8"]]
    assert (ours == "0.25").to_numpy().all()
    assert found.loc[0, "C = 1/4"] == f"{50.49 / 62.94:.2f}"  # table 2 of the paper
    assert effects.effects("nickel_dime", rows).empty
