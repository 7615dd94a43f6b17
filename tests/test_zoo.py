"""Networks that come with the repository, and the panel that shows them and what is trained."""

import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.text import Text

import ganzip
from ganzip import explore, export, zoo
from ganzip.measure.images import images_of, interpolate, noise
from ganzip.papers import dcgan_kd
from ganzip.units import find_unit, find_units, read_rows
from tests.plans import short_dcgan


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A teacher and students of two sizes and two alphas, after two steps each."""
    root = tmp_path_factory.mktemp("runs")
    rows = {"mse": {2: 1, 4: 2}, "joint": {2: 1}, "cached": {2: 1}, "regular": {2: 1}}
    return short_dcgan(root, **rows, alphas=(0.0, 0.1), cache_pairs=64), root


def test_the_best_seed_of_every_method_and_size_is_kept_and_found_by_name(
    trained, tmp_path, monkeypatch
):
    units, root = trained
    place = tmp_path / "dcgan_kd" / "night-digits" / zoo.PLACE
    written = zoo.keep(units, root, place)
    assert {path.stem for path in written} >= {"teacher", "mse-d2", "mse-d4"}
    monkeypatch.setattr(zoo, "folder", lambda: tmp_path)

    def kept(name):
        return export.card(zoo.find(f"dcgan_kd/{name}")).provenance["unit"]

    def score(unit):
        return zoo.distance(read_rows([unit], root))[1]

    students = find_units(units, method="mse", d=4)
    teacher = min((unit.needs["teacher"] for unit in students), key=score)
    (best,) = (unit for unit in students if unit.needs["teacher"] is teacher)
    assert (kept("teacher"), kept("mse-d4")) == (teacher.key, best.key)
    G, z = ganzip.load("dcgan_kd/mse-d4"), noise(4)
    expected = images_of(dcgan_kd.generator_of(best, root), z)
    torch.testing.assert_close(images_of(G, z), expected, atol=5e-3, rtol=0)
    with pytest.raises(FileNotFoundError, match="which has dcgan_kd/"):
        ganzip.load("dcgan_kd/mse-d64")


def test_weights_too_large_for_16_bits_are_refused(tmp_path):
    net = torch.nn.Linear(1, 1)
    torch.nn.init.constant_(net.weight, 1e6)
    card = export.Card(arguments={"in_features": 1, "out_features": 1}, input_shape=(1, 1))
    with pytest.raises(ValueError, match=r"weight is too large for torch.float16; save it in"):
        export.save(tmp_path / "net.safetensors", net, card, dtype=torch.float16)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", sorted(zoo.folder().glob(f"*/*/{zoo.PLACE}/*")), ids=str)
def test_every_network_that_comes_along_loads_and_answers(path):
    G, card = ganzip.load(path), export.card(path)
    x = torch.zeros(tuple(card.input_shape))
    assert G(x).isfinite().all() and card.metrics


# The panel ----------------------------------------------------------------------------------------


def test_what_is_offered_fits_what_was_chosen_before(trained):
    ready = explore.generators(*trained)
    assert explore.options(ready, {}, "method") == ["cached", "joint", "mse", "regular"]
    assert explore.options(ready, {"method": "mse"}, "d") == [2, 4]
    assert explore.options(ready, {"method": "mse", "d": 2}, "seed") == [0]
    assert explore.options(ready, {"method": "mse", "d": 4}, "seed") == [0, 1]
    assert explore.options(ready, {"method": "joint"}, "alpha") == [0.0, 0.1]
    assert explore.options(ready, {"method": "mse"}, "alpha") == []
    (one,) = explore.matching(ready, {"method": "joint", "d": 2, "alpha": 0.1, "seed": 0})
    assert one.facts["alpha"] == 0.1


def test_a_walk_ends_in_the_images_of_its_two_noises(trained):
    units, root = trained
    unit = find_unit(units, "mse-d4-seed0")
    student = explore.of_unit(unit, root)
    z = noise(explore.NOISES)[[3, 7]]
    images = student.draw(interpolate(z, 5))
    assert images.shape == (6, 1, 16, 16)
    expected = images_of(dcgan_kd.generator_of(unit, root), z)
    assert images[[0, -1]].allclose(expected, atol=1e-4)
    figure = explore.walk(student, 3, 7, steps=5)
    words = " ".join(text.get_text() for text in figure.findobj(Text))
    assert "teacher" in words and "d = 4" in words
    plt.close("all")


def test_kept_networks_are_explored_without_any_run(trained, tmp_path, monkeypatch):
    units, root = trained
    zoo.keep(units, root, tmp_path / "dcgan_kd" / "night-digits" / zoo.PLACE)
    monkeypatch.setattr(zoo, "folder", lambda: tmp_path)
    ready = explore.of_zoo("dcgan_kd")
    (one,) = explore.matching(ready, {"method": "mse", "d": 2})
    assert one.teacher is ready[-1] and ready[-1].facts["method"] == "regular"
    (alone,) = explore.matching(ready, {"method": "regular", "d": 2})
    assert alone.teacher is None
    z = noise(2)
    unit = find_unit(units, "mse-d2-seed0")
    assert one.draw(z).allclose(images_of(dcgan_kd.generator_of(unit, root), z), atol=5e-3)
    monkeypatch.setattr(zoo, "folder", lambda: tmp_path / "none")
    assert explore.of_zoo("dcgan_kd") == []
