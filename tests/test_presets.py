from math import nan

import pytest
import torch

from ganzip import assets, data, families, presets
from ganzip.methods import gan
from ganzip.nets import realesrgan
from ganzip.papers import dcgan_kd, nickel_dime, sdakd
from ganzip.papers import super_resolution as sr
from ganzip.report import tables
from ganzip.units import find_units


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", size=16)


def in_order(units):
    """Units have a key and a name each, and come after what they need."""
    keys = [unit.key for unit in units]
    assert len(keys) == len(set(keys)) == len({unit.name for unit in units})
    for i, unit in enumerate(units):
        assert {need.key for need in unit.needs.values()} <= set(keys[:i])


@pytest.mark.parametrize("name", presets.NAMES)
def test_every_preset_plans_units_with_all_they_need(name, digits):
    units = dcgan_kd.plan(presets.dcgan_kd(name), digits, "digits")
    in_order(units)
    methods = {unit.config["method"] for unit in units}
    assert {"judge", "regular", "letter", "mse", "cached", "joint", "wgan-gp"} <= methods


def test_students_share_their_teachers_seed(digits):
    for unit in dcgan_kd.plan(presets.dcgan_kd("cpu"), digits, "digits"):
        if "teacher" in unit.needs:
            assert unit.needs["teacher"].config["seed"] == unit.config["seed"]
            assert unit.needs["teacher"].config["d"] == 16


def test_paper_preset_picks_the_papers_teachers():
    def teacher(**kind):
        cfg = presets.dcgan_kd("paper", **kind)
        return cfg.teacher_d, cfg.teacher_gan

    assert teacher(grey=True) == (256, "wgan")
    assert teacher(grey=False, labels=True) == (64, "wgan")
    assert teacher(grey=False, labels=False) == (128, "gan")
    cfg = presets.dcgan_kd("paper")
    assert (cfg.size, cfg.batch, cfg.latent, cfg.n_images) == (64, 64, 100, 50_000)
    assert cfg.wgan_recipe.lr == 5e-5 and cfg.letter_recipe.betas == (0.5, 0.999)


def test_wgan_units_count_critic_steps(digits):
    cfg = presets.dcgan_kd("cpu")
    (unit,) = find_units(dcgan_kd.plan(cfg, digits, "digits"), method="wgan")
    assert unit.config["steps"] == gan.wgan_steps(cfg.wgan_recipe.steps)


def test_scale_multiplies_steps_and_seeds():
    one, three = presets.dcgan_kd("cpu"), presets.dcgan_kd("cpu", scale=3)
    assert three.mse_recipe.steps == 3 * one.mse_recipe.steps
    assert three.mse == {d: 3 * n for d, n in one.mse.items()}
    assert three.n_images == one.n_images
    assert presets.dcgan_kd("cpu", scale=0.01).mse == dict.fromkeys(one.mse, 1)


def test_other_data_plan_everything_anew(digits):
    import dataclasses

    other = dataclasses.replace(digits, fingerprint="0" * 12)
    cfg = presets.dcgan_kd("smoke")
    before = {u.key for u in dcgan_kd.plan(cfg, digits, "digits")}
    assert not before & {u.key for u in dcgan_kd.plan(cfg, other, "digits")}


def big_photos():
    """Pieces large enough for every preset; planning looks at nothing but their manifest."""
    entry = {"photo": "big", "sha256": "0", "top": 0, "left": 0, "height": 2048, "width": 3000}
    parts = ("train", "validation", "test")
    pieces = sr.Pieces("big.zip", {}, [{**entry, "part": part} for part in parts])
    return {network: pieces for network in sr.NETWORKS}


def test_a_released_discriminator_is_checked_when_planning(tmp_path, monkeypatch):
    """One that is foreign, and one with NaN: before any training, in one line."""
    monkeypatch.setenv("GANZIP_WEIGHTS", str(tmp_path))
    path = tmp_path / assets.ASSETS["realesrgan-x4plus-netD"].file
    narrow = realesrgan.UNetDiscriminator(width=1 / 8)
    monkeypatch.setattr(
        sdakd.sr, "discriminator", lambda *_: realesrgan.UNetDiscriminator(width=1 / 8)
    )
    torch.save({"params": {"conv0.weight": torch.zeros(1)}}, path)
    with pytest.raises(ValueError, match="does not fit UNetDiscriminator: [^\n]*"):
        sdakd.plan(presets.sdakd("gpu"), big_photos())
    monkeypatch.setattr(sdakd.realesrgan, "load_pth", lambda net, _: net.load_state_dict(state))
    state = {name: torch.full_like(x, nan) for name, x in narrow.state_dict().items()}
    with pytest.raises(assets.BrokenAsset, match="NaN or infinite in conv0.weight"):
        sdakd.plan(presets.sdakd("gpu"), big_photos())


@pytest.mark.parametrize("name", presets.NAMES)
def test_every_preset_of_paper_b_plans_the_rows_of_its_tables(name):
    units = sdakd.plan(presets.sdakd(name), big_photos())
    in_order(units)
    rows = {(u.config["network"], u.config["method"], u.config.get("C")) for u in units}
    for network, table in (("GCFSR", 1), ("RealESRGAN", 2)):
        for printed in tables.published("sdakd", table).to_dict("records"):
            method = printed["method"]
            if method.endswith("naive"):
                method = "naive (C,1)" if printed["disc_C"] == "1" else "naive (C,C)"
            if printed["gen_C"] != "1":
                assert (network, method, printed["gen_C"]) in rows
        assert (network, "control GT", "1/4") in rows and (network, "speed", None) in rows
    for C in families.SIZES:
        assert (sr.PLAIN, "SDAKD", C) in rows
    assert (sr.PLAIN, "speed", None) not in rows, "the same networks are timed once"
    assert {("GCFSR", f"Ablation{i}", "1/4") for i in (1, 2, 3)} <= rows


@pytest.mark.parametrize("name", presets.NAMES)
def test_online_methods_have_as_many_steps_of_the_student_as_sdakd(name):
    """The abstract compares SDAKD with them; naive too, but at preset paper, where it is as
    published."""
    units = sdakd.plan(presets.sdakd(name), big_photos())
    for network in ("GCFSR", "RealESRGAN"):
        steps = {
            u.config["method"]: u.config["steps"] - u.config["d2"]
            for u in find_units(units, network=network, C="1/2")
        }
        assert len({steps[m] for m in ("SDAKD", *sdakd.ONLINE)}) == 1
        assert (steps["naive (C,C)"] == steps["SDAKD"]) == (name != "paper")


def test_paper_b_as_published():
    gcfsr, real, plain = presets.sdakd("paper").families
    assert gcfsr.betas[1] == pytest.approx(0.99199, abs=1e-5)
    assert gcfsr.d_betas[1] == pytest.approx(0.99059, abs=1e-5)
    assert gcfsr.ema == pytest.approx(0.997784, abs=1e-6)
    assert gcfsr.steps * gcfsr.batch == 30 * 70_000  # epochs of FFHQ
    assert (gcfsr.l1, gcfsr.perceptual, gcfsr.adversarial, gcfsr.r1) == (1.0, 0.01, 0.01, 10.0)
    share = gcfsr.factors.count(64) / len(gcfsr.factors)
    assert share == 0.4 and gcfsr.shown == (64, 32, 16)
    assert real.steps == 1_400_000 and 300 * real.epoch == pytest.approx(real.steps, rel=1e-3)
    assert (2 * real.l1, real.perceptual, real.adversarial, real.r1) == (1.0, 1.0, 0.1, 0.0)
    assert real.pool % real.batch == 0 and (real.square, real.size) == (400, 256)
    for family in (gcfsr, real, plain):
        assert family.fresh and not family.start  # squares cut anew, the usual first weights
        assert (family.lambda1, family.lambda2, family.d_width) == (1.0, 0.1, 1.0)


def test_schedules_of_paper_b():
    def steps(method, C="1/4", network="GCFSR"):
        (unit, *_) = find_units(units, method=method, C=C, network=network)
        c = unit.config
        return [c[k] for k in ("l1_steps", "n2", "d2", "n3")], c["disc"], c["features"]

    units = sdakd.plan(presets.sdakd("paper"), big_photos())
    n, real = 87_500, 1_400_000
    assert steps("SDAKD") == ([0, n, n, n], "1/4", True)
    assert steps("Ablation1") == ([0, 0, 0, n], "1", False)
    assert steps("Ablation1 as long") == ([0, 0, 0, 2 * n], "1", False)
    assert steps("Ablation2") == ([0, n, 0, n], "1", False)
    assert steps("Ablation3") == ([0, n, 0, n], "1", True)
    assert steps("control GT") == ([0, n, 0, n], "1/4", False)
    assert steps("naive (C,1)") == ([0, 0, 0, n], "1", False)
    assert steps("naive (C,C)", "1/8", "RealESRGAN") == (
        [1_000_000, 0, 0, 400_000], "1/8", False,
    )  # fmt: skip
    assert steps("OMGD", "1/2", "RealESRGAN") == ([0, 0, 0, 2 * real], "1", False)
    assert steps("SDAKD balanced", "1/4", "RealESRGAN") == ([0, real, real, real], "1/4", True)


def test_scale_and_aligned_faces_in_paper_b():
    one, two = presets.sdakd("cpu"), presets.sdakd("cpu", scale=2)
    for a, b in zip(one.families, two.families, strict=True):
        assert (b.steps, b.naive_steps, b.epoch) == (2 * a.steps, 2 * a.naive_steps, 2 * a.epoch)
        assert b.seeds["SDAKD"]["1/4"] == 2 * a.seeds["SDAKD"]["1/4"] and b.net == a.net
    faces = presets.sdakd("cpu", aligned=True).families
    assert [family.span for family in faces] == [0, *(f.span for f in one.families[1:])]
    compared = presets.sdakd("cpu").families[0].seeds
    assert all(
        compared[m]["1/4"] == 3 for m in ("SDAKD", "naive (C,1)", "naive (C,C)", "Ablation3")
    )


# Paper C ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", presets.NAMES)
def test_every_preset_of_paper_c_plans_all_methods_at_equal_steps(name):
    cfg = presets.nickel_dime(name)
    images = data.load("digits", size=16, channels=3)
    units = nickel_dime.plan(cfg, images, "digits")
    in_order(units)
    students = [unit for unit in units if "scores" in unit.config]
    at_98 = {unit.config["method"] for unit in students if unit.config["p"] == 0.9}
    assert at_98 >= {*presets.COMPARED, presets.WITHOUT, "fine-tune", "DiME, batch targets"}
    assert {unit.config["steps"] for unit in students} == {cfg.steps}
    assert {unit.config["lr"] for unit in students} == {cfg.lr}
    if name != "night":  # its time goes to seeds
        assert {u.config["p"] for u in students if u.config["method"] == "ITGC"} >= {0.7, 0.9}
    assert cfg.steps >= 3 * cfg.epoch and cfg.sparse_steps < cfg.steps
    assert cfg.batch % cfg.group == 0 and cfg.batch % cfg.moment_batch == 0


def test_paper_c_has_the_published_numbers_at_preset_paper():
    cfg = presets.nickel_dime("paper")
    assert (cfg.net, cfg.latent, cfg.layers) == ({"size": 256, "base": 16384, "cap": 512}, 512, 8)
    assert (cfg.batch, cfg.moment_batch, cfg.gamma, cfg.path, cfg.mixing) == (64, 8, 1.0, 2.0, 0.9)
    assert cfg.steps * cfg.batch == 40_000_000 and cfg.teacher_steps * cfg.batch == 25_000_000
    assert cfg.epoch * cfg.batch == 200_000
    assert set(cfg.seeds["CAGC"]) == {0.5, 0.7, 0.8, 0.9, 0.95}


def test_another_weight_of_paper_c_plans_its_students_alone():
    import dataclasses

    images = data.load("digits", size=16, channels=3)
    cfg = presets.nickel_dime("cpu")
    before = {u.key for u in nickel_dime.plan(cfg, images, "digits")}
    changed = nickel_dime.plan(dataclasses.replace(cfg, nickel=5.0), images, "digits")
    new = {u.config["method"] for u in changed if u.key not in before}
    assert new == {"NICKEL", "NICKEL & DiME", presets.WITHOUT}


def test_no_row_has_fewer_seeds_than_asked_for():
    A = presets.dcgan_kd("cpu", seeds=3)
    assert set(A.warm.values()) == set(A.other.values()) == {3} and A.mse[2] == 3
    assert presets.dcgan_kd("cpu", scale=2, seeds=3).mse[2] == 6
    B = presets.sdakd("cpu", seeds=3).families[1]
    assert {n for sizes in B.seeds.values() for n in sizes.values()} == {3}
    C = presets.nickel_dime("cpu", seeds=4)
    assert {n for sizes in C.seeds.values() for n in sizes.values()} == {4}
    assert C.ablations == presets.nickel_dime("night", seeds=4).scratch == {0.9: 4}
