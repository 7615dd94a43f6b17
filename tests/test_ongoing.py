"""A long run may be kept, and looked at, before all of it is trained."""

import shutil
import zipfile

import pandas as pd
import pytest
import torch

from ganzip.papers import dcgan_kd
from ganzip.report import keeping, ongoing, pages, tables
from ganzip.units import bundles
from ganzip.units.plan import Request
from ganzip.units.unit import save_sealed
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
    assert float(line["IS"]) == pytest.approx(found[0], abs=0.005) and line["seeds"] == "1"


def test_what_the_texts_say_of_such_runs_is_what_their_rows_give():
    """Templates, notebooks 0 and 2, and DIVERGENCES: change them where a longer run says else."""
    (place,) = ongoing.runs_of("nickel_dime")
    every = pd.read_csv(place / ongoing.ROWS).query("metric == 'FD-mnist'")
    last = pd.read_csv(place / ongoing.ROWS).query("metric == 'FD-mnist last'")
    distance = last.query("width == 0.3").pivot_table("value", "method")["value"].to_dict()
    teacher = last.query("method == 'teacher'")["value"].item()
    assert max(distance["CAGC"], distance["NICKEL & DiME"]) < 1.5 * teacher  # "near"
    assert distance["fine-tune"] > 3 * teacher
    page = pages.render()[keeping.folder() / "nickel_dime" / "README.md"]
    assert "distillation comes near the teacher**" in page
    best = every.query("width == 0.1").sort_values("value").groupby("seed")["method"].first()
    assert len(set(best)) > 1 and "There is no order of the methods yet" in page
    recall = ongoing.course(place).query("metric == 'recall-mnist'")
    late, last = (recall.query(f"step == {n}")["value"].to_numpy() for n in (2500, 3000))
    assert (last > late).mean() > 0.5  # it still rises, for most
    (place,) = ongoing.runs_of("dcgan_kd")
    rows = pd.read_csv(place / ongoing.ROWS).query("metric == 'FD-mnist'")
    both = rows.pivot_table("value", "width", "method").sort_index()
    gap = (both["regular"] - both["mse"]).dropna().tolist()
    assert len(gap) > 1 and gap == sorted(gap, reverse=True) and gap[0] > 0
    (place,) = ongoing.runs_of("sdakd")
    plain = pd.read_csv(place / ongoing.ROWS).query("network == 'RealESRGAN-bicubic'")
    kid = plain.query("metric == 'KID-efflite2 test mean' and width in ['1', '1/4']")
    means = kid.pivot_table("value", "method")["value"].to_dict()
    way = {m: means["input"] - value for m, value in means.items()}
    assert way["SDAKD"] > way["teacher"] / 2  # most of the way from the input to the teacher
    ahead = [means["naive (C,C)"], means["control GT"]]
    assert max(ahead) < 0.7 * means["SDAKD"]  # the truth is the better lesson, in one schedule too


def test_a_run_that_is_not_complete_is_no_reference_and_its_page_says_how_far_it_is():
    for paper in pages.PAPERS:
        text = pages.render()[keeping.folder() / paper / "README.md"]
        for place in ongoing.runs_of(paper):
            facts = keeping.summary(place)
            assert place not in keeping.runs_of(paper) and facts["units"] < facts["planned"]
            assert f"{facts['units']} of its {facts['planned']} networks" in text


def test_faces_of_paper_b_are_drawn_from_what_the_bundle_holds(tmp_path):
    place, kept = tmp_path / "sdakd" / "night", tmp_path / "restorations.pt"
    place.mkdir(parents=True)
    kept_order = ("input, 4x", "teacher", "photo")
    pixels = {label: torch.full((2, 3, 8, 8), 255).byte() for label in kept_order}
    save_sealed(kept, (["teacher"], pixels))
    with zipfile.ZipFile(place / ongoing.PACKED, "w") as out:
        out.writestr("sdakd/units/gcfsr-sdakd-c14-seed0-0/rows.csv", "")
    assert ongoing.figure_of(place) is None
    with zipfile.ZipFile(place / ongoing.PACKED, "a") as out:
        out.write(kept, "sdakd/units/gcfsr-teacher-c1-seed0-0/shown/restorations.pt")
    figure = ongoing.figure_of(place)
    assert figure is not None
    ticks = [tick for axes in figure.axes for tick in axes.get_yticklabels()]
    assert [tick.get_text() for tick in ticks] == ["enlarged input", "truth", "teacher"]
