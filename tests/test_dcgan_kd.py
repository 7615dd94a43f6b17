"""Paper A's units: trained, killed, resumed, measured."""

import dataclasses

import numpy as np
import pytest
import torch

from ganzip import data, presets
from ganzip.measure.images import images_of, interpolate, noise
from ganzip.papers import dcgan_kd, dcgan_kd_claims
from ganzip.report import tables
from ganzip.train import frozen
from ganzip.units import Run, find_unit, find_units, perform, read_rows
from tests import plans

SOURCE = "digits"
SMOKE = presets.dcgan_kd("smoke")
SHORT = dataclasses.replace(
    SMOKE, regular={2: 1}, letter={}, other={}, penalty={}, alphas=(1e-4,), judge_steps=30,
    gan_recipe=dataclasses.replace(SMOKE.gan_recipe, steps=20), n_images=64, cache_pairs=128,
    teacher_recipe=dataclasses.replace(SMOKE.teacher_recipe, steps=40),
    mse_recipe=dataclasses.replace(SMOKE.mse_recipe, steps=150),
    joint_recipe=dataclasses.replace(SMOKE.joint_recipe, steps=10),
)  # fmt: skip


def plan():
    return dcgan_kd.plan(SHORT, data.load(SOURCE, size=SHORT.size), SOURCE)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """All units of a short plan, done."""
    root = tmp_path_factory.mktemp("runs")
    for unit in plan():
        perform(unit, dcgan_kd.work, root)
    return root


@pytest.mark.parametrize("name", ["joint-alpha0.0001-d2-seed0", "cached-d2-seed0"])
def test_a_stopped_unit_ends_in_the_same_bits(name, root, tmp_path):
    unit = find_unit(plan(), name)
    folder = plans.beside(unit, root, tmp_path)
    assert plans.stops(unit, dcgan_kd.work, tmp_path) == 1
    assert plans.digest(folder) == plans.digest(unit.folder(root))


def test_rows_have_the_columns_of_a_row_and_finite_values(root):
    frame = read_rows(plan(), root)[list(tables.ROW)]
    assert np.isfinite(frame["value"]).all()
    students = frame[frame["method"].isin(["mse", "cached"])]
    assert {"IS", "FD-digits", "KID-digits", "VoL", "MSE to teacher"} <= set(students["metric"])
    assert (frame.loc[frame["metric"] == "FD-digits", "features"] == "digits").all()
    assert (frame.loc[frame["metric"] == "FD-digits", "n_images"] > 0).all()
    mse = frame[(frame["method"] == "mse") & (frame["metric"] == "parameters")]
    assert mse["value"].tolist() == [32 * 4 + 3219 * 2 + 1]


def test_students_learn_more_than_the_mean_image(root):
    frame = read_rows(find_units(plan(), method="mse"), root)
    share = tables.values(frame, metric="explained variance")
    assert float(share.iloc[0]) > 0  # percent: above the best image that ignores z


def test_cached_pairs_are_the_teachers(root):
    unit = find_unit(plan(), "cached-d2-seed0")
    batch = dcgan_kd.batches(Run(unit, root))(3)
    teacher = dcgan_kd.generator_of(unit.needs["teacher"], root)
    assert batch.target is not None
    assert (teacher(batch.cond) - batch.target).abs().max() <= 1 / 255 + 1e-6
    twice = dcgan_kd.batches(Run(unit, root))(3)
    assert torch.equal(batch.cond, twice.cond)


def test_a_warm_start_is_the_mse_students_weights(root):
    unit = find_unit(plan(), "joint-alpha0.0001-warm-d2-seed0")
    started = dcgan_kd.build(Run(unit, root))["G"].state_dict()
    student = dcgan_kd.generator_of(unit.needs["start"], root).state_dict()
    assert all(torch.equal(v, student[k]) for k, v in started.items())


def test_bad_or_changed_images_are_refused_before_training(tmp_path):
    (tmp_path / "broken.zip").write_bytes(b"no zip")
    with pytest.raises(data.DataError, match="broken.zip: not readable"):
        dcgan_kd.prepare("smoke", str(tmp_path / "broken.zip"))
    images = dataclasses.replace(data.load(SOURCE, size=16), fingerprint="feedfeedfeed")
    unit = dcgan_kd.plan(SHORT, images, SOURCE)[0]
    with pytest.raises(data.DataError, match="planned for feedfeedfeed; plan again"):
        perform(unit, dcgan_kd.work, tmp_path)
    assert not list(unit.folder(tmp_path).glob("checkpoint-*"))


def test_sampling_leaves_the_mode_and_the_statistics_alone():
    G = dcgan_kd.dcgan.Generator(2, size=16).train()
    before = {k: v.clone() for k, v in G.state_dict().items()}
    images_of(G, noise(8))
    assert G.training
    assert all(torch.equal(v, before[k]) for k, v in G.state_dict().items())
    assert not frozen(G).training


def test_interpolation_walks_the_great_circle():
    z = noise(2, 50)
    z = z / z.norm(dim=1, keepdim=True)
    path = interpolate(z, 8)
    assert path.shape == (9, 50)
    assert torch.allclose(path[[0, -1]], z)
    assert torch.allclose(path.norm(dim=1), torch.ones(9), atol=1e-5)
    steps = (path[1:] * path[:-1]).sum(1)
    assert torch.allclose(steps, steps[:1].expand(8), atol=1e-5)  # equal angles


def made_up(student):
    values = {("regular", 16, "VoL"): [9.0, 9.1, 8.9]}
    values |= {("joint 0", 4, "VoL"): [3.0], ("joint 0.0001", 4, "VoL"): [5.0]}
    for d in (2, 4):
        values |= {("regular", d, "IS"): [2 + d, 2.1 + d, 1.9 + d], ("mse", d, "IS"): student[d]}
        values |= {("mse", d, "VoL"): [3.0, 3.1, 2.9]}
    return plans.made_up(values | {("regular", 16, "IS"): [8.0, 8.1, 7.9]})


def test_claims_follow_the_rows():
    sizes = {2: 3, 4: 3}
    cfg = dataclasses.replace(presets.dcgan_kd("cpu"), mse=sizes, regular=sizes, alphas=(1e-4,))

    def verdicts(student):
        found = dcgan_kd_claims.claims(made_up(student), cfg, "IS", "IS")
        assert found[0].published == "19 of 19 rows"
        return {claim.text.split(",")[0]: claim.verdict for claim in found}

    gap, beaten, lost, better, sharper = (
        "The gap to the regular GAN is wider at d=2 than at d=4",
        "No student beats its teacher: d=16 is better than the student with d=4",
        "No loss at the headline ratios: the student with d=2 equals its teacher",
        "The student is better than a regular GAN of its size",
        "The joint loss brings detail back: sharper at alpha 0.0001 than at 0",
    )
    good = verdicts({2: [6.0, 6.1, 5.9], 4: [7.0, 7.1, 6.9]})
    assert {good[better], good[gap], good[beaten]} == {"supported"}
    assert good[lost] == "contradicted" and good[sharper].startswith("inconclusive")
    bad = verdicts({2: [3.0, 3.1, 2.9], 4: [9.0, 9.1, 8.9]})
    assert bad[gap] == bad[beaten] == "contradicted"
