"""A preset may lack any row: each of its mappings may be empty, and so may what hangs on it."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest
import torch

from ganzip import data, presets
from ganzip.measure.rows import overview, pick
from ganzip.papers import dcgan_kd, dcgan_kd_claims, nickel_dime, sdakd, sdakd_claims
from ganzip.papers import nickel_dime_rows as measured
from ganzip.papers import sdakd_rows as measure
from ganzip.papers import super_resolution as sr
from ganzip.report import tables
from ganzip.report.claims import claims_table
from ganzip.units import find_units

FIGURES = Path(__file__).parent.parent / "figures"


def images(channels):
    pixels = torch.zeros(4, channels, 16, 16, dtype=torch.uint8)
    return data.Images("made-up", pixels, torch.arange(4), "feedfeedfeed")


def pieces() -> dict[str, sr.Pieces]:
    entry = {"sha256": "0" * 12, "top": 0, "left": 0, "height": 1024, "width": 1024}
    parts = [entry | {"photo": part, "part": part} for part in ("train", "validation", "test")]
    held = sr.Pieces("made-up", {}, parts)
    return dict.fromkeys(sr.NETWORKS, held)


def seeds_of(preset):
    """The mappings of a preset that end in numbers of seeds, by name."""
    found = {f.name: getattr(preset, f.name) for f in dataclasses.fields(preset)}
    others = ("net", "d_net", "count", "speed")  # arguments and sizes, not rows
    return {k: v for k, v in found.items() if isinstance(v, Mapping) and k not in others}


def emptied(preset):
    """The preset without each mapping, with an entry of it that is empty, and without all."""
    rows = seeds_of(preset)
    for name, sizes in rows.items():
        yield dataclasses.replace(preset, **{name: {}})
        inner = {key: {} for key, value in sizes.items() if isinstance(value, Mapping)}
        if inner:
            yield dataclasses.replace(preset, **{name: inner})
    yield dataclasses.replace(preset, **{name: {} for name in rows})


@pytest.mark.parametrize("name", presets.NAMES)
def test_every_mapping_of_a_preset_may_be_empty(name, monkeypatch):
    for paper in (dcgan_kd, nickel_dime, sdakd):  # hashing takes longer than planning
        monkeypatch.setattr(paper, "code_hash", lambda *modules: "")
    a, c = presets.dcgan_kd(name), presets.nickel_dime(name)
    a = dataclasses.replace(a, wgan_recipe=dataclasses.replace(a.wgan_recipe, steps=10))
    assert len(seeds_of(a)) == 8 and set(seeds_of(c)) == {"seeds", "ablations", "scratch"}
    for preset in (*emptied(a), dataclasses.replace(a, alphas=())):
        units = dcgan_kd.plan(preset, images(1), "made-up")
        assert pick(units, method="regular", d=preset.teacher_d)
        assert len(overview(units, dcgan_kd.OVERVIEW)) > 0
    for preset in emptied(c):
        units = nickel_dime.plan(preset, images(3), "made-up")
        assert len(overview(units, nickel_dime.OVERVIEW)) > 0
    b = presets.sdakd(name)
    for i, family in enumerate(b.families):
        assert set(seeds_of(family)) == {"seeds"}
        for other in emptied(family):
            families = [*b.families[:i], other, *b.families[i + 1 :]]
            units = sdakd.plan(dataclasses.replace(b, families=tuple(families)), pieces())
            assert len(overview(units, measure.OVERVIEW)) > 0


def test_students_that_start_warm_have_a_teacher_each():
    cfg = dataclasses.replace(presets.dcgan_kd("smoke"), mse={2: 1}, cached={}, joint={})
    units = dcgan_kd.plan(dataclasses.replace(cfg, warm={2: 3}), images(1), "made-up")
    warm = [u for u in units if "start" in u.needs]
    for alpha in cfg.alphas:
        its = find_units(warm, alpha=alpha)
        assert [u.needs["teacher"].config["seed"] for u in its] == [0, 1, 2]


def without(frame, *methods):
    """The rows without those of each method, and those of teachers and of what measures alone."""
    for method in methods:
        assert method in set(frame["method"])
        yield frame.loc[frame["method"] != method]
    yield frame.loc[frame["method"].isin(["teacher", "regular", "real", "speed"])]


def rows(paper, *metrics):
    """The kept rows of a paper, of some metrics, with numbers where units write numbers."""
    path, blank = FIGURES / paper / "cpu" / "rows.csv", {"value": ["", "nan"]}
    kept = pd.read_csv(path, keep_default_na=False, na_values=blank)
    kept = kept.loc[kept["metric"].str.startswith(metrics)]
    width = [tables._width(cell) for cell in kept["width"]]  # 4, where others are 1/4
    return kept.assign(width=width, cpu_seconds=1.0)


def check(claims):
    known = {"supported", "contradicted", "inconclusive"}
    assert set(claims_table(claims)["verdict"]) <= known


def test_claims_and_tables_of_paper_a_without_some_rows():
    preset, full = presets.dcgan_kd("cpu"), rows("dcgan_kd", "FD-digits", "VoL")
    for frame in without(full, "mse", "joint 0", "regular"):
        check(dcgan_kd_claims.claims(frame, preset, "FD-digits", "FD-digits"))
        options = {"dataset": "digits", "stands_for": "MNIST", "teacher_d": 16, "params": float}
        assert len(tables.dcgan_table1(frame, **options, metrics={"FID": "FD-digits"}))
    for other in emptied(preset):
        check(dcgan_kd_claims.claims(full, other, "FD-digits", "FD-digits"))


def test_claims_and_tables_of_paper_b_without_some_rows():
    distance = "KID-efflite2"
    full = rows("sdakd", f"{distance} test mean", "P(fake)", "AUC")
    full = full.assign(width=full["width"].astype(str))  # "1/2" is one
    for frame in without(full, "SDAKD", "Ablation1", "Ablation3", "DCD"):
        check(sdakd_claims.claims(frame, distance))
        for network in ("GCFSR", "RealESRGAN"):
            assert measure.likeness_table(frame, network, distance) is not None
    few = full.loc[(full["method"] != "Ablation3") | (full["width"] != "1/4")]
    check(sdakd_claims.claims(few, distance))


OURS = ("NICKEL & DiME", "CAGC", "DiME")


def test_claims_and_tables_of_paper_c_without_some_rows():
    for frame in without(rows("nickel_dime", "FD-digits", "recall-digits", "fake logit"), *OURS):
        check(measured.claims(frame, "FD-digits", "recall-digits"))
        assert len(tables.nickel_dime_table(frame, "FD-digits", presets.COMPARED))
