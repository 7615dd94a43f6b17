"""The panel offers what is trained, and shows the unit that was chosen."""

import dataclasses

import matplotlib.pyplot as plt
import pytest
from matplotlib.text import Text

from ganzip import data, explore, presets, runs
from ganzip.papers import dcgan_kd


def short(recipe):
    return dataclasses.replace(recipe, steps=2)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A teacher and students of two sizes and two alphas, after two steps each."""
    smoke = presets.dcgan_kd("smoke")
    preset = dataclasses.replace(
        smoke, judge_steps=2, n_images=16, mse={2: 1, 4: 2}, joint={2: 1}, alphas=(0.0, 0.1),
        regular={}, letter={}, other={}, penalty={}, cached={2: 1}, cache_pairs=64, warm={},
        mse_recipe=short(smoke.mse_recipe), joint_recipe=short(smoke.joint_recipe),
        teacher_recipe=short(smoke.teacher_recipe),
    )  # fmt: skip
    units = dcgan_kd.plan(preset, data.load("digits", size=16), "digits")
    root = tmp_path_factory.mktemp("runs")
    for unit in units:
        runs.perform(unit, dcgan_kd.work, root)
    return units, root


def test_generators_are_finished_and_draw_from_noise(trained, tmp_path):
    units, root = trained
    ready = explore.generators(units, root)
    assert {u.name for u in units} - {u.name for u in ready} == {"judge"}
    assert explore.generators(units, tmp_path) == []


def test_what_is_offered_fits_what_was_chosen_before(trained):
    ready = explore.generators(*trained)
    assert explore.offered(ready, {}, "method") == ["cached", "joint", "mse", "regular"]
    assert explore.offered(ready, {"method": "mse"}, "d") == [2, 4]
    assert explore.offered(ready, {"method": "mse", "d": 2}, "seed") == [0]
    assert explore.offered(ready, {"method": "mse", "d": 4}, "seed") == [0, 1]
    assert explore.offered(ready, {"method": "joint"}, "alpha") == [0.0, 0.1]
    assert explore.offered(ready, {"method": "mse"}, "alpha") == []
    (one,) = explore.matching(ready, {"method": "joint", "d": 2, "alpha": 0.1, "seed": 0})
    assert one.config["alpha"] == 0.1


def test_a_walk_ends_in_the_images_of_its_two_noises(trained):
    units, root = trained
    student = runs.by_name(units, "mse-d4-seed0")
    z = dcgan_kd.noise(explore.NOISES)[[3, 7]]
    path = dcgan_kd.interpolate(z, 5)
    shown = explore._images(student, root, path)
    assert shown.shape == (6, 1, 16, 16)
    expected = dcgan_kd.images_of(student, root, z)
    assert shown[[0, -1]].allclose(expected, atol=1e-4)
    figure = explore.walk(student, root, 3, 7, steps=5)
    words = " ".join(text.get_text() for text in figure.findobj(Text))
    assert "teacher" in words and "d = 4" in words
    plt.close("all")


def test_choosing_in_a_menu_narrows_those_after_it(trained):
    box = explore.panel(*trained)
    method, d, alpha, seed = box.children[0].children
    assert method.options == ("cached", "joint", "mse", "regular") and d.options == (2,)
    method.value = "mse"
    assert d.options == (2, 4) and alpha.options == () and alpha.layout.display == "none"
    d.value = 4
    assert seed.options == (0, 1)
    method.value = "regular"
    assert d.options == (trained[0][1].config["d"],)
    plt.close("all")


def test_nothing_to_show_is_said(trained, tmp_path):
    with pytest.raises(ValueError, match="no generator under .* is done; run the paper's notebook"):
        explore.panel(trained[0], tmp_path)
