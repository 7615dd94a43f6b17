"""Paper C's units: planned, trained, killed, resumed, measured."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from ganzip import data, presets
from ganzip.distil import compose
from ganzip.measure.images import images_of
from ganzip.papers import kernels, nickel_dime
from ganzip.papers import nickel_dime_networks as networks
from ganzip.papers import nickel_dime_rows as measured
from ganzip.report import tables
from ganzip.units import Run, find_unit, find_units, perform, read_rows
from tests import plans

pytestmark = pytest.mark.usefixtures("small_features")
SOURCE = "digits"
# Style mixing and path lengths too, which presets smoke and cpu do without.
SHORT = dataclasses.replace(
    presets.nickel_dime("smoke"),
    net={"size": 16, "base": 128, "cap": 16}, batch=8, moment_batch=8, mixing=0.5, path=2.0,
    teacher_steps=6, steps=12, sparse_steps=4, epoch=3, judge_steps=20, encoder_steps=3,
    encoder_batch=16, moments=48, n_images=64, prune_rates=(0.0, 0.9), passes=2, scratch={},
    langevin=2,
    seeds={
        name: dict.fromkeys((0.7, 0.9) if name == "NICKEL & DiME" else (0.9,), 1)
        for name in (*presets.COMPARED, "fine-tune")
    },
)  # fmt: skip
OURS = "nickel-dime-p90-seed0"


def plan(preset=SHORT):
    images = data.load(SOURCE, size=16, channels=3)
    return nickel_dime.plan(preset, images, SOURCE)


def trained():
    """Of the plan what is no student, and students of a few methods; the others train in nbval."""
    few = ("NICKEL & DiME", "GS", "CAGC", "fine-tune")
    return [u for u in plan() if "scores" not in u.config or u.config["method"] in few]


@pytest.fixture(scope="module")
def root(tmp_path_factory, small_features):
    """Units of a short plan, done."""
    root = tmp_path_factory.mktemp("runs")
    for unit in trained():
        perform(unit, nickel_dime.work, root)
    return root


@pytest.fixture(scope="module")
def frame(root):
    return read_rows(trained(), root)


@pytest.mark.parametrize(("name", "phases"), [(OURS, 1), ("gs-p90-seed0", 2)])
def test_a_unit_that_was_stopped_in_every_phase_ends_in_the_same_bits(name, phases, root, tmp_path):
    unit = find_unit(plan(), name)
    folder = plans.beside(unit, root, tmp_path)
    assert plans.stops(unit, nickel_dime.work, tmp_path) == phases
    assert plans.digest(folder) == plans.digest(unit.folder(root))


def test_rows_are_complete_and_finite(root, frame):
    rows = frame[list(tables.ROW)]
    assert np.isfinite(rows["value"]).all()
    students = {u.name: u for u in trained() if "scores" in u.config}
    assert len(students) == 5
    scores = {f"{m}-digits" for m in ("FD", "KID", "precision", "recall")}
    wanted = scores | {f"{m}{end}" for m in scores for end in (" last", " best")}
    wanted |= {"fake logit of D", "real logit of D", "parameters", "multiply-adds"}
    wanted |= {"compression rate"}
    for unit in students.values():
        found = pd.read_csv(unit.folder(root) / "rows.csv")
        double = "NICKEL" in unit.config["method"]
        more = {"fake logit of D_T", "real logit of D_T"} if double else set()
        assert set(found["metric"]) == wanted | more, unit.name
        assert set(found["width"]) == {round(1 - unit.config["p"], 6)}
        assert set(found["steps"]) == {SHORT.steps}  # equal for all
    latency = frame[frame["metric"] == "latency"]
    assert set(latency["width"]) == {1.0, 0.3, 0.1}


def test_what_is_reported_is_the_mean_of_the_last_evaluations(root):
    unit = find_unit(plan(), OURS)
    course = measured.convergence([unit], root).query("metric == 'FD-digits'")
    assert course["step"].tolist() == [3, 6, 9, 12]
    found = pd.read_csv(unit.folder(root) / "rows.csv")
    rows = dict(zip(found["metric"], found["value"], strict=True))
    assert rows["FD-digits"] == pytest.approx(course["value"].iloc[-3:].mean())
    assert rows["FD-digits last"] == course["value"].iloc[-1]
    assert rows["FD-digits best"] == course["value"].min()


def test_a_student_pruned_by_nothing_draws_the_teachers_images(root, frame):
    (unit,) = find_units(plan(dataclasses.replace(SHORT, seeds={"CAGC": {0.0: 1}})), method="CAGC")
    T = nickel_dime.generator_of(unit.needs["teacher"], root)
    z = torch.randn(3, SHORT.latent)
    S = networks.start(Run(unit, root), T)
    images = images_of(S, z)
    assert torch.equal(images, images_of(T, z)) and images.std() > 0
    pruned = frame[(frame["table"] == "pruning") & (frame["width"] == 1.0)]
    last = frame[(frame["method"] == "teacher") & (frame["metric"] == "FD-digits last")]
    distances = pruned.loc[pruned["metric"] == "FD-digits", "value"]
    assert len(distances) == 3 and distances.tolist() == pytest.approx([*last["value"]] * 3)


def test_how_sure_the_classifier_is_of_a_generators_digits_is_a_row(root):
    found = nickel_dime.legibility(trained(), root)
    assert len(found) == 6  # the teacher and its students
    assert {"teacher", "NICKEL & DiME"} < set(found["method"])
    assert set(found["metric"]) == {"top probability-digits"}
    assert found["value"].between(1 / 10, 1).all()


def test_dime_starts_at_the_value_asked_for_whatever_the_kernels(root):
    for name, values in (
        (OURS, [10.0]),
        ("dime-by-contrastive-efflite0-p90-seed0", [5.0, 5.0]),
        ("dime-batch-targets-p90-seed0", [10.0]),
    ):
        run = Run(find_unit(plan(), name), root)
        T = nickel_dime.generator_of(run.unit.needs["teacher"], root)
        S = networks.start(run, T)
        found = kernels.kernels_of(run, S, T)
        first = [k.weight * kernels.first_gap(run, _plain(k), S, T) for k in found]
        assert first == pytest.approx(values)
        assert [k.target is None for k in found] == ["batch" in name] * len(found)


def _plain(kernel):
    return dataclasses.replace(kernel, weight=1.0)


def test_global_features_are_the_teachers_moments(root):
    unit = find_units(plan(), method="moments contrastive")[0]
    kept = unit.weights(root)
    assert kept["moments.first"].dtype == torch.float64
    T = nickel_dime.generator_of(unit.needs["teacher"], root)
    embed = kernels.embedding(unit, root, torch.device("cpu"))
    with torch.no_grad():
        seen = embed(T(torch.randn(400, SHORT.latent))).double()
    spread = seen.std(0) / 48**0.5 + 1e-3
    assert ((kept["moments.first"] - seen.mean(0)).abs() < 5 * spread).all()
    assert (kept["moments.second"] >= kept["moments.first"] ** 2 - 1e-9).all()


def test_both_discriminators_and_g_are_regularised(root):
    run, phases = Run(find_unit(plan(), OURS), root), []
    method = compose.METHODS["NICKEL & DiME"]
    compose.distil(nickel_dime.setup_of(run), method, phases.append)
    everyone = phases[0].players
    names = [player.name for player in everyone]
    assert names == ["G", "G", "D", "D", "D_teacher", "D_teacher"]
    assert len(phases) == phases[0].share == 1 and "G path" in phases[0].nets
    assert [p.due(4) for p in everyone] == [True, True, True, False, True, False]
    for first, lazy in zip(everyone[::2], everyone[1::2], strict=True):
        assert first.optimiser is lazy.optimiser
    recipe = nickel_dime.recipe_of(run.config)
    paced = recipe.with_rates(everyone, SHORT.steps)
    g, d = (paced[i].optimiser.param_groups[0] for i in (0, 2))
    rates = [[player.lr(step) for step in (0, 9)] for player in paced if player.lr]
    assert rates[0] == [g["lr"]] * 2 == pytest.approx([0.0025 * 4 / 5] * 2)
    assert (d["lr"], d["betas"][1]) == pytest.approx((0.0025 * 16 / 17, 0.99 ** (16 / 17)))
    assert rates[2] == rates[5] == [d["lr"]] * 2


def images_like(pixels, labels=None):
    return data.Images("some", pixels, labels, "0" * 12)


def test_what_matters_is_told_from_the_images():
    dark = torch.zeros(8, 3, 16, 16, dtype=torch.uint8)
    dark[..., 6:10, 6:10] = 200
    bright = torch.full((8, 3, 16, 16), 128, dtype=torch.uint8)
    assert nickel_dime.content(images_like(dark)) == "foreground"
    assert nickel_dime.content(images_like(bright)) == "ellipse"
    labelled = images_like(bright, torch.zeros(8, dtype=torch.long))
    assert nickel_dime.content(labelled) == "everything"
    assert nickel_dime.settings(SHORT, images_like(bright))["mirror"]
    assert not nickel_dime.settings(SHORT, images_like(dark))["mirror"]


def test_foundation_models_are_the_kernels_where_their_files_are(monkeypatch):
    paper = presets.nickel_dime("paper")
    here = set()
    monkeypatch.setattr(nickel_dime.assets, "available", lambda name: name in here)
    assert kernels.main(paper) == ("efflite0",)
    assert kernels.main(SHORT) == ("contrastive",)
    here |= {"clip-rn50"}
    assert kernels.main(paper) == ("clip-rn50",)
    here |= {"dino-rn50"}
    assert kernels.main(paper) == ("dino-rn50", "clip-rn50")
    assert kernels.ablations(paper) == [("dino-rn50",), ("clip-rn50",)]
    assert kernels.main(SHORT) == ("contrastive",)
    methods = {unit.config["method"] for unit in plan(paper)}
    assert {"DiME by dino-rn50", "DiME by clip-rn50", "moments clip-rn50"} <= methods


def test_maps_and_layers_follow_the_size():
    assert nickel_dime.pair({"size": 256}) == ("synthesis.b64.conv1", "b128")
    config = find_unit(plan(), OURS).config
    assert nickel_dime.recipe_of({**config, "size": 64}).layers == {
        "pair": ("synthesis.b16.conv1", "b32"),
        "gated": ["b64", "b32", "b16", "b8"],
        "judged": ["b32", "b8"],
        "copied": ["synthesis.b8.conv1", "synthesis.b32.conv1"],
        "shifted": ["synthesis.b8.conv1", "synthesis.b16.conv1", "synthesis.b32.conv1"],
        "related": ["synthesis.b16.conv1", "synthesis.b32.conv1"],
    }
    assert [networks.parts({"size": n}, 8, 2) for n in (256, 16)] == [[32, 128], [4, 8]]


def test_figure_3_holds_both_rates_at_the_end_and_over_training(root):
    sets, traces = measured.figure3(trained(), root, "NICKEL & DiME", {"D": "D_S", "D_T": "D_T"})
    assert list(sets) == ["D_S", "D_T"]
    kinds = ["generated p = 0.7", "real p = 0.7", "generated p = 0.9", "real p = 0.9"]
    assert list(sets["D_T"]) == kinds and len(sets["D_S"][kinds[0]]) == SHORT.n_images
    assert traces.groupby(["panel", "label"])["step"].apply(list).tolist() == [[3, 6, 9, 12]] * 4
    assert sets["D_T"][kinds[0]].mean() < sets["D_T"][kinds[1]].mean()


def test_the_main_table_shows_ours_beside_what_is_known(frame):
    table = tables.nickel_dime_table(frame, "FD-digits", presets.COMPARED)
    ours = table[table["method"] == "NICKEL & DiME"].set_index("p")
    assert ours["published_fid"].dropna().to_dict() == {0.8: 10.45, 0.9: 15.93, 0.95: 29.38}
    assert ours["published_rate"].to_dict() == {0.7: 90.73, 0.8: 95.73, 0.9: 98.92, 0.95: 99.69}
    assert ours["distance_mean"].notna().tolist() == [p in (0.7, 0.9) for p in ours.index]
    assert set(table["method"]) >= {"teacher", "fine-tune", "CAGC", "GS"}
    assert (ours.loc[[0.7, 0.9], "our_rate"].diff().dropna() > 5).all()


# Claims -------------------------------------------------------------------------------------------


def verdicts(values):
    frame = plans.made_up(values, lambda p: round(1 - p, 6))
    found = measured.claims(frame, "FD-digits", "recall-digits")
    return {claim.text: claim for claim in found}


def test_claims_follow_the_rows():
    ours, FD = "NICKEL & DiME", "FD-digits"
    values = {("teacher", 0.0, FD): [100.0], ("fine-tune", 0.9, FD): [400.0, 402.0]}
    for p, mine, theirs in ((0.5, 105.0, 110.0), (0.9, 150.0, 300.0)):
        values |= {(ours, p, FD): [mine, mine + 1], ("CAGC", p, FD): [theirs, theirs + 2]}
    values |= {
        (ours, 0.9, "recall-digits"): [0.1, 0.11],
        ("CAGC", 0.9, "recall-digits"): [0.5, 0.6],
    }
    values |= {("DiME", 0.9, FD): [120.0, 121.0], ("DiME, batch targets", 0.9, FD): [130.0, 131.0]}
    for p, itgc, student, teacher in ((0.7, -1.0, 0.2, -2.0), (0.9, -2.0, -0.3, -4.0)):
        values |= {("ITGC", p, "fake logit of D"): [itgc, itgc + 0.01]}
        values |= {(ours, p, "fake logit of D"): [student, student + 0.01]}
        values |= {(ours, p, "fake logit of D_T"): [teacher, teacher + 0.01]}
    found = verdicts(values)
    said = {text: claim.verdict for text, claim in found.items()}
    assert said[f"p = 0.9: {ours} is better than CAGC, by {FD}"] == "supported"
    assert "15.93" in found[f"p = 0.9: {ours} is better than CAGC, by {FD}"].published
    assert said[f"The gap to CAGC is wider at p = 0.9 than at p = 0.5, by {FD}"] == "supported"
    assert said[f"p = 0.9: {ours} keeps more recall than CAGC"] == "contradicted"
    assert said[f"p = 0.9: {ours} is better than DiME, by {FD}"] == "contradicted"
    assert said[f"p = 0.9: DiME is better than DiME, batch targets, by {FD}"] == "supported"
    assert said[f"p = 0.9: {ours} is better than fine-tune, by {FD}"] == "supported"
    (collapse,) = [v for text, v in said.items() if text.startswith("CAGC collapses")]
    assert collapse == "supported"
    (costs,) = [claim for text, claim in found.items() if "full model" in text]
    assert costs.verdict == "supported" and costs.ours.startswith("5.50 ±")
    logits = {text: v for text, v in said.items() if "logits" in text}
    assert list(logits.values()) == ["supported"] * 3 + ["contradicted"] * 2


def test_one_seed_tells_nothing_and_the_loss_at_the_mildest_rate_may_refute():
    ours, FD = "NICKEL & DiME", "FD-digits"
    values = {("teacher", 0.0, FD): [100.0], (ours, 0.5, FD): [150.0, 151.0]}
    values |= {(ours, 0.9, FD): [1.0], ("CAGC", 0.9, FD): [100.0]}
    said = verdicts(values)
    assert said[f"p = 0.9: {ours} is better than CAGC, by {FD}"].verdict == "inconclusive"
    (costs,) = [claim for text, claim in said.items() if "full model" in text]
    assert costs.verdict == "contradicted" and "9.68" in costs.published
