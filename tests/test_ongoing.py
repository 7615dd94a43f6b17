"""A long run may be kept, and looked at, before all of it is trained."""

import shutil

import pandas as pd
import pytest

from ganzip.papers import dcgan_kd
from ganzip.report import keeping, ongoing, pages, tables
from ganzip.units import bundles
from ganzip.units.plan import Request
from tests.plans import short_dcgan


def test_what_is_done_of_a_run_is_kept_with_its_rows_and_networks(tmp_path, monkeypatch):
    root, into = tmp_path / "runs", tmp_path / "figures"
    monkeypatch.setenv("GANZIP_RUNS", str(root))
    units = short_dcgan(root, mse={4: 2}, regular={4: 1, 16: 1})
    monkeypatch.setattr(dcgan_kd, "prepare", lambda *_, **__: units)
    given = Request("smoke", papers=("dcgan_kd",))
    with pytest.raises(ValueError, match=f"{len(units)} of {len(units)} units are done"):
        ongoing.keep(given, root, into)
    assert not into.exists()
    (last,) = (unit for unit in units if unit.name == "mse-d4-seed1")
    shutil.rmtree(last.folder(root))
    (place,) = ongoing.keep(given, root, into)
    facts = keeping.summary(place)
    assert (facts["units"], facts["planned"]) == (len(units) - 1, len(units))
    with bundles.open_bundle(place / ongoing.PACKED) as bundle:
        assert len(bundle.units) == len(units) - 1
    assert (place / "weights" / "mse-d4.safetensors").exists()
    table, frame = ongoing.table(place), pd.read_csv(place / ongoing.ROWS)
    line = table.set_index("method").loc["mse"]
    found = tables.values(frame, method="mse", metric="IS")
    assert line["IS"] == tables.short(found[0]) and line["seeds"] == 1


def test_a_run_that_is_not_complete_is_no_reference_and_its_page_says_how_far_it_is():
    for paper in pages.PAPERS:
        text = pages.render()[keeping.folder() / paper / "README.md"]
        for place in ongoing.runs_of(paper):
            facts = keeping.summary(place)
            assert place not in keeping.runs_of(paper) and facts["units"] < facts["planned"]
            assert f"{facts['units']} of its {facts['planned']} networks" in text
