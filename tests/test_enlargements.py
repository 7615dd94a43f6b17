"""Kept enlargers beside bicubic enlargement and the released teacher."""

import pytest
import torch

from ganzip import export, metrics, zoo
from ganzip.nets.realesrgan import RRDBNet
from ganzip.papers import super_resolution as sr
from ganzip.report import enlargements


@pytest.fixture
def students(tmp_path, monkeypatch):
    """Two kept students, the larger one written first."""
    monkeypatch.setattr(zoo, "folder", lambda: tmp_path)
    for C, width in (("1/4", 0.25), ("1/8", 0.125)):
        card = export.Card(
            arguments={"blocks": 1, "width": width},
            input_shape=(1, 3, 8, 8),
            training={"network": sr.PLAIN, "method": "SDAKD", "C": C},
        )
        path = tmp_path / "sdakd" / "night" / zoo.PLACE / f"{'ba'[width < 0.2]}.safetensors"
        export.save(path, RRDBNet(blocks=1, width=width), card)


def test_every_column_is_of_one_size_and_students_stand_before_their_teacher(students, monkeypatch):
    monkeypatch.setattr(sr, "load_released", lambda device: RRDBNet(blocks=1))
    shown = enlargements.enlarged(enlargements.networks())
    first, second, *rest = shown
    assert (first, second, rest[-1]) == ("input", "bicubic", "truth")
    assert rest[:2] == ["SDAKD", "teacher"]
    sizes = [metrics.params(G) for G in enlargements.students().values()]
    assert sizes == sorted(sizes) and len(sizes) == 2
    truth = shown["truth"]
    assert all(images.shape == truth.shape for label, images in shown.items() if label != "input")
    assert shown["input"].shape[-1] * enlargements.FACTOR == truth.shape[-1]
    assert metrics.psnr(shown["bicubic"], truth).min() > 18  # squares of the same place
    assert torch.equal(truth, truth.clamp(-1, 1))
    top, left, size = enlargements.PLACES["china"][1]
    square, wide = (enlargements.details({"truth": truth}, size, w)["truth"] for w in (size, 80))
    assert torch.equal(square[0], truth[0, :, top:, left:][:, :size, :size])
    assert wide.shape == (3, 3, size, 80) and torch.equal(wide[0, :, :, 8:-8], square[0])
