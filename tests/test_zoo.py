"""Networks that come with the repository: chosen, written in 16 bits, found by name."""

import pytest
import torch

import ganzip
from ganzip import export, zoo
from ganzip.measure.images import images_of, noise
from ganzip.papers import dcgan_kd
from ganzip.units import find_units
from tests.plans import short_dcgan


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A teacher and two seeds of a student, after two steps each."""
    root = tmp_path_factory.mktemp("runs")
    return short_dcgan(root, mse={2: 2}), root


def test_the_best_seed_of_every_method_and_size_is_kept_and_found_by_name(
    trained, tmp_path, monkeypatch
):
    units, root = trained
    place = tmp_path / "dcgan_kd" / "night-digits" / zoo.PLACE
    written = zoo.keep(units, root, place)
    assert {path.stem for path in written} == {"teacher", "mse-d2"}
    monkeypatch.setattr(zoo, "folder", lambda: tmp_path)
    students = find_units(units, method="mse")
    best = min(students, key=lambda unit: zoo.distance(unit, root))
    assert export.card(zoo.find("dcgan_kd/mse-d2")).provenance["unit"] == best.key
    G, z = ganzip.load("dcgan_kd/mse-d2"), noise(4)
    expected = images_of(dcgan_kd.generator_of(best, root), z)
    torch.testing.assert_close(images_of(G, z), expected, atol=5e-3, rtol=0)
    with pytest.raises(FileNotFoundError, match="which has dcgan_kd/mse-d2, dcgan_kd/teacher"):
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
