import pytest

from ganzip import data, presets, runs
from ganzip.methods import gan
from ganzip.papers import dcgan_kd


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", size=16)


@pytest.mark.parametrize("name", presets.NAMES)
def test_every_preset_plans_units_with_all_they_need(name, digits):
    units = dcgan_kd.plan(presets.dcgan_kd(name), digits, "digits")
    keys = [unit.key for unit in units]
    assert len(keys) == len(set(keys)), "a unit stands twice"
    assert len({unit.name for unit in units}) == len(units), "two units share a name"
    for i, unit in enumerate(units):
        assert {need.key for need in unit.needs.values()} <= set(keys[:i]), "needs come first"
    methods = {unit.config["method"] for unit in units}
    assert {"judge", "regular", "letter", "mse", "cached", "joint", "wgan-gp"} <= methods


def test_compared_rows_of_preset_cpu_have_three_seeds_and_two_sizes(digits):
    cfg = presets.dcgan_kd("cpu")
    compared = [d for d in cfg.mse if cfg.mse[d] >= 3 and cfg.regular.get(d, 0) >= 3]
    assert len(compared) >= 2
    units = dcgan_kd.plan(cfg, digits, "digits")
    assert {u.config["seed"] for u in runs.find(units, method="mse", d=compared[0])} == {0, 1, 2}


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
    (unit,) = runs.find(dcgan_kd.plan(cfg, digits, "digits"), method="wgan")
    assert unit.config["steps"] == gan.wgan_steps(cfg.wgan_recipe.steps)


def test_scale_multiplies_steps_and_seeds():
    one, three = presets.dcgan_kd("cpu"), presets.dcgan_kd("cpu", scale=3)
    assert three.mse_recipe.steps == 3 * one.mse_recipe.steps
    assert three.mse == {d: 3 * n for d, n in one.mse.items()}
    assert three.n_images == one.n_images
    assert presets.dcgan_kd("cpu", scale=0.01).mse == dict.fromkeys(one.mse, 1)
    with pytest.raises(ValueError, match="scale is 0; expected above 0"):
        presets.dcgan_kd("cpu", scale=0)


def test_one_changed_weight_plans_that_method_alone(digits):
    import dataclasses

    cfg = presets.dcgan_kd("cpu")
    changed = dataclasses.replace(cfg, alphas=(1e-3,))
    before = {u.key for u in dcgan_kd.plan(cfg, digits, "digits")}
    new = [u for u in dcgan_kd.plan(changed, digits, "digits") if u.key not in before]
    assert new and {u.config["method"] for u in new} == {"joint"}


def test_other_data_plan_everything_anew(digits):
    import dataclasses

    other = dataclasses.replace(digits, fingerprint="0" * 12)
    cfg = presets.dcgan_kd("smoke")
    before = {u.key for u in dcgan_kd.plan(cfg, digits, "digits")}
    assert not before & {u.key for u in dcgan_kd.plan(cfg, other, "digits")}


def test_unknown_names_are_refused():
    with pytest.raises(
        ValueError, match="preset is 'huge'; expected one of smoke, cpu, gpu, paper"
    ):
        presets.dcgan_kd("huge")
    namespace = {"preset": "cpu", "sclae": 2, "_": 1, "In": [], "presets": presets}
    with pytest.raises(NameError, match="unknown parameter 'sclae', did you mean scale?"):
        presets.check_parameters(namespace, ["preset", "scale"])
    presets.check_parameters({"preset": "cpu", "presets": presets}, ["preset", "scale"])
