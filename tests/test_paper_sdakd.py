"""Paper B's units: planned, trained, killed, resumed, measured; and bad input named before."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as functional
from PIL import Image

from ganzip import data, degrade, presets
from ganzip.data.part_sources import PARTS
from ganzip.measure import cost
from ganzip.measure.images import images_of
from ganzip.papers import sdakd, sdakd_claims
from ganzip.papers import sdakd_rows as measure
from ganzip.papers import super_resolution as sr
from ganzip.report import tables
from ganzip.report.claims import claims_table
from ganzip.units import Run, find_unit, find_units, perform, read_rows
from tests import meta, plans

pytestmark = pytest.mark.usefixtures("small_features")
METHODS = {  # at C = 1/4
    "GCFSR": ("naive (C,C)", "SDAKD", "control GT", "Ablation3"),
    "RealESRGAN": ("SDAKD", "control GT"),
    sr.PLAIN: ("SDAKD", "control GT"),  # one of which is trained, on sources by part
}


def short():
    """The smoke preset with one size, few methods and few rows."""
    cfg = presets.sdakd("smoke")
    few = {"train": 8, "validation": 4, "test": 4}
    small = {"count": few, "teacher_steps": 4, "d_steps": 4}
    families = tuple(
        dataclasses.replace(f, seeds={m: {"1/4": 1} for m in METHODS[f.network]}, **small)
        for f in cfg.families
    )
    first, *rest = families
    families = (first, *(dataclasses.replace(f, span=40, square=40) for f in rest))
    return dataclasses.replace(cfg, families=families, passes=2)


def plan():
    return sdakd.plan(short(), {network: sr.load_pieces("photos") for network in sr.NETWORKS})


def trained_units():
    return [this for this in plan() if this.config["network"] != sr.PLAIN]


def unit(name):
    return find_unit(plan(), name)


@pytest.fixture(scope="module")
def root(tmp_path_factory, small_features):
    """Units of a short plan, done."""
    root = tmp_path_factory.mktemp("runs")
    for this in trained_units():
        perform(this, sdakd.work, root)
    return root


@pytest.fixture(scope="module")
def frame(root):
    return read_rows(trained_units(), root)


@pytest.mark.parametrize(
    ("name", "phases"), [("gcfsr-sdakd-c14-seed0", 3), ("realesrgan-control-gt-c14-seed0", 2)]
)
def test_a_unit_that_was_stopped_in_every_phase_ends_in_the_same_bits(name, phases, root, tmp_path):
    this = unit(name)
    folder = plans.beside(this, root, tmp_path)
    assert plans.stops(this, sdakd.work, tmp_path) == phases
    assert plans.digest(folder) == plans.digest(this.folder(root))


def test_rows_are_complete_and_finite(frame):
    assert np.isfinite(frame["value"]).all()
    students = frame[frame["method"] == "SDAKD"]
    shown = {"GCFSR": ("8x", "4x", "2x", "mean"), "RealESRGAN": ("4x", "mean")}
    for network, labels in shown.items():
        metrics = set(students.loc[students["network"] == network, "metric"])
        for label in labels:
            wanted = {f"KID-efflite2 {part} {label}" for part in ("val", "test")}
            wanted |= {f"KID-efflite2 half {i} test {label}" for i in range(measure.HALVES)}
            wanted |= {f"{m} test {label}" for m in ("PSNR", "SSIM", "distance to teacher")}
            assert wanted <= metrics
        assert {"P(fake)", "P(real)", "AUC", "parameters", "perceptual steps"} <= metrics
        assert {"L_sup at the start of stage 3", "balancing lambda2"} <= metrics


def test_the_mean_is_over_the_factors(frame):
    rows = frame[(frame["method"] == "SDAKD") & (frame["network"] == "GCFSR")]
    values = rows.set_index("metric")["value"]
    each = [values[f"PSNR test {label}"] for label in ("8x", "4x", "2x")]
    assert values["PSNR test mean"] == pytest.approx(np.mean(each))


def test_ablation_3_trains_the_teachers_discriminator_on(root):
    ours = unit("gcfsr-ablation3-c14-seed0")
    trained, start = (
        {k: v for k, v in u.weights(root).items() if k.startswith("D.")}
        for u in (ours, ours.needs["teacher"])
    )
    assert {k: v.shape for k, v in trained.items()} == {k: v.shape for k, v in start.items()}
    assert any(not torch.equal(v, start[k]) for k, v in trained.items())


def test_all_methods_of_a_network_train_on_the_same_pairs(root):
    taught, control = (
        sr.batches(Run(unit(f"realesrgan-{m}-c14-seed0"), root), teacher=T)
        for m, T in (("sdakd", sr.load_released("cpu")), ("control-gt", None))
    )
    for step in (0, 3):
        torch.manual_seed(step)
        a = taught.batch(step)
        torch.manual_seed(step)
        b = control.batch(step)
        assert torch.equal(a.cond, b.cond) and torch.equal(a.real, b.real)  # pyright: ignore
        assert a.features is not None and b.features is None
        assert a.target.shape == b.target.shape  # pyright: ignore


def test_stored_answers_are_the_teachers(root):
    run = Run(unit("realesrgan-sdakd-c14-seed0"), root)
    (held,) = sr.examples(run, "test").values()
    expected = images_of(sr.load_released("cpu"), held.cond[:1])
    assert (held.teacher[:1] - expected).abs().max() < 2e-3  # kept in half precision


def test_plain_inputs_are_reduced_and_no_more(root):
    run = Run(unit("realesrgan-bicubic-sdakd-c14-seed0"), root)
    (held,) = sr.examples(run, "test").values()
    small = degrade.bicubic(held.truth, 10, 10)
    assert (held.cond - small).abs().max() <= 1 / 127  # 8-bit levels
    c = dict(run.config) | {"stored": False, "batch": 2}
    live = sr.batches(Run(dataclasses.replace(run.unit, config=c), root))
    torch.manual_seed(0)
    batch = live.batch(0)
    assert live.pool is None and batch.cond.shape == (2, 3, 8, 8)  # pyright: ignore
    assert (batch.cond - degrade.bicubic(batch.real, 8, 8)).abs().max() <= 1 / 127  # pyright: ignore


def test_verdicts_count_draws_of_the_test_images():
    def rows(spread):
        for method, mean in (("SDAKD", 10.0), ("OMGD", 12.0)):
            own = {"method": method, "width": "1/2", "steps": 8}
            for seed in range(3):
                yield own | {"metric": "KID test mean", "seed": seed, "value": mean + seed / 10}
                for i in range(measure.HALVES):
                    apart = (i % 2 * 2 - 1) * spread * (method == "SDAKD")
                    yield own | {"metric": f"KID half {i} test mean", "seed": seed, "value": apart}

    verdicts = {}
    for spread in (0.1, 3.0):
        frame = pd.DataFrame(rows(spread))
        claim = sdakd_claims.smaller(
            frame, "", "", "KID test mean", ("SDAKD", "1/2"), ("OMGD", "1/2")
        )
        verdicts[spread] = claim.verdict
    assert claim.ours.endswith("± 3.08 over draws of test images")
    assert verdicts == {0.1: "supported", 3.0: "inconclusive"}
    frame["steps"] = [8 if method == "SDAKD" else 4 for method in frame["method"]]
    claim = sdakd_claims.smaller(frame, "", "", "KID test mean", ("SDAKD", "1/2"), ("OMGD", "1/2"))
    assert claim.ours.endswith("; 8 against 4 steps")


def test_live_batches_have_the_teachers_image_and_map(root):
    this = unit("realesrgan-sdakd-c14-seed0")
    c = dict(this.config) | {"stored": False, "pool": 4, "batch": 2}
    T = sr.generator(c, "1/8").eval()
    seen = sr.batches(Run(dataclasses.replace(this, config=c), root), teacher=T)
    torch.manual_seed(0)
    batch = seen.batch(0)
    assert seen.pool is not None and int(seen.pool.count) == 2
    assert batch.cond.shape == (2, 3, 8, 8) and batch.real.shape == (2, 3, 32, 32)  # pyright: ignore
    assert torch.equal(batch.target, T(batch.cond))  # pyright: ignore
    assert batch.features.shape == (2, 8, 32, 32)  # pyright: ignore


def test_parts_share_no_photo_pixels_and_a_changed_set_is_refused(tmp_path):
    pieces = sr.load_pieces("photos")
    assert {e["part"] for e in pieces.manifest} == {"train", "validation", "test"}
    changed = dataclasses.replace(pieces, manifest=[{**pieces.manifest[0], "sha256": "feed"}])
    turned = dataclasses.replace(pieces, manifest=pieces.manifest[::-1])
    this = sdakd.plan(short(), {network: turned for network in sr.NETWORKS})[0]
    assert changed.fingerprint != pieces.fingerprint
    with pytest.raises(data.DataError, match="plan again, or bring the old photos back"):
        perform(this, sdakd.work, tmp_path)
    assert not list(tmp_path.rglob("checkpoint-*"))


def photo(folder, name, size, mode="RGB"):
    folder.mkdir(exist_ok=True)
    shape = size if mode in ("L", "I;16") else (*size, len(mode))
    rng = np.random.default_rng(len(name))
    high = 65535 if mode == "I;16" else 255
    array = rng.integers(0, high, shape).astype(np.uint16 if mode == "I;16" else np.uint8)
    Image.fromarray(array).save(folder / name)


def test_a_photo_that_is_too_small_is_named_before_training(tmp_path):
    photo(tmp_path / "set", "good.png", (300, 500))
    photo(tmp_path / "set", "tiny.png", (200, 60))
    with pytest.raises(data.DataError, match=r"photo tiny.png: its train part is \d+x60 pixels"):
        sdakd.prepare("smoke", str(tmp_path / "set"))


def test_aligned_faces_are_shown_whole_to_gcfsr(tmp_path):
    for i in range(25):
        photo(tmp_path / "faces", f"{i:02}.png", (128, 128))
    units = sdakd.prepare("smoke", str(tmp_path / "faces"))
    spans = {u.config["network"]: u.config["span"] for u in units if "span" in u.config}
    assert spans == {"GCFSR": 0, "RealESRGAN": 80, sr.PLAIN: 80}
    parts = [e["part"] for e in sr.load_pieces(str(tmp_path / "faces")).manifest]
    assert parts.count("validation") == parts.count("test") == 5


def test_sources_by_part_and_fresh_squares(tmp_path):
    """Preset paper's form, small: two sets to train on, another to test on."""
    sets = {"div": 3, "ost": 2, "held": 4, "ffhq": 3, "celeba-hq": 4}
    for name, n in sets.items():
        for i in range(n):
            faces = name in ("ffhq", "celeba-hq")
            photo(tmp_path / name, f"{i}{name}.png", (64, 64) if faces else (440, 420 + i))
    div, ost, held, ffhq, celeba = (str(tmp_path / name) for name in sets)
    source = f"train:{div}+{ost}; test:{held}"
    units = sdakd.prepare("paper", f"train:{ffhq};test:{celeba},{source}")
    (face,) = find_units(units, network="GCFSR", method="control GT", C="1/4", seed=0)
    assert face.config["span"] == 0 and face.config["data"] == "ffhq+celeba-hq"
    whole = sr.fresh_squares(Run(face, tmp_path))
    assert face.config["batch"] == 24 and whole(1).shape == (24, 3, 1024, 1024)
    pieces = sr.load_pieces(source)
    parts = {part: {e["photo"] for e in pieces.manifest if e["part"] == part} for part in PARTS}
    assert [len(parts[part]) for part in PARTS] == [5, 2, 2]
    assert all(name.startswith("held-") for name in parts["validation"] | parts["test"])
    assert not parts["validation"] & parts["test"] and pieces.name == "div+ost+held"

    (plain,) = find_units(units, network=sr.PLAIN, method="control GT", C="1/4", seed=0)
    c = dict(plain.config) | {"batch": 5, "size": 64}
    cut = sr.fresh_squares(Run(dataclasses.replace(plain, config=c), tmp_path))
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(cut(0))
    assert drawn[0].shape == (5, 3, 400, 400) and drawn[0].dtype == torch.uint8
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    seen = sr.batches(Run(dataclasses.replace(plain, config=c), tmp_path)).batch(0)
    assert seen.cond.shape == (5, 3, 16, 16)  # pyright: ignore
    assert not list(tmp_path.rglob("*.npy")), "training stores nothing"


def test_a_unit_trains_on_sources_by_part(tmp_path):
    for name, n in (("train", 3), ("test", 2)):
        for i in range(n):
            photo(tmp_path / name, f"{i}.png", (96, 96 + 8 * i))
    source = f"train:{tmp_path / 'train'};test:{tmp_path / 'test'}"
    cfg = short()
    (plain,) = [f for f in cfg.families if f.network == sr.PLAIN]
    fresh = dataclasses.replace(plain, fresh=True, stored=False, seeds={"control GT": {"1/4": 1}})
    held = dict.fromkeys(sr.NETWORKS, sr.load_pieces(source))
    units = sdakd.plan(dataclasses.replace(cfg, families=(fresh,)), held)
    for this in units:
        perform(this, sdakd.work, tmp_path / "runs")
    found = read_rows(units, tmp_path / "runs")
    assert np.isfinite(found["value"]).all() and set(found["dataset"]) == {"train+test"}


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("train:a;tests:b", r"'tests:b' names none of train, validation, test; expected parts as"),
        ("train:a;test:", "test has an empty name"),
        ("train:a;train:b", "train is named twice; join its sources by "),
        ("test:a", "nothing to train on"),
        ("train:a;validation:b", "nothing to test on"),
        ("train:nowhere-at-all;test:b", "nowhere-at-all"),
    ],
)
def test_sources_by_part_are_refused_in_one_line(source, told):
    with pytest.raises(data.DataError, match=told) as found:
        sr.load_pieces(source)
    assert "\n" not in str(found.value)


def test_a_photo_is_of_one_part(tmp_path):
    for i in range(4):
        photo(tmp_path / "set", f"{i}.png", (96, 96))
    with pytest.raises(data.DataError, match="is in two parts; take it out of one"):
        sr.load_pieces(f"train:{tmp_path / 'set'};test:{tmp_path / 'set'}")


def test_tables_and_claims_are_made_of_the_rows(frame, root):
    trained = frame[frame["method"] != "speed"]
    units = trained_units()
    for number, network in ((1, "GCFSR"), (2, "RealESRGAN")):
        columns = measure.columns(units, network, "KID-efflite2")
        table = tables.sdakd_table(trained, number, columns, network)
        paper = tables.published("sdakd", number)
        assert table.iloc[: len(paper)][list(paper)].equals(paper)
        rows = table.to_dict("records")
        (row,) = [r for r in rows if r["method"] == "SDAKD" and r["gen_C"] == "1/4"]
        assert row["seeds"] == 1 and row["perceptual_steps"] == row["steps"]
        (control,) = [r for r in rows if r["our_method"] == sr.CONTROL]
        assert pd.isna(control["method"]) and control["seeds"] == 1
    claims = claims_table(sdakd_claims.claims(frame, "KID-efflite2"))
    known = {"supported", "contradicted", "inconclusive"}
    assert set(claims["verdict"]) <= known
    text = "GCFSR, C = 1/4: SDAKD is better than naive (C,C)"
    (ours,) = [r for r in claims.to_dict("records") if r["claim"] == text]
    assert ours["published"] == "FID 47.39 against 52.26" and "1 seed" in ours["ours"]


def test_stage_2_is_compared_at_equal_steps_too():
    distances = {"Ablation1": 9, sr.LONGER: 4, "Ablation2": 5, "Ablation3": 5, "SDAKD": 4}
    rows = [
        {"method": method, "width": "1/4", "metric": "KID test mean", "seed": seed}
        | {"value": value + seed / 10}
        for method, value in distances.items()
        for seed in range(3)
    ]
    found = sdakd_claims.ablation_claims(pd.DataFrame(rows), "KID test mean")
    verdicts = {claim.text.removeprefix("GCFSR, C = 1/4: "): claim.verdict for claim in found}
    assert verdicts["stage 2 adds"] == "supported"
    assert verdicts["stage 2 adds more than as many steps of stage 3"] == "contradicted"
    assert verdicts["the student discriminator adds"] == "supported"


def test_speeds_stand_beside_the_published_ones(frame, root):
    results, costs = cost.results_and_costs(frame)
    table = measure.speed_table(results, trained_units(), root)
    assert table["published"].tolist() == [1.0, 1.98, 3.43, 4.35, 1.0, 1.77, 1.96, 2.08]
    drawn = measure.speedup_rows(table, costs)
    ours = drawn.loc[(drawn["source"] == "time, one CPU core") & (drawn["C"] == "1"), "speedup"]
    assert ours.tolist() == [1.0, 1.0]
    assert (costs.loc[costs["quantity"] == "time", "value"] > 0).sum() == 8
    assert [claim.text.split(":")[0] for claim in sdakd_claims.speed_claims(costs)] == [
        "GCFSR", "RealESRGAN"
    ]  # fmt: skip
    gcfsr = table.loc[table["network"] == "GCFSR", "multiply-adds saved"].tolist()
    assert gcfsr == sorted(gcfsr) and gcfsr[0] == 1


def test_counts_are_the_papers_at_every_width(monkeypatch):
    monkeypatch.setattr(functional, "leaky_relu", meta.leaky)
    with meta.quick():
        counts = measure.network_counts()
    assert counts["G"].tolist() == [
        66_668_706, 24_790_114, 10_261_698, 4_600_210, 16_697_987, 4_178_755, 1_046_819, 262_771,
    ]  # fmt: skip
    assert counts["D"].tolist() == [
        29_007_905, 7_253_777, 1_814_345, 454_037, 4_376_897, 1_094_817, 274_001, 68_649,
    ]  # fmt: skip
    giga = [round(value / 1e9, 3) for value in counts["multiply-adds of G"]]
    assert giga == pytest.approx(
        [151.453, 38.724, 10.136, 2.787, 73.428, 18.387, 4.612, 1.160], abs=0.05
    )
